//! `fincore migrate`: brings the schema up to this version.

use std::process::ExitCode;

use crate::app::{self, Schema};
use crate::settings::{Knobs, Settings};

/// Applies the migrations that are missing.
pub(crate) async fn run(knobs: &Knobs) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    app::open_store(&settings, Schema::Migrate).await?;
    println!("The database has the schema of fincore {}.", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}
