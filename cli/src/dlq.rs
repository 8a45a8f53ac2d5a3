//! `fincore dlq`: charges that wait for a person. What is listed comes from the row, whatever queue carries the work.
//!
//! Not here: what a redrive means and whether it is safe ([`workflow::decide::Redriving`]); the engine refuses what is
//! not.

mod list;
mod redrive;
mod returned;
mod show;

use std::process::ExitCode;
use std::sync::Arc;

use workflow::port::store::{DeadLetterRow, LetterFilter, LetterPlace, Store, StoreError};

use crate::args::dlq::Dlq;
use crate::settings::Knobs;

/// Letters read at a time.
const PAGE: u32 = 500;

/// Runs one of the commands.
pub(crate) async fn run(knobs: &Knobs, dlq: &Dlq) -> anyhow::Result<ExitCode> {
    match dlq {
        Dlq::List(list) => list::run(knobs, list).await,
        Dlq::Show(show) => show::run(knobs, show).await,
        Dlq::Redrive(redrive) => redrive::run(knobs, redrive).await,
    }
}

/// The pages of a list, newest first.
struct Pages {
    store: Arc<dyn Store>,
    filter: LetterFilter,
    after: Option<LetterPlace>,
}

impl Pages {
    fn of(store: Arc<dyn Store>, filter: LetterFilter) -> Self {
        Self { store, filter, after: None }
    }

    /// The next page; empty when there is none.
    async fn next(&mut self) -> Result<Vec<DeadLetterRow>, StoreError> {
        let page = self.store.dead_letters(&self.filter, self.after, PAGE).await?;
        self.after = page.last().map(DeadLetterRow::place).or(self.after);
        Ok(page)
    }
}
