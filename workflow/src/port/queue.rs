//! The queue says when to look; the row is the truth. Losing, doubling or delaying what is told here changes nothing
//! but time: the sweeper finds what was forgotten.

use async_trait::async_trait;

use crate::ids::PaymentId;
use crate::payment::Payment;

/// "Look at this payment."
#[derive(Clone, Debug)]
pub struct Wake {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Where its history stood when this was said.
    pub seq: i64,
    /// What the teller had just committed: saves the listener a read, and is never trusted beyond that, because
    /// every update compares `seq`. Queues between processes leave it out.
    pub snapshot: Option<Box<Payment>>,
}

/// A queue that could not be reached. The payment is safe; the sweeper will tell of it.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not take the message; the sweeper will find the payment")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Carries wakes from those who commit to those who work.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Says "look" for some payments. Never waits for a listener.
    ///
    /// # Errors
    /// The queue could not be reached; the caller logs it and goes on.
    async fn tell(&self, wakes: Vec<Wake>) -> Result<(), QueueError>;

    /// Waits for wakes, at least one and at most `max`.
    ///
    /// # Errors
    /// The queue could not be reached; the caller waits a little and comes again.
    async fn receive(&self, max: usize) -> Result<Vec<Wake>, QueueError>;
}
