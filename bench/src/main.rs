//! How fast FinCore is, beside floors that are measured in the same run. Read `docs/BENCHMARK.md` for what the rows mean.
//!
//! Start reading at `plan.rs` (what is measured), then `load.rs` (how), then `report.rs`. Floats are allowed in this
//! package: rates and ratios are no money. Not here: assertions. A benchmark reports; tests judge.
#![allow(clippy::float_arithmetic, reason = "rates and ratios; no amount of money is computed here")]

mod batches;
mod bed;
mod clients;
mod floor;
mod gauges;
mod load;
mod machine;
mod observed;
mod plan;
mod report;
mod summary;
mod system;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use fincore::settings::{LogFormat, Settings};
use fincore::telemetry;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::bed::Bed;
use crate::load::Window;
use crate::plan::{Cell, Database, Plan};
use crate::report::Report;
use crate::summary::Run;

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures FinCore against PostgreSQL and SQLite, beside floors of its own.
#[derive(Parser, Debug, Clone)]
struct Args {
    /// A PostgreSQL to make databases on; its user must be allowed to. `cargo xtask bench` starts one.
    #[arg(long, value_name = "URL")]
    postgres_url: String,
    /// Where SQLite files go: a folder on the disk that is to be measured
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Short windows and one repetition, about 20 s: shows that everything works, measures little
    #[arg(long)]
    quick: bool,
    /// Seconds that each cell is measured
    #[arg(long, default_value_t = 5.0, value_name = "S")]
    seconds: f64,
    /// How often each cell is measured
    #[arg(long, default_value_t = 3, value_name = "N")]
    repetitions: usize,
    /// Measures a window again, so many times at most, when other programs used more than a tenth of the processors
    #[arg(long, default_value_t = 2, value_name = "N")]
    again: usize,
    /// Only this database
    #[arg(long)]
    only: Option<Database>,
    /// Only these kinds of rows
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<plan::Kind>,
    /// Clients at the same time [default: 1,64,256; with --quick 1,64]
    #[arg(long, value_delimiter = ',')]
    in_flight: Vec<usize>,
    /// Connections to PostgreSQL, of the engine and of the floors
    #[arg(long, default_value_t = Settings::default().database_connections)]
    connections: u32,
    /// Which threads run what: `apart` gives driver, PSP and FinCore threads of their own, so that their shares of the
    /// processors can be told apart; `together` runs everything on the same ones, like `fincore dev`
    #[arg(long, value_enum, default_value_t = Threads::Apart)]
    threads: Threads,
    /// Measures the Lambda function's handler instead, with batches of so many messages, for example 10,100
    #[arg(long, value_delimiter = ',', value_name = "N")]
    batches: Vec<usize>,
    /// Also write everything measured here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    Apart,
    Together,
}

/// Where each part runs.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) fincore: Handle,
    pub(crate) psp: Handle,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fincore-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> anyhow::Result<()> {
    let driver = runtime(machine::DRIVER)?;
    let others = match args.threads {
        Threads::Apart => Some((runtime(machine::FINCORE)?, runtime(machine::PSP)?)),
        Threads::Together => None,
    };
    let places = match &others {
        Some((fincore, psp)) => Places { fincore: fincore.handle().clone(), psp: psp.handle().clone() },
        None => Places { fincore: driver.handle().clone(), psp: driver.handle().clone() },
    };
    let done = driver.block_on(run(args, places));
    // Worker, sweeper and servers are told to stop by now; what still runs has nothing left to say.
    for runtime in others.into_iter().flat_map(|(fincore, psp)| [fincore, psp]).chain([driver]) {
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
    done
}

fn runtime(name: &str) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name(name).build().context("cannot start threads")
}

async fn run(args: &Args, places: Places) -> anyhow::Result<()> {
    let settings = Settings {
        database_connections: args.connections,
        log: "warn".to_owned(),
        log_format: LogFormat::Text,
        ..Settings::default()
    };
    let _telemetry = telemetry::start(&settings, "bench")?;
    let metrics = telemetry::start_metrics()?;
    if !args.batches.is_empty() {
        return bed::batches(args, &settings, &metrics, &places).await;
    }
    let plan = plan(args);
    let mut report = Report::new(args, &plan, &settings).await?;
    println!("{}\n", report.heading());
    let mut number = 0;
    for &database in &plan.databases {
        let bed = Bed::make(database, args, &settings, &metrics, &places).await?;
        for (cell, repetition) in plan.cells() {
            number += 1;
            let run = undisturbed(&bed, cell, &plan).await.with_context(|| format!("{database}, {cell}"))?;
            println!("[{number:>3}/{}] {database:<10} {cell} #{repetition}: {}", plan.len(), run.line());
            report.add(database, cell, run);
        }
        report.remember(database, bed.finish().await?);
    }
    println!("\n{}", report.text());
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
        println!("Everything that was measured: {}", path.display());
    }
    Ok(())
}

/// A run with the machine to itself, or else the last of those that were tried.
async fn undisturbed(bed: &Bed, cell: Cell, plan: &Plan) -> anyhow::Result<Run> {
    let mut run = bed.measure(cell, plan.window).await?;
    for _ in 0..plan.again {
        if !run.disturbed() {
            break;
        }
        run = bed.measure(cell, plan.window).await?;
    }
    Ok(run)
}

fn plan(args: &Args) -> Plan {
    let window = if args.quick {
        Window { warm_up: Duration::from_millis(200), measured: Duration::from_millis(300) }
    } else {
        Window { warm_up: Duration::from_secs(1), measured: Duration::from_secs_f64(args.seconds) }
    };
    Plan {
        databases: args.only.map_or_else(|| Database::ALL.to_vec(), |only| vec![only]),
        kinds: if args.kinds.is_empty() { plan::Kind::ALL.to_vec() } else { args.kinds.clone() },
        in_flight: match (args.in_flight.is_empty(), args.quick) {
            (false, _) => args.in_flight.clone(),
            (true, false) => vec![1, 64, 256],
            (true, true) => vec![1, 64],
        },
        repetitions: if args.quick { 1 } else { args.repetitions.max(1) },
        again: if args.quick { 0 } else { args.again },
        window,
    }
}
