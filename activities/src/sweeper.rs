//! The sweeper: finds what the queue forgot. Payments whose time has come, and webhooks that came before their payment.
//!
//! Not here: acting on what is found; the worker does.

use std::sync::Arc;
use std::time::Duration;

use workflow::engine::{Engine, EngineError};
use workflow::port::gateway::WebhookRefused;
use workflow::port::queue::Wake;

use crate::psps::Psps;

/// Payments in one sweep. The next sweep takes the next ones.
const SWEEP_LIMIT: u32 = 500;

/// Webhook events in one sweep.
const MATCH_LIMIT: u32 = 100;

/// Finds what is due.
pub struct Sweeper {
    engine: Arc<Engine>,
    psps: Arc<Psps>,
}

impl Sweeper {
    /// A sweeper over this engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, psps: Arc<Psps>) -> Self {
        Self { engine, psps }
    }

    /// Payments that have been due for longer than `grace`.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn due(&self, grace: Duration) -> Result<Vec<Wake>, EngineError> {
        let due = self.engine.due(grace, SWEEP_LIMIT).await?;
        metrics::counter!("fincore_swept_total").increment(due.len() as u64);
        Ok(due.into_iter().map(|due| Wake { payment_id: due.payment_id, seq: due.seq, snapshot: None }).collect())
    }

    /// Matches webhook events again that fitted no payment when they came.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn match_webhooks(&self) -> Result<(), EngineError> {
        for kept in self.engine.unmatched_webhooks(MATCH_LIMIT).await? {
            let Some(psp) = self.psps.get(&kept.psp) else { continue };
            match psp.gateway.notification(&kept.body) {
                Ok(notification) => {
                    self.engine.match_again(&kept, notification).await?;
                }
                Err(refused @ WebhookRefused::Unreadable) => {
                    tracing::error!(psp = kept.psp, event = kept.event_id, %refused, "kept webhook cannot be read");
                }
                Err(
                    WebhookRefused::SignatureMissing
                    | WebhookRefused::SignatureMismatch
                    | WebhookRefused::TimestampOutsideTolerance,
                ) => {}
            }
        }
        Ok(())
    }
}
