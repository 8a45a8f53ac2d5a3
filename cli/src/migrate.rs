//! `fincore migrate`: brings the schema up to this version.

use std::process::ExitCode;

use workflow::port::schema;

use crate::app::{self, Schema};
use crate::settings::{Knobs, Settings};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Applies the migrations that are missing. In a database that a newer release has migrated there is nothing to do.
pub(crate) async fn run(knobs: &Knobs) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let database = app::open(&settings, Schema::Migrate).await?;
    match database.store.check().await? {
        schema::Schema::Own => println!("The database has the schema of fincore {VERSION}."),
        schema::Schema::Newer { known, applied } => println!(
            "Nothing to do: the database has the schema of a newer release, up to migration {applied}. fincore {VERSION} knows \
             those up to {known} and can use it.",
        ),
    }
    Ok(ExitCode::SUCCESS)
}
