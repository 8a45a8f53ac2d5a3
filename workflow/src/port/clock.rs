//! Time and chance, as parameters. The core never reads a clock or rolls dice itself, so tests own both.

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, to the microsecond (finer parts are cut: databases do not keep them).
    fn now(&self) -> Timestamp;
}

/// Rolls dice, for ids and backoffs. Nothing secret comes from here.
pub trait Random: Send + Sync {
    /// A uniformly chosen number.
    fn next(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn now(&self) -> Timestamp {
        truncate(Timestamp::now())
    }
}

/// The thread's random number generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        rand::random()
    }
}

/// The instant with everything below a microsecond cut off.
#[must_use]
pub fn truncate(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
