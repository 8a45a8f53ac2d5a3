//! `cargo xtask cold-start`: what the Lambda function costs to start beside the least that could be in its place, and beside one
//! that has the libraries which no such function can do without; all built alike and measured in turns.
//!
//! The clock runs from the start of the process to the first poll of the runtime API, which is when AWS may hand it a
//! batch. Our function opens its database before that, so what a connection takes stands beside it. Deliberately not
//! here: AWS's own part (placing the function, fetching the zip), and how fast batches are worked on.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::package::{self, BOOTSTRAP, FUNCTION, PROFILE};
use crate::postgres::{Server, TEST_DATABASE};
use crate::prerequisites;

/// The least function, and its package.
const FLOOR: &str = "lambda-floor";
/// The one with the libraries, in the same package.
const PARTS: &str = "lambda-parts";
/// Enough for a median that does not move by a tenth from run to run on a quiet machine.
const RUNS: usize = 40;
/// One setting a line.
const SETTINGS: &str = include_str!("../../bench/lambda_floor/function.env");
/// A function that has not polled by then never will.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it polls for.
const NEXT: &str = "/2018-06-01/runtime/invocation/next";
/// The longest request line and headers we read.
const REQUEST_BYTES: usize = 4096;

/// Builds both, measures, and prints a table.
pub(crate) async fn run() -> Result<()> {
    prerequisites::c_compiler()?;
    let programs = prerequisites::postgres().await?;
    let server = Server::start(programs).await?;
    let url = server.url(TEST_DATABASE);
    let mut floor = Candidate::new("bare lambda_runtime", (FLOOR, FLOOR), Vec::new()).await?;
    let mut parts = Candidate::new("with the libraries", (FLOOR, PARTS), settings(&url)).await?;
    let mut ours = Candidate::new("FinCore", (FUNCTION, BOOTSTRAP), settings(&url)).await?;
    let mut connections = Vec::new();
    for _ in 0..RUNS {
        floor.start().await?;
        parts.start().await?;
        ours.start().await?;
        connections.push(connect(&url).await?);
    }
    let (least, our) = (median(&floor.polls), median(&ours.polls));
    println!("\n{HEAD}\n{}\n{}\n{}", floor.row(), parts.row(), ours.row());
    println!("\na connection to the database takes {} ms", milliseconds(median(&connections)));
    println!("FinCore starts in {} times the floor, that connection included", ratio(our, least));
    Ok(())
}

/// What our function needs to be told before it starts.
fn settings(url: &str) -> Vec<(&'static str, String)> {
    let lines = SETTINGS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let settings = lines.map(|(name, value)| (name, value.to_owned()));
    settings.chain([("FINCORE_DATABASE_URL", url.to_owned())]).collect()
}

async fn connect(url: &str) -> Result<Duration> {
    let options: PgConnectOptions = url.parse()?;
    let started = Instant::now();
    let connection = options.connect().await.context("cannot connect to the throw-away PostgreSQL")?;
    let taken = started.elapsed();
    connection.close().await.context("cannot close a connection")?;
    Ok(taken)
}

const HEAD: &str =
    "                         binary       zip   first poll, median (quickest, slowest)   processor (least)   resident";

