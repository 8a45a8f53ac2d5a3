//! `fincore migrate`, `fincore dead-letters` and `fincore redrive`: small things operators do.

use std::process::ExitCode;
use std::sync::Arc;

use activities::psps::Psps;
use anyhow::Context;
use workflow::decide::Decided;
use workflow::engine::operator::{Redrive as Order, Redriven};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::LetterFilter;

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

/// Dead letters shown at a time.
const LETTERS: u32 = 100;

/// Lists the charges that needed a person.
pub(crate) async fn dead_letters(knobs: &Knobs) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let letters = store.dead_letters(&LetterFilter::default(), None, LETTERS).await?;
    for row in &letters {
        println!("{}  {}  {:<18} now {}", row.at, row.payment_id, row.letter.reason.to_string(), row.state);
    }
    println!(
        "{} dead letters. `fincore show` tells a story, `fincore redrive` sends a charge back to work.",
        letters.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// Sends a charge in review back to work.
pub(crate) async fn redrive(knobs: &Knobs, redrive: &Redrive) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    // A redrive calls no PSP, so it needs no account's secrets.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shared = app::shared(&settings, Workers::Elsewhere, &clock)?;
    let queue = app::queue(&settings, Workers::Elsewhere).await;
    let engine = app::engine(store, Arc::clone(&queue), &Psps::default(), clock, &shared);
    let order = Order { operator: redrive.operator.clone(), why: redrive.reason.clone(), decided: Decided::No };
    let redriven = engine.redrive(redrive.charge, &order).await;
    queue.close().await;
    match redriven.with_context(|| format!("{} was not redriven", redrive.charge))? {
        Redriven::Refused(why) => anyhow::bail!("{} was not redriven: {why}", redrive.charge),
        Redriven::Sent(charge) => {
            println!("{} is {} now: a worker asks the PSP before it repeats anything.", charge.id, charge.state);
            Ok(ExitCode::SUCCESS)
        }
    }
}
