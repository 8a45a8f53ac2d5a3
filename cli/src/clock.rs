//! A clock that can be moved forward, for `fincore demo`: nobody wants to wait half an hour for a deadline.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use workflow::port::clock::{Clock, SystemClock};

/// The machine's clock, plus what it was moved forward by.
#[derive(Debug, Default)]
pub(crate) struct MovableClock {
    ahead_ms: AtomicI64,
}

impl MovableClock {
    /// Moves the clock forward.
    pub(crate) fn skip(&self, by: SignedDuration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::SeqCst));
        SystemClock.now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }
}
