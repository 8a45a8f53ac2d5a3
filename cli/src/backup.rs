//! `fincore backup`: a copy of the SQLite file, made while FinCore runs.
//!
//! Not here: PostgreSQL, which has tools of its own (docs/OPERATIONS.md).

use std::process::ExitCode;

use anyhow::{Context, bail};
use workflow::port::store::Store;

use crate::app;
use crate::args::Backup;
use crate::settings::{Knobs, Settings};

/// Makes the copy.
pub(crate) async fn run(knobs: &Knobs, backup: &Backup) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    if settings.uses_postgres() {
        bail!(
            "PostgreSQL is backed up by its own tools: pg_dump, or a base backup with its log; see docs/OPERATIONS.md"
        );
    }
    let file = backup.file.display();
    let store = app::open_sqlite(&settings).await?;
    // A file that was not there is made by opening it.
    store.check().await?;
    store.back_up(&backup.file).await.with_context(|| format!("cannot back up to {file}"))?;
    println!("The database is in {file}. To check it: fincore verify --database-url sqlite:{file}");
    Ok(ExitCode::SUCCESS)
}
