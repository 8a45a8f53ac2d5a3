//! The program of the previous release, built from the history of this repository: it and this one work on one database
//! in the tests of rollouts.
//!
//! Its sources go below `target/previous`, one folder a commit. What it depends on is compiled once for both, in the one
//! `target`. Deliberately not here: the tests (`tests/suite/upgrades.rs`), and other releases than the one before.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::process;

/// A release of FinCore.
struct Release {
    version: &'static str,
    commit: &'static str,
}

/// The one that rollouts come from. A new release names itself here in its first commit after it.
const PREVIOUS: Release = Release { version: "0.1.0", commit: "669c0df00a374b7b626c65a7c34567b3df1dc6b9" };

/// Tells the tests where its program is.
const VARIABLE: &str = "FINCORE_TEST_PREVIOUS_RELEASE";
const PROGRAM: &str = "fincore";

/// The previous release's program, if its sources are to be had.
pub(crate) enum Previous {
    Built(PathBuf),
    /// This clone has no such commit.
    Missing,
}

impl Previous {
    /// What tells the tests, where there is something to tell.
    pub(crate) fn tell(&self, command: &mut Command) {
        match self {
            Self::Built(program) => command.env(VARIABLE, program),
            Self::Missing => command.env_remove(VARIABLE),
        };
    }

    /// What a person must be told at the end, lest they think that all was run.
    pub(crate) fn left_out(&self) -> Option<String> {
        match self {
            Self::Built(_) => None,
            Self::Missing => Some(missing()),
        }
    }
}

fn missing() -> String {
    let Release { version, commit } = PREVIOUS;
    format!(
        "NOT RUN: the tests with the previous release, {version}: this clone has no commit {commit}. To get it: git fetch \
         --unshallow, or git fetch origin {commit}"
    )
}

/// `cargo xtask previous`: builds it, for tests that are run by hand.
pub(crate) async fn run() -> Result<()> {
    match build().await? {
        Previous::Built(program) => println!("export {VARIABLE}={}", program.display()),
        Previous::Missing => println!("{}", missing()),
    }
    Ok(())
}

/// Builds it, unless that was done before.
pub(crate) async fn build() -> Result<Previous> {
    let Release { version, commit } = PREVIOUS;
    if !is_here(commit).await {
        eprintln!("{}", missing());
        return Ok(Previous::Missing);
    }
    let folder = crate::root().join("target/previous").join(format!("{version}-{commit}"));
    let program = folder.join(PROGRAM);
    if !program.exists() {
        let sources = folder.join("sources");
        unpack(commit, &sources).await?;
        compile(&sources, &program).await.with_context(|| format!("cannot build the previous release, {version}"))?;
    }
    println!("fincore {version} in {}", program.display());
    Ok(Previous::Built(program))
}

/// Not so in a shallow clone, or where there is no repository at all.
async fn is_here(commit: &str) -> bool {
    process::run_quietly(&mut git(["cat-file", "-e", &format!("{commit}^{{commit}}")])).await.is_ok()
}

/// With the time of this moment on all files: an older state of the same version may have been built here, and cargo compares times.
async fn unpack(commit: &str, sources: &Path) -> Result<()> {
    if sources.exists() {
        fs::remove_dir_all(sources).with_context(|| format!("cannot remove {}", sources.display()))?;
    }
    fs::create_dir_all(sources).with_context(|| format!("cannot create {}", sources.display()))?;
    let archive = sources.with_extension("tar");
    process::run_quietly(git(["archive", "--format=tar", commit]).arg("--output").arg(&archive)).await?;
    process::run_quietly(Command::new("tar").arg("-xmf").arg(&archive).arg("-C").arg(sources)).await?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// The whole workspace is named, so that the packages of others get the features they were built with before.
async fn compile(sources: &Path, program: &Path) -> Result<()> {
    let target = crate::root().join("target");
    let mut build = process::cargo(["build", "--workspace", "--locked", "--bin", PROGRAM]);
    process::run(build.current_dir(sources).env("CARGO_TARGET_DIR", &target)).await?;
    let built = target.join("debug").join(PROGRAM);
    fs::copy(&built, program).with_context(|| format!("cannot copy {}", built.display()))?;
    // It stands where this release's own is looked for.
    fs::remove_file(&built).with_context(|| format!("cannot remove {}", built.display()))
}

fn git<const N: usize>(arguments: [&str; N]) -> Command {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(crate::root());
    git
}
