//! Running the programs a chore is made of, so that none of them outlives it.
//!
//! Deliberately not here: the PostgreSQL server, which is stopped in its own way, and the package manager, which
//! needs the terminal to itself.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command as BlockingCommand, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

/// How long a program may take to end by itself: the test runner gives its tests 10 seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(12);
/// How often we look whether it has ended.
const STOP_POLL: Duration = Duration::from_millis(50);

/// Cargo, in the workspace's root, with checked queries answered from the committed files: whatever database a
/// person has in the environment, a build never asks it.
pub(crate) fn cargo<I>(arguments: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::root()).env("SQLX_OFFLINE", "true");
    for (name, _) in std::env::vars_os() {
        if describes_this_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// What `cargo run` says about this package would look like a changed environment to other packages' builds.
fn describes_this_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// Whether tests can be run by nextest, which is quicker and gives each a time limit.
pub(crate) async fn has_nextest() -> bool {
    run_quietly(&mut cargo(["nextest", "--version"])).await.is_ok()
}

/// A port of the loopback interface that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on the loopback interface")?;
    Ok(listener.local_addr()?.port())
}

/// Runs a program to its end with our output; an exit status other than zero is an error.
pub(crate) async fn run(command: &mut Command) -> Result<()> {
    let name = printed(command);
    println!("$ {name}");
    let mut program = Program::start(command)?;
    let status = program.child.wait().await.with_context(|| format!("cannot wait for {name}"))?;
    if status.success() {
        return Ok(());
    }
    bail!("{name}: {status}")
}

/// Runs a program that has nothing to say unless it fails.
pub(crate) async fn run_quietly(command: &mut Command) -> Result<()> {
    let name = printed(command);
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    bail!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&said).trim_end())
}

/// The command as a person would type it.
fn printed(command: &Command) -> String {
    let command = command.as_std();
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// A running program and all it has started; dropping it ends them.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// In a process group of its own: a Ctrl-C in the terminal is for us, and we stop what we started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::null()).process_group(0).spawn();
        Ok(Self { child: started.with_context(|| format!("cannot start {}", printed(command)))? })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot look after a program")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The id is gone once the program has been waited for.
        let Some(group) = self.child.id() else { return };
        signal_group("TERM", group);
        let started = Instant::now();
        while started.elapsed() < STOP_PATIENCE {
            match self.child.try_wait() {
                Ok(None) => pause(),
                Ok(Some(_)) | Err(_) => break,
            }
        }
        signal_group("KILL", group);
    }
}

/// A signal for a whole process group. The shell's own `kill` does it: a minimal system has no program of that name.
fn signal_group(signal: &str, group: u32) {
    let script = format!("kill -s {signal} -- -{group} 2>/dev/null");
    let sent = BlockingCommand::new("sh").args(["-c", &script]).status();
    if let Err(error) = sent {
        eprintln!("cannot signal process group {group}: {error}");
    }
}

#[allow(clippy::disallowed_methods, reason = "a destructor cannot await, and there is nothing else left to run")]
fn pause() {
    std::thread::sleep(STOP_POLL);
}

/// Makes a folder with nothing in it.
pub(crate) fn empty_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => std::fs::create_dir_all(folder),
    }
    .with_context(|| format!("cannot empty {}", folder.display()))
}
