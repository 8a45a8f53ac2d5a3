//! What a clock outside ([`crate::port::timeouts`]) is still to be told: the part of the store that it needs.
//!
//! A row is there for as long as a payment waits where the clock's task stands, or for as long as the clock could not be
//! reached. What is due to be said follows from the row and from where the payment stands now, so moves of payments write
//! nothing here.

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::StoreError;
use crate::definition::State;
use crate::ids::PaymentId;

/// The pause before an execution is looked at for the first time, whether something was forgotten. It is four times as long
/// after each look, up to four hours. In microseconds.
pub const FIRST_LOOK_US: i64 = 60_000_000;

/// How often the pause grows.
pub const GROWTHS: i32 = 4;

/// A payment's execution at a clock outside, as far as it waits for our word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Execution {
    /// Whose.
    pub payment_id: PaymentId,
    /// The task that waits; none when the execution is yet to be started.
    pub token: Option<String>,
    /// The state that the task stands for.
    pub state: State,
    /// The stay that it stands for, by when that began.
    pub since: Timestamp,
    /// Where the history stood when the clock asked: of two tasks the later one counts.
    pub seq: i64,
}

/// Executions that wait for our word.
#[async_trait]
pub trait Executions: Send + Sync {
    /// Those of these payments.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn executions(&self, ids: &[PaymentId]) -> Result<Vec<Execution>, StoreError>;

    /// Keeps these, each in the place of an earlier one of its payment, to be looked at from `look_at` on.
    ///
    /// # Errors
    /// Nothing of the batch was kept.
    async fn keep_executions(&self, batch: &[Execution], look_at: Timestamp) -> Result<(), StoreError>;

    /// Forgets these, unless another token has come in the meantime.
    ///
    /// # Errors
    /// Nothing of the batch was forgotten: it is looked at again.
    async fn forget_executions(&self, batch: &[Execution]) -> Result<(), StoreError>;

    /// Those whose time to look has come, the longest waiting first. The next look at each comes after a pause that grows
    /// from [`FIRST_LOOK_US`] on, so others leave them alone.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn watch_executions(&self, now: Timestamp, limit: u32) -> Result<Vec<Execution>, StoreError>;
}
