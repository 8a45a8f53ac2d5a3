//! How many requests an API key may make, counted over all processes.
//!
//! The algorithm is GCRA, a leaky bucket that keeps one number for each key: when the bucket will be empty. Here is its
//! arithmetic, in whole microseconds; a backend keeps the number and changes it atomically.
//!
//! Losing it costs: each process counts by itself, so a key may make as many times more requests as there are processes.

use async_trait::async_trait;

use crate::ids::ApiKeyId;

const MICROSECONDS: i64 = 1_000_000;

/// How many requests one key may make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// In the long run, each second; 1 to 10,000, so that a request's share is a good number of microseconds.
    pub per_second: u32,
    /// At once, after a pause; at least 1.
    pub burst: u32,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drawn {
    /// It may go on.
    Allowed(Quota),
    /// It may not.
    Refused {
        /// After how long one would be allowed, in milliseconds.
        retry_after_ms: u64,
        /// What is left.
        quota: Quota,
    },
}

/// What is left of a key's burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Requests that would be allowed at once.
    pub remaining: u32,
    /// After how long all of the burst is there again, in milliseconds.
    pub whole_after_ms: u64,
}

impl RateLimit {
    /// What one request costs, in microseconds.
    #[must_use]
    pub fn cost_us(self) -> i64 {
        MICROSECONDS / i64::from(self.per_second.max(1))
    }

    /// What the bucket holds, in microseconds.
    #[must_use]
    pub fn capacity_us(self) -> i64 {
        self.cost_us() * i64::from(self.burst.max(1))
    }

    /// Draws one request: the number to keep afterwards, if it changes, and the answer. `empty_at_us` is the number that
    /// was kept; one that no request can have left there is not believed.
    #[must_use]
    pub fn draw(self, empty_at_us: Option<i64>, now_us: i64) -> (Option<i64>, Drawn) {
        let filled = empty_at_us.map_or(0, |at| at.saturating_sub(now_us));
        let filled = if (0..=self.capacity_us()).contains(&filled) { filled } else { 0 };
        let after = filled + self.cost_us();
        if after > self.capacity_us() {
            return (None, self.answer(Verdict::Refused, filled));
        }
        (Some(now_us + after), self.answer(Verdict::Allowed, after))
    }

    /// The answer, from how full the bucket is afterwards.
    #[must_use]
    pub fn answer(self, verdict: Verdict, filled_us: i64) -> Drawn {
        let room = (self.capacity_us() - filled_us).max(0);
        let quota = Quota {
            remaining: u32::try_from(room / self.cost_us()).unwrap_or(u32::MAX),
            whole_after_ms: milliseconds(filled_us),
        };
        match verdict {
            Verdict::Allowed => Drawn::Allowed(quota),
            Verdict::Refused => Drawn::Refused { retry_after_ms: milliseconds(self.cost_us() - room), quota },
        }
    }
}

/// Whether there was room for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There was.
    Allowed,
    /// There was not.
    Refused,
}

/// Rounded up: who waits so long has waited enough.
fn milliseconds(us: i64) -> u64 {
    u64::try_from(us).unwrap_or_default().div_ceil(1_000)
}

/// Counts the requests of API keys. Every call returns within a small bound, whatever is down.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Counts one request.
    async fn draw(&self, key: ApiKeyId, limit: RateLimit) -> Drawn;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: RateLimit = RateLimit { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_is_allowed_and_then_one_request_each_interval() {
        let (mut kept, mut told) = (None, Vec::new());
        for at_ms in [0, 0, 0, 0, 99, 100, 100, 1_000] {
            let (next, drawn) = LIMIT.draw(kept, at_ms * 1_000);
            kept = next.or(kept);
            told.push(match drawn {
                Drawn::Allowed(quota) => format!("{at_ms}: {} left", quota.remaining),
                Drawn::Refused { retry_after_ms, .. } => format!("{at_ms}: in {retry_after_ms}"),
            });
        }
        assert_eq!(
            told.join(", "),
            "0: 2 left, 0: 1 left, 0: 0 left, 0: in 100, 99: in 1, 100: 0 left, 100: in 100, 1000: 2 left"
        );
    }

    #[test]
    fn a_number_that_no_request_left_is_not_believed() {
        for garbage in [i64::MAX, i64::MIN, 300_001] {
            assert!(matches!(LIMIT.draw(Some(garbage), 0), (Some(100_000), Drawn::Allowed(_))), "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn no_more_than_a_burst_and_the_rate_get_through_and_waiting_as_told_helps(
            per_second in 1_u32..=10_000, burst in 1_u32..50, gaps_us in prop::collection::vec(0_i64..200_000, 1..200),
        ) {
            let limit = RateLimit { per_second, burst };
            let (mut now, mut kept, mut allowed) = (0_i64, None, 0_i64);
            for gap in gaps_us {
                now += gap;
                let (next, drawn) = limit.draw(kept, now);
                kept = next.or(kept);
                match drawn {
                    Drawn::Allowed(quota) => {
                        allowed += 1;
                        prop_assert!(quota.remaining < burst);
                    }
                    Drawn::Refused { retry_after_ms, quota } => {
                        prop_assert_eq!(quota.remaining, 0);
                        let later = now + i64::try_from(retry_after_ms).unwrap() * 1_000;
                        prop_assert!(matches!(limit.draw(kept, later).1, Drawn::Allowed(_)));
                    }
                }
                prop_assert!(allowed <= i64::from(burst) + now / limit.cost_us());
            }
        }
    }
}
