//! The retry schedule: exponential backoff with full jitter, as a pure function of a policy and a number.
//!
//! Not here: waiting. The chosen delay is written to the payment row as `next_wake_at` and to its history.

/// When an activity is tried again after an answer that moved no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Upper bound of the first delay, in milliseconds.
    pub initial_ms: u64,
    /// What the bound is multiplied by from one attempt to the next.
    pub factor: u64,
    /// The bound never grows beyond this, in milliseconds.
    pub max_delay_ms: u64,
    /// Attempts in one stay in a state, the first included.
    pub max_attempts: u32,
    /// Time in one stay in a state after which no further attempt begins, in milliseconds.
    pub max_elapsed_ms: u64,
}

/// A PSP that asks for more patience than this is heard, but not for longer.
pub const MAX_RETRY_AFTER_MS: u64 = 3_600_000;

impl RetryPolicy {
    /// The upper bound of the delay after the given attempt (1 for the first).
    #[must_use]
    pub fn bound_ms(&self, attempt: u32) -> u64 {
        let factor = self.factor.saturating_pow(attempt.saturating_sub(1));
        self.initial_ms.saturating_mul(factor).min(self.max_delay_ms)
    }

    /// A delay between zero and the bound, chosen by `random`; never shorter than what the PSP asked for.
    ///
    /// Full jitter: see "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    #[must_use]
    pub fn delay_ms(&self, attempt: u32, retry_after_ms: Option<u64>, random: u64) -> u64 {
        let jittered = random % (self.bound_ms(attempt) + 1);
        jittered.max(retry_after_ms.unwrap_or_default().min(MAX_RETRY_AFTER_MS))
    }

    /// Whether another attempt may begin after `attempt` attempts and `elapsed_ms` in this state.
    #[must_use]
    pub fn allows_another(&self, attempt: u32, elapsed_ms: u64) -> bool {
        attempt < self.max_attempts && elapsed_ms < self.max_elapsed_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { initial_ms: 500, factor: 2, max_delay_ms: 60_000, max_attempts: 8, max_elapsed_ms: 3_600_000 };

    #[test]
    fn the_bound_doubles_until_its_maximum() {
        let bounds: Vec<u64> = (1..=9).map(|attempt| POLICY.bound_ms(attempt)).collect();
        assert_eq!(bounds, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    }

    proptest! {
        #[test]
        fn a_delay_keeps_its_bounds(attempt in 0_u32.., random: u64, retry_after: Option<u64>) {
            let delay = POLICY.delay_ms(attempt, retry_after, random);
            let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER_MS);
            prop_assert!(delay >= asked);
            prop_assert!(delay <= POLICY.max_delay_ms.max(asked));
        }

        #[test]
        fn every_delay_up_to_the_bound_can_be_chosen(attempt in 1_u32..20, wanted in 0_u64..60_000) {
            let wanted = wanted % (POLICY.bound_ms(attempt) + 1);
            prop_assert_eq!(POLICY.delay_ms(attempt, None, wanted), wanted);
        }
    }
}
