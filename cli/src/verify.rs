//! `fincore verify`: recomputes every hash chain. What is archived is taken from its statement, or recomputed from its file.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::archives::{self, Statement, StoredHistory};
use workflow::port::store::Store;

use crate::app::{self, Schema};
use crate::archive::shelf::Shelf;
use crate::args::archive::Verify;
use crate::settings::{Knobs, Settings};

/// Payments read at a time.
const PAGE: u32 = 500;

/// How often a payment that moves is read again.
const READS: usize = 5;

/// Payments between two lines of progress.
const PROGRESS_EVERY: usize = 10_000;

/// What was found.
#[derive(Default)]
struct Tally {
    payments: usize,
    rows: usize,
    broken: usize,
    archived: Rows,
    recomputed: Rows,
}

/// Archived rows, and of how many payments they are.
#[derive(Default)]
struct Rows {
    payments: usize,
    rows: i64,
}

/// Walks over all payments; fails when one is not what was written.
pub(crate) async fn run(knobs: &Knobs, verify: Verify) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let (mut tally, mut shelf) = (Tally::default(), Shelf::of(verify.archive));
    let mut after = None;
    loop {
        let page = store.walk(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let ids: Vec<PaymentId> = page.iter().map(|payment| payment.id).collect();
        // Before the rows: those that a statement speaks of are gone by then.
        let statements = store.statements(&ids).await?;
        for (payment, statement) in page.into_iter().zip(statements) {
            let id = payment.id;
            if let Err(error) = tally.verify(&store, &mut shelf, payment, statement).await {
                tally.broken += 1;
                println!("{id}  {error:#}");
            }
            tally.payments += 1;
            if tally.payments % PROGRESS_EVERY == 0 {
                eprintln!("… {} payments, {} rows, {} broken", tally.payments, tally.rows, tally.broken);
            }
        }
    }
    let Tally { payments, rows, broken, archived, recomputed } = tally;
    println!("{payments} payments with {rows} rows of history verified; {broken} broken.");
    if recomputed.payments > 0 {
        let Rows { payments, rows } = recomputed;
        println!("Beside them, {rows} archived rows of {payments} payments were recomputed from their files.");
    }
    if archived.payments > 0 {
        let Rows { payments, rows } = archived;
        println!(
            "Beside them, {rows} rows of {payments} payments are archived and were not recomputed: name their files with --archive."
        );
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tally {
    async fn verify(
        &mut self,
        store: &Arc<dyn Store>,
        shelf: &mut Shelf,
        payment: Payment,
        statement: Option<Statement>,
    ) -> anyhow::Result<()> {
        let history = read(store, payment, statement).await?;
        self.rows += history.rows.len();
        let Some(statement) = history.archived else { return Ok(()) };
        let counted = if shelf.is_empty() {
            &mut self.archived
        } else {
            shelf.verify(&statement)?;
            &mut self.recomputed
        };
        counted.payments += 1;
        counted.rows += statement.prefix.seq;
        Ok(())
    }
}

/// A payment's history, verified. It is read apart from the payment and the statement; when it moved in between, or was archived,
/// all are read again.
async fn read(
    store: &Arc<dyn Store>,
    mut payment: Payment,
    statement: Option<Statement>,
) -> anyhow::Result<StoredHistory> {
    let rows = store.history(payment.id).await?;
    let mut history = StoredHistory { archived: statement, rows };
    for _ in 0..READS {
        let Err(broken) = history.verify(&payment) else { return Ok(history) };
        let has_moved = history.rows.last().is_some_and(|last| last.seq > payment.seq);
        // The payment first: the history that is read then reaches at least as far.
        let fresh = store.load(&[payment.id]).await?.pop().flatten();
        let again = archives::history_of(store.as_ref(), payment.id).await?;
        let was_archived = history.archived.is_none() && again.archived.is_some();
        if !has_moved && !was_archived {
            return Err(broken.into());
        }
        history = again;
        payment = fresh.context("the payment is gone, its history is not")?;
    }
    anyhow::bail!("it moved each time it was read; verify again when it rests")
}
