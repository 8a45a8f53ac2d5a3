//! `cargo xtask bench`: the benchmark in release mode, on a database of its own.
//!
//! Deliberately not here: what is measured and how; that is the package `fincore-bench`.

use anyhow::Result;
use clap::Args;

use crate::postgres::Server;
use crate::{prerequisites, process};

const PACKAGE: &str = "fincore-bench";
const DATABASE: &str = "fincore_bench";

#[derive(Args)]
pub(crate) struct Options {
    /// Passed on to the benchmark as they are; its own help: `cargo xtask bench -- --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds before it starts the server, so that the server is not up for the minutes a build takes.
pub(crate) async fn run(options: Options) -> Result<()> {
    prerequisites::c_compiler()?;
    let programs = prerequisites::postgres().await?;
    process::run(&mut process::cargo(["build", "--release", "--locked", "--package", PACKAGE])).await?;
    let server = Server::start(programs).await?;
    let url = server.fresh_database(DATABASE).await?;
    let mut command = process::cargo(["run", "--release", "--locked", "--quiet", "--package", PACKAGE, "--"]);
    command.args(["--postgres-url", &url]).args(options.arguments);
    process::run(&mut command).await
}
