//! `cargo xtask fuzz`: the gateways' readers under fire for as long as one likes. The gate plays a bounded number of
//! rounds of the same.
//!
//! Deliberately not here: what is fired and what must hold (`tests/src/fuzz.rs`), and the targets (`tests/suite/fuzz.rs`).

use anyhow::Result;

use crate::process;

/// Tells the tests how long to go on.
const MINUTES_VARIABLE: &str = "FINCORE_FUZZ_MINUTES";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long, for each gateway; all at the same time. Without it, until Ctrl-C.
    #[arg(long)]
    minutes: Option<u64>,
}

/// With cargo's own runner, which knows no time limit, and unoptimized, so that overflows panic.
pub(crate) async fn run(options: Options) -> Result<()> {
    let minutes = options.minutes.unwrap_or(u64::MAX);
    let arguments =
        ["test", "--package", "fincore-tests", "--test", "suite", "--locked", "fuzz::", "--", "--nocapture"];
    process::run(process::cargo(arguments).env(MINUTES_VARIABLE, minutes.to_string())).await
}
