//! The sweeper: finds what the queue forgot. Payments whose time has come, and webhooks that came before their payment.
//!
//! Not here: acting on what is found; the worker does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use workflow::engine::{Engine, EngineError};
use workflow::port::queue::Wake;
use workflow::port::store::{Due, WebhookEvent};

use crate::psps::Psps;

/// Payments in one sweep, at most. The next sweep takes the next ones, whatever became of these.
pub const SWEEP_LIMIT: u32 = 500;

/// Webhook events read at a time.
const MATCH_LIMIT: u32 = 100;

/// Such pages in one pass. More unmatched events than this are an alarm's business.
const MATCH_PAGES: usize = 20;

/// How long a repeated request gets the first answer byte for byte. Later ones get the payment as it then stands.
const ANSWERS_KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Answers dropped by one statement: it is over in milliseconds.
const DROP_LIMIT: u32 = 500;

/// Such statements in one pass. A pass every ten seconds drops a thousand answers a second, more than are written.
const DROP_BATCHES: usize = 20;

/// Finds what is due.
pub struct Sweeper {
    engine: Arc<Engine>,
    psps: Arc<Psps>,
    /// Where the last sweep ended, if it left something. Without it payments that stay due whatever is tried (a row that
    /// cannot be read, a workflow version that only newer binaries know) would fill every sweep and starve the rest.
    reached: Mutex<Option<Due>>,
}

impl Sweeper {
    /// A sweeper over this engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, psps: Arc<Psps>) -> Self {
        Self { engine, psps, reached: Mutex::new(None) }
    }

    /// Payments that have been due for longer than `grace`: the next ones after the last sweep's, and from the longest
    /// overdue on when that one came to the end. Nothing only when nothing is due.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn due(&self, grace: Duration) -> Result<Vec<Wake>, EngineError> {
        let after = *self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = self.engine.due(grace, after, SWEEP_LIMIT).await?;
        if due.is_empty() && after.is_some() {
            due = self.engine.due(grace, None, SWEEP_LIMIT).await?;
        }
        let reached = due.last().copied().filter(|_| due.len() >= SWEEP_LIMIT as usize);
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = reached;
        metrics::counter!("fincore_swept_total").increment(due.len() as u64);
        Ok(due.into_iter().map(|due| Wake::of(due.payment_id, due.seq)).collect())
    }

    /// Matches webhook events again that fitted no payment when they came.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn match_webhooks(&self) -> Result<(), EngineError> {
        let mut after = None;
        for _ in 0..MATCH_PAGES {
            let page = self.engine.unmatched_webhooks(after, MATCH_LIMIT).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.received_at);
            for kept in &page {
                self.match_again(kept).await;
            }
        }
        Ok(())
    }

    /// Drops stored answers to requests that are older than clients may rely on: a bounded number, and the rest with the
    /// next pass. Returns how many those were.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn drop_answers(&self) -> Result<u64, EngineError> {
        let before = self.engine.now().saturating_sub(ANSWERS_KEPT_FOR).unwrap_or(Timestamp::MIN);
        let mut dropped = 0;
        for _ in 0..DROP_BATCHES {
            let batch = self.engine.store().drop_answers(before, DROP_LIMIT).await?;
            dropped += batch;
            if batch < u64::from(DROP_LIMIT) {
                break;
            }
        }
        metrics::counter!("fincore_answers_dropped_total").increment(dropped);
        Ok(dropped)
    }

    /// One event that cannot be matched must not keep the others from it.
    async fn match_again(&self, kept: &WebhookEvent) {
        let Some(psp) = self.psps.get(&kept.psp) else { return };
        let Ok(notification) = psp.gateway.notification(&kept.body) else {
            tracing::warn!(psp = kept.psp, event = kept.event_id, "kept webhook cannot be read");
            return;
        };
        if let Err(error) = self.engine.match_again(kept, notification).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(psp = kept.psp, event = kept.event_id, error, "kept webhook not matched");
        }
    }
}
