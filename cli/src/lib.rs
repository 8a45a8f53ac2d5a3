//! One program, several roles: `fincore dev | serve | work | migrate | show | verify | …`.
//!
//! This is where concrete databases, queues and PSPs are named and wired; nothing imports this crate but tests and
//! benchmarks. Not here: anything that decides about payments.

pub mod app;
mod archive;
mod args;
mod audit;
mod backup;
mod clock;
mod demo;
mod dev;
mod dlq;
mod explain;
mod http;
mod keys;
mod list;
mod migrate;
mod operate;
mod operators;
mod psp;
mod sandbox_psp;
mod serve;
pub mod settings;
mod show;
mod stats;
pub mod telemetry;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use workflow::engine::operator::Act;

use crate::args::{Args, Command};

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    // There is one TLS provider in the program; a second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&anyhow::Error::new(error).context("cannot start threads")),
    };
    match runtime.block_on(run(args)) {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("fincore: {error:#}");
    ExitCode::FAILURE
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command.unwrap_or_default() {
        Command::Dev(dev) => dev::run_dev(&args.knobs, &dev).await,
        Command::Demo(demo) => demo::run(&args.knobs, &demo).await,
        Command::Sandbox(sandbox) => sandbox_psp::run(&args.knobs, &sandbox).await,
        Command::Serve(serve) => serve::serve(&args.knobs, &serve).await,
        Command::Work(work) => serve::work(&args.knobs, &work).await,
        Command::Migrate => migrate::run(&args.knobs).await,
        Command::Show(show) => show::run(&args.knobs, &show).await,
        Command::Explain(explain) => explain::run(&args.knobs, &explain).await,
        Command::Retry(on) => operate::run(&args.knobs, Act::Retry, &on).await,
        Command::Inquire(on) => operate::run(&args.knobs, Act::Inquire, &on).await,
        Command::Redrive(redrive) => operate::redrive(&args.knobs, &redrive).await,
        Command::Resolve(resolve) => operate::resolve(&args.knobs, &resolve).await,
        Command::Cancel(on) => operate::run(&args.knobs, Act::Cancel, &on).await,
        Command::Refund(refund) => operate::refund(&args.knobs, &refund).await,
        Command::Approve(on) => operate::approve(&args.knobs, &on).await,
        Command::Withdraw(on) => operate::withdraw(&args.knobs, &on).await,
        Command::Note(on) => operate::run(&args.knobs, Act::Note, &on).await,
        Command::Psp(psp) => psp::run(&args.knobs, &psp).await,
        Command::Audit(audit) => audit::run(&args.knobs, &audit).await,
        Command::Backup(backup) => backup::run(&args.knobs, &backup).await,
        Command::Verify(verify) => verify::run(&args.knobs, verify).await,
        Command::Archive(archive) => archive::run(&args.knobs, &archive).await,
        Command::Dlq(dlq) => dlq::run(&args.knobs, &dlq).await,
        Command::Keys(keys) => keys::run(&args.knobs, &keys).await,
        Command::List(list) => list::run(&args.knobs, &list).await,
        Command::Stats(stats) => stats::run(&args.knobs, &stats).await,
        Command::Operators(operators) => operators::run(&args.knobs, &operators).await,
    }
}
