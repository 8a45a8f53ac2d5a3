//! `fincore verify`: recomputes every hash chain.

use std::process::ExitCode;

use workflow::history;

use crate::app::{self, Schema};
use crate::settings::{Knobs, Settings};

/// Payments read at a time.
const PAGE: u32 = 500;

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
            let mut history = store.history(payment.id).await?;
            let verified = match history::verify(payment, &history) {
                Ok(()) => Ok(()),
                Err(error) => {
                    // Both were read apart; a payment that moved in between is read again, in one piece with its end.
                    let fresh = store.load(&[payment.id]).await?.pop().flatten();
                    history = store.history(payment.id).await?;
                    fresh.map_or(Err(error), |fresh| history::verify(&fresh, &history))
                }
            };
            if let Err(error) = verified {
                broken += 1;
                println!("{}  {error}", payment.id);
            }
            payments += 1;
            rows += history.len();
            if payments % PROGRESS_EVERY == 0 {
                eprintln!("… {payments} payments, {rows} rows, {broken} broken");
            }
        }
    }
    println!("{payments} payments with {rows} rows of history verified; {broken} broken.");
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
