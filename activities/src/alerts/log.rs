//! Tells the log, at error level: what most places already watch.

use async_trait::async_trait;
use workflow::port::alert::{Alert, Alerter, NotTold};

/// Tells the log of the process that has claimed the letter.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAlert;

#[async_trait]
impl Alerter for LogAlert {
    fn name(&self) -> &'static str {
        "log"
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        tracing::error!(
            alert = alert.id(),
            payment = %alert.payment_id,
            reason = %alert.reason,
            last_error = alert.last_error,
            merchant = %alert.merchant_id,
            psp = alert.psp,
            amount = %alert.money,
            status = %alert.state,
            since = %alert.since,
            advice = alert.advice(),
            "payment needs a person: {}",
            alert.command()
        );
        Ok(())
    }
}
