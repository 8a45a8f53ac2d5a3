//! How the activities of both workflows, version 1, are run: time limits, leases and retries.
//!
//! Not here: what their outcomes mean; those are the tables in `charge_v1.rs` and
//! `refund_v1.rs`.

use strum::EnumCount;

use super::{Activity, ActivityRow};
use crate::retry::RetryPolicy;

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

const NEVER: RetryPolicy =
    RetryPolicy { initial_ms: 0, factor: 1, max_delay_ms: 0, max_attempts: 1, max_elapsed_ms: 0 };

/// Time bounds it, not the number: an outage of a quarter of an hour shall not need a person.
const NOT_SENT: RetryPolicy =
    RetryPolicy { initial_ms: SECOND, factor: 2, max_delay_ms: 2 * MINUTE, max_attempts: 80, max_elapsed_ms: HOUR };

const THROTTLED: RetryPolicy = RetryPolicy {
    initial_ms: 2 * SECOND,
    factor: 2,
    max_delay_ms: 5 * MINUTE,
    max_attempts: 80,
    max_elapsed_ms: 2 * HOUR,
};

/// An inquiry changes nothing, so it is patient: the money's fate is worth a day of asking.
const INQUIRE: RetryPolicy =
    RetryPolicy { initial_ms: 2 * SECOND, factor: 2, max_delay_ms: 30 * MINUTE, max_attempts: 60, max_elapsed_ms: DAY };

/// Calls that move money. A card authorization rarely takes 10 s; waiting longer only delays asking what happened.
const CALL_TIMEOUT: u64 = 20 * SECOND;

const fn acts(activity: Activity) -> ActivityRow {
    ActivityRow {
        activity,
        call_timeout_ms: CALL_TIMEOUT,
        lease_ms: 3 * CALL_TIMEOUT,
        not_sent: NOT_SENT,
        throttled: THROTTLED,
        unknown: NEVER,
    }
}

/// One row an activity, in the order of [`Activity`].
pub(super) const ROWS: [ActivityRow; Activity::COUNT] = [
    acts(Activity::Authorize),
    ActivityRow {
        activity: Activity::Reconcile,
        call_timeout_ms: CALL_TIMEOUT,
        lease_ms: 2 * CALL_TIMEOUT,
        not_sent: INQUIRE,
        throttled: INQUIRE,
        unknown: INQUIRE,
    },
    acts(Activity::Finalize),
    acts(Activity::Cancel),
    acts(Activity::Refund),
];
