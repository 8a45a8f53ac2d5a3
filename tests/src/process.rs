//! FinCore as a real process: started, killed, started again.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::written::{self, Kind};

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Program {
    /// Path of the binary.
    pub binary: &'static str,
    /// Its settings, as environment variables.
    pub env: Vec<(&'static str, String)>,
}

/// What a command printed.
#[derive(Debug)]
pub struct Printed {
    /// Whether it ended well.
    pub is_success: bool,
    /// How it ended, if it was not killed.
    pub code: Option<i32>,
    /// On standard output.
    pub text: String,
    /// On standard error.
    pub complaint: String,
}

/// A running process. Dropping it kills it.
pub struct Running(Child);

impl Program {
    /// Runs a command to its end and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[allow(clippy::must_use_candidate, reason = "some commands are run for what they do")]
    pub fn run(&self, args: &[&str]) -> String {
        let printed = self.print(args);
        assert!(printed.is_success, "{args:?} failed: {}{}", printed.text, printed.complaint);
        printed.text
    }

    /// Runs a command to its end, however that is.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn print(&self, args: &[&str]) -> Printed {
        let output = self.command(args).output().expect("the binary can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        written::keep(Kind::ProcessLog, &output.stderr);
        // What makes a key or an operator prints the secret, once.
        if !matches!(args, ["keys" | "operators", ..]) {
            written::keep(Kind::Command, &output.stdout);
        }
        Printed {
            is_success: output.status.success(),
            code: output.status.code(),
            text: text(&output.stdout),
            complaint: text(&output.stderr),
        }
    }

    /// Starts a command that runs until stopped.
    #[must_use]
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::null());
        if written::folder().is_none() {
            return Running(command.spawn().expect("the binary can be started"));
        }
        command.env("FINCORE_LOG", written::FILTER).env("FINCORE_LOG_FORMAT", "json").stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        child.stderr.take().into_iter().for_each(written::keep_log);
        Running(child)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command
            .args(args)
            .env("FINCORE_LOG", "error,workflow=off,activities::alerts=off")
            .envs(self.env.iter().cloned());
        command
    }
}

impl Running {
    /// Memory of the process that is in use, in kibibytes.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGTERM, then waits for the process to end by itself; returns whether it ended well.
    ///
    /// # Panics
    /// When it does not end within a minute.
    pub async fn terminate(mut self) -> bool {
        let id = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
        for _ in 0..600 {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the process did not end within a minute of SIGTERM");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("it is bound").port()
}
