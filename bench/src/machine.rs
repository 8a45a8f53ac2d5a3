//! The machine: what it is, and who used its processors. Everything is read from `/proc`, so this runs on Linux.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

/// Names of threads; the kernel keeps 15 characters.
pub(crate) const DRIVER: &str = "driver";
pub(crate) const FINCORE: &str = "fincore";
pub(crate) const PSP: &str = "psp";
/// What threads of the SQLite driver are called.
const SQLITE: &str = "sqlx-sqlite";

/// The kernel counts processor time in hundredths of a second, on every architecture we know.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the numbers were taken on.
#[derive(Serialize, Debug)]
pub(crate) struct Machine {
    pub(crate) processors: usize,
    pub(crate) model: String,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    pub(crate) disk: String,
    /// Writing 8 KiB and waiting until the disk has it, on that disk: no commit is faster.
    pub(crate) sync_p50_us: u64,
    pub(crate) sync_p99_us: u64,
    pub(crate) rustc: String,
}

impl Machine {
    pub(crate) fn look(folder: &Path) -> anyhow::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model = field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let memory = field(&fs::read_to_string("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        let (sync_p50_us, sync_p99_us) = syncs(folder)?;
        Ok(Self {
            processors: std::thread::available_parallelism()?.get(),
            model,
            memory_mib: memory_kib / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            disk: disk(folder)?,
            sync_p50_us,
            sync_p99_us,
            rustc: rustc(),
        })
    }
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The device and file system that the folder is on.
fn disk(folder: &Path) -> anyhow::Result<String> {
    let folder = folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
    let mounts = fs::read_to_string("/proc/mounts")?;
    let mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = mounts.filter(|parts| parts.len() > 2 && folder.starts_with(parts[1]));
    let nearest = holding.max_by_key(|parts| parts[1].len());
    Ok(nearest.map_or_else(|| "unknown".to_owned(), |parts| format!("{} ({})", parts[0], parts[2])))
}

/// The compiler that is on the path, which is the one `cargo` has just used.
fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

const SYNCS: usize = 300;

fn syncs(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let mut file: File = tempfile::tempfile_in(folder).context("cannot write to the folder")?;
    let mut taken = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        taken.push(u64::try_from(started.elapsed().as_micros())?);
    }
    taken.sort_unstable();
    Ok((taken[SYNCS / 2], taken[SYNCS * 99 / 100]))
}

/// Who used how much processor time, as it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    parts: BTreeMap<&'static str, u64>,
    /// Of all processors together: used, and waited for the disk with nothing else to do.
    busy: u64,
    waiting: u64,
    idle: u64,
    written_bytes: u64,
}

/// Who used how much processor time in a window, in seconds.
#[derive(Serialize, Clone, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) seconds: BTreeMap<&'static str, f64>,
    /// Shares of all processors' time.
    pub(crate) busy_share: f64,
    pub(crate) waiting_for_disk_share: f64,
    /// What was used by nobody we know: other programs. Much of it makes a run worthless.
    pub(crate) others_share: f64,
    /// What this process wrote to disk.
    pub(crate) written_bytes: u64,
}

impl Used {
    /// `server` is the process id of the database server's parent process, if it runs on this machine.
    pub(crate) fn read(server: Option<u32>) -> anyhow::Result<Self> {
        let mut used = Self::default();
        for task in fs::read_dir("/proc/self/task")? {
            // A thread may end while we look.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
            let Some((name, ticks)) = thread(&stat) else { continue };
            *used.parts.entry(part(&name)).or_default() += ticks;
        }
        if let Some(server) = server {
            used.parts.insert("postgres", server_ticks(server)?);
        }
        let stat = fs::read_to_string("/proc/stat")?;
        let fields: Vec<u64> =
            stat.lines().next().unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
        if let [user, nice, system, idle, waiting, interrupts, soft, stolen, ..] = fields[..] {
            used.busy = user + nice + system + interrupts + soft + stolen;
            (used.idle, used.waiting) = (idle, waiting);
        }
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        used.written_bytes = field(&io, "write_bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or_default();
        Ok(used)
    }

    pub(crate) fn since(&self, before: &Self) -> Usage {
        let seconds = |(part, ticks): (&&'static str, &u64)| {
            let earlier = before.parts.get(part).copied().unwrap_or_default();
            (*part, ticks.saturating_sub(earlier) as f64 / TICKS_PER_SECOND)
        };
        let (busy, waiting) = (self.busy - before.busy, self.waiting.saturating_sub(before.waiting));
        let all = (busy + waiting + self.idle.saturating_sub(before.idle)).max(1);
        let ours: u64 = self.parts.values().sum::<u64>().saturating_sub(before.parts.values().sum());
        Usage {
            seconds: self.parts.iter().map(seconds).collect(),
            busy_share: busy as f64 / all as f64,
            waiting_for_disk_share: waiting as f64 / all as f64,
            others_share: busy.saturating_sub(ours) as f64 / all as f64,
            written_bytes: self.written_bytes - before.written_bytes,
        }
    }
}

fn part(thread: &str) -> &'static str {
    match thread {
        FINCORE => FINCORE,
        PSP => PSP,
        name if name.starts_with(SQLITE) => "sqlite",
        // The main thread and the driver's own.
        _ => DRIVER,
    }
}

/// A line of `stat`: the name in parentheses, the 14th and 15th field the time in the program and in the kernel.
fn thread(stat: &str) -> Option<(String, u64)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = after.split(' ').collect();
    Some((name, fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?))
}

/// The time of a process, of its children that ended, and of those that run.
fn server_ticks(server: u32) -> anyhow::Result<u64> {
    let mut ticks = 0;
    for process in fs::read_dir("/proc")? {
        let path = process?.path();
        let is_process = path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        let Some(stat) = is_process.then(|| fs::read_to_string(path.join("stat")).ok()).flatten() else { continue };
        let Some((_, after)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<u64> = after.split(' ').map(|field| field.parse().unwrap_or_default()).collect();
        let is_server = path.file_name().is_some_and(|name| name.to_string_lossy() == server.to_string());
        match fields[..] {
            [_, _, ..] if is_server => ticks += fields[11..15].iter().sum::<u64>(),
            [_, parent, ..] if parent == u64::from(server) => ticks += fields[11..13].iter().sum::<u64>(),
            _ => {}
        }
    }
    Ok(ticks)
}

/// The parent of a process on this machine.
pub(crate) fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// How long something took, for people.
pub(crate) fn milliseconds(us: u64) -> String {
    let duration = Duration::from_micros(us);
    match us {
        0..10_000 => format!("{:.2}", duration.as_secs_f64() * 1e3),
        10_000..100_000 => format!("{:.1}", duration.as_secs_f64() * 1e3),
        _ => format!("{:.0}", duration.as_secs_f64() * 1e3),
    }
}
