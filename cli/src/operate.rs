//! `fincore migrate` and `fincore redrive`: small things operators do.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use workflow::port::clock::SystemClock;

use crate::app::{self, Schema, Workers};
use crate::args::Redrive;
use crate::settings::{Knobs, Settings};

/// Brings the schema up to this version.
pub(crate) async fn migrate(knobs: &Knobs) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    app::open_store(&settings, Schema::Migrate).await?;
    println!("The database has the schema of fincore {}.", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}

/// Sends a charge in review back to work.
pub(crate) async fn redrive(knobs: &Knobs, redrive: &Redrive) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let engine = app::engine(store, Workers::Elsewhere, Arc::new(SystemClock));
    let charge = engine
        .redrive(redrive.charge, &redrive.operator, &redrive.reason)
        .await
        .with_context(|| format!("{} was not redriven", redrive.charge))?;
    println!("{} is {} now: a worker asks the PSP before it repeats anything.", charge.id, charge.state);
    Ok(ExitCode::SUCCESS)
}
