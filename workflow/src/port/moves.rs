//! Who waits for a payment learns here that it moved, in whatever process. A process listens once for all its clients.
//!
//! Losing news costs time: whoever waits looks again now and then ([`crate::waiting`]), and cached views of payments
//! ([`super::views`]), which a move outdates, live for seconds.

use async_trait::async_trait;

use crate::definition::State;
use crate::ids::PaymentId;

/// A payment moved. Says when to look; the row is the truth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Which.
    pub payment_id: PaymentId,
    /// Where its history stands.
    pub seq: i64,
    /// Where it stands.
    pub state: State,
}

/// What a listener learns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// A payment moved.
    Moved(Moved),
    /// Some may have: the listener came late, was too slow, or was cut off for a while.
    Missed,
}

/// Carries the news of moves from those who commit to those who wait.
#[async_trait]
pub trait Moves: Send + Sync {
    /// Says, after the commit, that a payment moved: wakes who waits for it, and outdates the view that was cached.
    /// Returns within a small bound, whatever is down; once it has, no view from before is found through a cache that
    /// could be reached.
    async fn announce(&self, moved: Moved);

    /// Waits for the next news of any process, this one included. One listener a process.
    async fn next(&self) -> News;
}
