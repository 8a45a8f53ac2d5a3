//! `fincore verify`: recomputes every hash chain.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use workflow::history;
use workflow::payment::Payment;
use workflow::port::store::Store;

use crate::app::{self, Schema};
use crate::settings::{Knobs, Settings};

/// Payments read at a time.
const PAGE: u32 = 500;

/// How often a payment that moves is read again.
const READS: usize = 5;

/// Payments between two lines of progress.
const PROGRESS_EVERY: usize = 10_000;

/// Walks over all payments; fails when one is not what was written.
pub(crate) async fn run(knobs: &Knobs) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let (mut payments, mut rows, mut broken) = (0_usize, 0_usize, 0_usize);
    let mut after = None;
    loop {
        let page = store.walk(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for payment in &page {
            match verify(&store, payment).await {
                Ok(verified) => rows += verified,
                Err(error) => {
                    broken += 1;
                    println!("{}  {error:#}", payment.id);
                }
            }
            payments += 1;
            if payments % PROGRESS_EVERY == 0 {
                eprintln!("… {payments} payments, {rows} rows, {broken} broken");
            }
        }
    }
    println!("{payments} payments with {rows} rows of history verified; {broken} broken.");
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Verifies one payment and returns its number of rows. It is read apart from its history; when it moved in between, both
/// are read again.
async fn verify(store: &Arc<dyn Store>, payment: &Payment) -> anyhow::Result<usize> {
    let mut payment = payment.clone();
    for _ in 0..READS {
        let history = store.history(payment.id).await?;
        match history::verify(&payment, &history) {
            Ok(()) => return Ok(history.len()),
            Err(broken) if history.last().is_none_or(|last| last.seq <= payment.seq) => return Err(broken.into()),
            Err(_moved) => {
                let fresh = store.load(&[payment.id]).await?.pop().flatten();
                payment = fresh.context("the payment is gone, its history is not")?;
            }
        }
    }
    anyhow::bail!("it moved each time it was read; verify again when it rests")
}
