//! `fincore dlq`: charges that wait for a person. What is listed comes from the row, whatever queue carries the work.
//!
//! Not here: what a redrive means and whether it is safe ([`workflow::decide::Redriving`]); the engine refuses what is
//! not.

mod list;
mod redrive;
mod show;

use std::process::ExitCode;

use crate::args::dlq::Dlq;
use crate::settings::Knobs;

/// Runs one of the commands.
pub(crate) async fn run(knobs: &Knobs, dlq: &Dlq) -> anyhow::Result<ExitCode> {
    match dlq {
        Dlq::List(list) => list::run(knobs, list).await,
        Dlq::Show(show) => show::run(knobs, show).await,
        Dlq::Redrive(redrive) => redrive::run(knobs, redrive).await,
    }
}
