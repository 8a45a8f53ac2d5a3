//! Throw-away emulators of AWS: `ministack`, which runs Lambda functions behind queues, and `moto`, a second SQS.
//!
//! Deliberately not here: installing them (`tools`), and any queue or function of ours; each test makes its own.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{Program, free_port};

/// What a test is told: where each of them answers, without a trailing slash.
pub(crate) const URL_VARIABLES: [&str; 2] = ["FINCORE_TEST_MINISTACK_URL", "FINCORE_TEST_MOTO_URL"];

/// Another program may take the free port before the emulator does.
const START_TRIES: u32 = 3;
/// A start takes below a second, and several on a busy machine, the first one most: Python compiles what it imports.
const READY_POLL: Duration = Duration::from_millis(100);
const READY_POLLS: u32 = 600;
/// A process that accepts a connection and then says nothing is not ready.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Running emulators. Dropping them stops them, and what they run, and removes their files.
pub(crate) struct Emulators {
    ministack: Emulator,
    moto: Emulator,
}

impl Emulators {
    /// Starts both on free ports of the loopback interface; `programs` is the folder they are installed in.
    pub(crate) async fn start(programs: &Path) -> Result<Self> {
        let (ministack, moto) = tokio::try_join!(
            Emulator::start(Kind::Ministack, programs.to_path_buf()),
            Emulator::start(Kind::Moto, programs.to_path_buf())
        )?;
        println!("ministack on {}, moto on {}", ministack.url, moto.url);
        Ok(Self { ministack, moto })
    }

    /// The variables child programs find them by.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let [ministack, moto] = URL_VARIABLES;
        [(ministack, self.ministack.url.clone()), (moto, self.moto.url.clone())]
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Ministack,
    Moto,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Ministack => "ministack",
            Self::Moto => "moto_server",
        }
    }

    /// A page that answers once everything is there.
    fn ready_path(self) -> &'static str {
        match self {
            Self::Ministack => "/_ministack/ready",
            Self::Moto => "/moto-api/data.json",
        }
    }

    /// Both would listen on all interfaces, and ministack on a fixed port for devices as well, unless told otherwise.
    /// Its functions would dial the real AWS unless they are given its own URL.
    fn tell(self, command: &mut Command, port: u16, url: &str) {
        let host = Ipv4Addr::LOCALHOST.to_string();
        let port = port.to_string();
        match self {
            Self::Ministack => command
                .env("BIND_HOST", &host)
                .env("GATEWAY_PORT", port)
                .env("MINISTACK_HOST", &host)
                .env("AWS_ENDPOINT_URL", url)
                .env("IOT_MTLS_ENABLED", "0"),
            Self::Moto => command.args(["--host", &host, "--port", &port]).env("MOTO_PORT", &port),
        };
    }
}

/// One that runs.
struct Emulator {
    url: String,
    /// Stopped before its files go: fields are dropped in this order.
    _program: Program,
    _folder: TempDir,
}

impl Emulator {
    async fn start(kind: Kind, programs: PathBuf) -> Result<Self> {
        for attempt in 1.. {
            match Self::try_to_start(kind, &programs).await {
                Ok(emulator) => return Ok(emulator),
                Err(error) if attempt == START_TRIES => return Err(error),
                Err(error) => eprintln!("{} did not start, trying another port: {error:#}", kind.name()),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn try_to_start(kind: Kind, programs: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fincore-emulator-").tempdir().context("no temporary folder")?;
        let port = free_port()?;
        let url = format!("http://{}:{port}", Ipv4Addr::LOCALHOST);
        let log = File::create(log(&folder)).context("cannot create an emulator's log")?;
        let mut command = Command::new(programs.join(kind.name()));
        // Nothing of a person's environment: no credentials of theirs, and functions get what a test gives them.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.current_dir(&folder).env("HOME", folder.path()).env("TMPDIR", folder.path());
        kind.tell(&mut command, port, &url);
        let mut program = Program::start(command.stdout(log.try_clone()?).stderr(log))?;
        wait_until_ready(kind, port, &mut program, &folder).await?;
        Ok(Self { url, _program: program, _folder: folder })
    }
}

async fn wait_until_ready(kind: Kind, port: u16, program: &mut Program, folder: &TempDir) -> Result<()> {
    for _ in 0..READY_POLLS {
        if let Some(status) = program.ended()? {
            bail!("{} ended at once ({status}):\n{}", kind.name(), log_text(folder));
        }
        if let Ok(true) = tokio::time::timeout(ANSWER_PATIENCE, answers(port, kind.ready_path())).await {
            return Ok(());
        }
        tokio::time::sleep(READY_POLL).await;
    }
    bail!("{} does not answer on port {port}:\n{}", kind.name(), log_text(folder))
}

/// Whether `200` is the answer. A client for this one question would be the tooling's only one.
async fn answers(port: u16, path: &str) -> bool {
    let asked = async {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let question = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.write_all(question.as_bytes()).await?;
        let mut start = [0; "HTTP/1.1 200".len()];
        connection.read_exact(&mut start).await?;
        std::io::Result::Ok(start)
    };
    asked.await.is_ok_and(|start| start.starts_with(b"HTTP/1.") && start.ends_with(b" 200"))
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("log")
}

fn log_text(folder: &TempDir) -> String {
    fs::read_to_string(log(folder)).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
}
