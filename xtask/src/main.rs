//! The project's own tooling: one command per chore, `cargo xtask test` first among them.
//!
//! Deliberately not here: anything the program needs when it runs, and anything that only a CI machine could do.
//! People and CI run the same gate.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

mod bench;
mod cold_start;
mod emulators;
mod fuzz;
mod gate;
mod generated;
mod listening;
mod package;
mod pgbouncer;
mod postgres;
mod prerequisites;
mod previous;
mod process;
mod queries;
mod redis;
mod services;
mod tidy;
mod tools;
mod watching;

/// What a shell reports for a program that an interrupt ended.
const EXIT_INTERRUPTED: u8 = 130;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks, generates and measures FinCore")]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The gate: formatting, lints, generated files, tidy rules, tests, checked queries and docs.
    Test(gate::Options),
    /// Write the files that are generated from code.
    Generate(GenerateOptions),
    /// Write the offline query data (`.sqlx`) of both database crates again.
    Sqlx,
    /// Start a throw-away PostgreSQL for development and stop it on Ctrl-C.
    Postgres,
    /// Start all servers that the tests need, for development, and stop them on Ctrl-C.
    Services,
    /// Build the previous release's program, for the tests of rollouts.
    Previous,
    /// Build the benchmark in release mode and run it against a throw-away PostgreSQL.
    Bench(bench::Options),
    /// Build and pack the Lambda function and `fincore`, with their bills of materials.
    Package(package::Options),
    /// Measure the start of the Lambda function beside that of a bare one.
    ColdStart,
    /// Install tools of others below target/ and check the PSP gateways and the API against them.
    ThirdParty,
    /// Send the PSP gateways arbitrary answers and webhooks, on and on.
    Fuzz(fuzz::Options),
    /// Make up requests by our OpenAPI document, many of them, and check what a real server answers.
    Contract(tools::ContractOptions),
    /// The house rules that no compiler or lint checks.
    Tidy,
}

#[derive(Args)]
struct GenerateOptions {
    /// Compare with what is committed instead of writing.
    #[arg(long)]
    check: bool,
}

/// Everything started lives in the work's future: dropping it, whatever the cause, stops servers and programs.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = CommandLine::parse().command;
    let outcome = tokio::select! {
        outcome = run(command) => Some(outcome),
        stopped = stop_requested() => stopped.err().map(Err),
    };
    match outcome {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("\nInterrupted. Everything that was started is stopped.");
            ExitCode::from(EXIT_INTERRUPTED)
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Test(options) => gate::run(options).await,
        Command::Generate(GenerateOptions { check: true }) => generated::check(),
        Command::Generate(GenerateOptions { check: false }) => generated::write(),
        Command::Sqlx => queries::write().await,
        Command::Postgres => postgres::serve().await,
        Command::Previous => previous::run().await,
        Command::Services => services::serve().await,
        Command::Bench(options) => bench::run(options).await,
        Command::Package(options) => package::run(options).await,
        Command::ColdStart => cold_start::run().await,
        Command::Fuzz(options) => fuzz::run(options).await,
        Command::ThirdParty => tools::run().await,
        Command::Contract(options) => tools::contract(options).await,
        Command::Tidy => tidy::check(),
    }
}

/// Returns when a terminal or a supervisor asks us to stop.
async fn stop_requested() -> Result<()> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
        _ = hangup.recv() => (),
    }
    Ok(())
}

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.pop();
    folder
}
