//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use workflow::port::clock::{Clock, SystemClock};

/// Begins at the real time, so that what others sign is fresh, and then moves only by hand.
#[derive(Debug)]
pub struct TestClock {
    now_us: AtomicI64,
}

impl TestClock {
    /// A clock that stands at the real time.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemClock.now())
    }

    /// A clock that stands at this instant.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now_us: AtomicI64::new(now.as_microsecond()) }
    }

    /// Moves it forward.
    pub fn skip(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("tests skip less than a lifetime");
        self.now_us.fetch_add(by, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.now_us.load(Ordering::SeqCst)).expect("tests stay within time")
    }
}