/// A function that is measured.
struct Candidate {
    name: &'static str,
    program: std::path::PathBuf,
    env: Vec<(&'static str, String)>,
    bytes: usize,
    zipped: usize,
    polls: Vec<Duration>,
    processor: Vec<Duration>,
    resident_kb: Vec<u64>,
}

impl Candidate {
    /// Built as it ships.
    async fn new(name: &'static str, of: (&str, &str), env: Vec<(&'static str, String)>) -> Result<Self> {
        let program = package::compile(of.0, of.1, PROFILE, package::TARGET).await?;
        let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
        let zipped = package::zip(&bytes)?.len();
        let (polls, processor, resident_kb) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { name, program, env, bytes: bytes.len(), zipped, polls, processor, resident_kb })
    }

    async fn start(&mut self) -> Result<()> {
        let start = cold_start(&self.program, &self.env).await.context(self.name)?;
        self.polls.push(start.poll);
        self.processor.push(start.processor);
        self.resident_kb.push(start.resident_kb);
        Ok(())
    }

    fn row(&self) -> String {
        let (quickest, slowest) = (self.polls.iter().min(), self.polls.iter().max());
        let [quickest, slowest] = [quickest, slowest].map(|poll| milliseconds(poll.copied().unwrap_or_default()));
        let poll = format!("{} ms ({quickest}, {slowest})", milliseconds(median(&self.polls)));
        let least = milliseconds(self.processor.iter().min().copied().unwrap_or_default());
        let processor = format!("{} ms ({least})", milliseconds(median(&self.processor)));
        format!(
            "{:<20} {:>10} {:>9}   {poll:<38}   {processor:<17}   {:>8}",
            self.name,
            package::megabytes(self.bytes),
            package::megabytes(self.zipped),
            package::megabytes(median(&self.resident_kb) as usize * 1024)
        )
    }
}

/// What a start has taken when the function asks for work.
struct Start {
    poll: Duration,
    /// Which does not depend on who else is running.
    processor: Duration,
    resident_kb: u64,
}

/// Starts a function against a runtime API that has no work for it.
async fn cold_start(program: &Path, env: &[(&str, String)]) -> Result<Start> {
    let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port on the loopback interface")?;
    let mut command = Command::new(program);
    command.env_clear().envs(env.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
    command.env("AWS_LAMBDA_RUNTIME_API", api.local_addr()?.to_string());
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "cold-start"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/cold-start"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "cold-start"),
    ] {
        command.env(name, value);
    }
    let started = Instant::now();
    let mut child = command.spawn().context("cannot start it")?;
    let (polled, _waits) = tokio::select! {
        polled = tokio::time::timeout(PATIENCE, first_poll(&api)) => polled.context("it does not poll")?,
        ended = child.wait() => bail!("it ended at once ({}); its words are above", ended?),
    }?;
    let id = child.id().context("it has just polled")?;
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("cannot read its memory")?;
    let resident_kb = resident_kb(&status).context("the kernel tells a process's memory")?;
    let schedule = fs::read_to_string(format!("/proc/{id}/schedstat")).context("cannot read its processor time")?;
    let processor = processor(&schedule).context("the kernel tells a process's processor time")?;
    child.kill().await.context("cannot stop it")?;
    Ok(Start { poll: polled - started, processor, resident_kb })
}

/// When it polled, and the connection on which it waits for an answer.
async fn first_poll(api: &TcpListener) -> Result<(Instant, TcpStream)> {
    let (mut connection, _) = api.accept().await?;
    let mut request = vec![0; REQUEST_BYTES];
    let length = connection.read(&mut request).await?;
    let polled = Instant::now();
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    if !request.starts_with(&format!("GET {NEXT} ")) {
        bail!("it asks for something else first: {}", request.lines().next().unwrap_or_default());
    }
    Ok((polled, connection))
}

/// `VmRSS:      4096 kB` in what the kernel says of a process.
fn resident_kb(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// The first of the numbers that the scheduler tells of a process, in nanoseconds: of its first thread, which is the only
/// one that both functions have.
fn processor(schedule: &str) -> Option<Duration> {
    schedule.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn median<T: Copy + Ord + Default>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> String {
    format!("{}.{}", duration.as_millis(), duration.as_micros() / 100 % 10)
}

/// How many times, with two digits after the point.
fn ratio(of: Duration, to: Duration) -> String {
    let hundredths = of.as_micros() * 100 / to.as_micros().max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_told_as_people_read_them() {
        assert_eq!(milliseconds(Duration::from_micros(12_345)), "12.3");
        assert_eq!(ratio(Duration::from_micros(15_100), Duration::from_millis(10)), "1.51");
        assert_eq!(resident_kb("VmPeak:\t  9 kB\nVmRSS:\t    4096 kB\n"), Some(4096));
        assert_eq!(processor("2440123 1000 7\n"), Some(Duration::from_nanos(2_440_123)));
        assert_eq!(median(&[3, 1, 2]), 2);
    }
}
