//! What processes tell each other about PSP accounts that do not answer. The circuit breaker of each process decides
//! for itself; hearing of the others' openings and closings spares it finding out alone.
//!
//! Losing it costs: each process makes the calls it takes to find out that a PSP is down, and one probe to find out
//! that it is back. No outcome depends on it.

use async_trait::async_trait;

/// What a circuit breaker did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakerNews {
    /// It opened.
    Opened {
        /// For how long altogether, in milliseconds.
        pause_ms: u64,
        /// How much of that is left, in milliseconds; when it is told, all of it.
        remaining_ms: u64,
    },
    /// The PSP answered a probe.
    Closed,
}

/// A piece of news with a name, so that each process heeds it once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// Chosen at random by the teller.
    pub id: u64,
    /// The news.
    pub news: BreakerNews,
}

/// The latest news of each PSP account's breakers. Every call returns within a small bound, whatever is down.
#[async_trait]
pub trait Breakers: Send + Sync {
    /// Tells the others. An opening is kept for as long as it lasts, a closing for a while.
    async fn tell(&self, psp: &str, told: Told);

    /// The latest that anybody told about this account; none when that is over, or cannot be found out.
    async fn latest(&self, psp: &str) -> Option<Told>;
}
