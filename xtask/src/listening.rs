//! Throw-away programs that listen on a free port of the loopback interface: started in a folder of their own, waited
//! for, stopped and removed when they are dropped.
//!
//! Deliberately not here: what they are; and PostgreSQL, which has data to make first and is stopped in its own way.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Program, free_port};

/// Another program may take the free port before ours does.
const START_TRIES: u32 = 3;
/// A start takes below a second, and several on a busy machine, the first one most: Python compiles what it imports.
const READY_POLL: Duration = Duration::from_millis(50);
const READY_POLLS: u32 = 1_200;
/// A program that accepts a connection and then says nothing is not ready.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// A program that listens.
pub(crate) struct Listening {
    pub(crate) port: u16,
    /// Stopped before its files go: fields are dropped in this order.
    program: Program,
    folder: TempDir,
}

impl Listening {
    /// Starts what `command` makes of a folder and a port, and waits until it `answers`.
    pub(crate) async fn start(
        name: &str,
        command: impl Fn(&Path, u16) -> Result<Command>,
        answers: impl AsyncFn(u16) -> bool,
    ) -> Result<Self> {
        for attempt in 1.. {
            match Self::try_to_start(name, &command, &answers).await {
                Ok(listening) => return Ok(listening),
                Err(error) if attempt == START_TRIES => return Err(error),
                Err(error) => eprintln!("{name} did not start, trying another port: {error:#}"),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn try_to_start(
        name: &str,
        command: &impl Fn(&Path, u16) -> Result<Command>,
        answers: &impl AsyncFn(u16) -> bool,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("fincore-").tempdir().context("no temporary folder")?;
        let port = free_port()?;
        let mut command = command(folder.path(), port)?;
        let log = File::create(folder.path().join(LOG)).with_context(|| format!("cannot create the log of {name}"))?;
        command.current_dir(&folder).stdout(log.try_clone()?).stderr(log);
        let mut listening = Self { port, program: Program::start(&mut command)?, folder };
        for _ in 0..READY_POLLS {
            if let Some(status) = listening.program.ended()? {
                bail!("{name} ended at once ({status}):\n{}", listening.log());
            }
            if let Ok(true) = tokio::time::timeout(ANSWER_PATIENCE, answers(port)).await {
                return Ok(listening);
            }
            tokio::time::sleep(READY_POLL).await;
        }
        bail!("{name} does not answer on port {port}:\n{}", listening.log())
    }

    fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join(LOG);
        fs::read_to_string(path).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }
}

/// What a program says goes to this file of its folder.
const LOG: &str = "log";
