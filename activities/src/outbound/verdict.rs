//! What follows from an attempt to deliver: pure.
//!
//! Source: the Standard Webhooks specification, "Delivery success and failure". Not here: the attempt
//! ([`super::sender`]).

use jiff::{SignedDuration, Timestamp};
use workflow::port::outbound::{DeliveryOutcome, Dispatch};
use workflow::retry::RetryPolicy;

use super::sender::Seen;

/// When an event that did not arrive is tried again: for three days, after 5 s at first and then less and less often, at
/// least every six hours; with full jitter, so half of that on average.
pub const AGAIN: RetryPolicy = RetryPolicy {
    initial_ms: 5_000,
    factor: 3,
    max_delay_ms: 6 * 3_600_000,
    max_attempts: 100,
    max_elapsed_ms: 3 * 24 * 3_600_000,
};

/// Gone: the receiver does not want to hear from us again.
const GONE: u16 = 410;

/// Statuses of a receiver that has too much to do: too many requests, bad gateway, unavailable, gateway timeout.
const BUSY: [u16; 4] = [429, 502, 503, 504];

/// How long nothing is sent to a receiver that has too much to do and does not say for how long.
const REST_MS: u64 = 1_000;

/// What follows.
pub(super) fn outcome(dispatch: &Dispatch, seen: &Seen, now: Timestamp, random: u64) -> DeliveryOutcome {
    let (status, retry_after_ms) = match seen {
        Seen::Answer { status, retry_after_ms, .. } => (Some(*status), *retry_after_ms),
        Seen::Nothing(_) => (None, None),
    };
    if status.is_some_and(|status| (200..300).contains(&status)) {
        return DeliveryOutcome::Delivered;
    }
    if status == Some(GONE) {
        return DeliveryOutcome::Gone;
    }
    let tries = u32::try_from(dispatch.tries).unwrap_or(1);
    let elapsed_ms = u64::try_from(now.duration_since(dispatch.since).as_millis()).unwrap_or_default();
    if !AGAIN.allows_another(tries, elapsed_ms) {
        return DeliveryOutcome::Exhausted;
    }
    let delay_ms = AGAIN.delay_ms(tries, retry_after_ms, random);
    let is_busy = status.is_some_and(|status| BUSY.contains(&status));
    let rest_ms = is_busy.then(|| retry_after_ms.unwrap_or(REST_MS));
    DeliveryOutcome::Again {
        next_at: later(now, delay_ms),
        endpoint_rests_until: rest_ms.map(|rest_ms| later(now, rest_ms.min(workflow::retry::MAX_RETRY_AFTER_MS))),
    }
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    now.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use workflow::ids::{EndpointId, EventId};
    use workflow::signing::SigningSecret;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn dispatch(tries: i32) -> Dispatch {
        Dispatch {
            event_id: EventId::new(at(0), [1, 1]),
            payment_id: None,
            endpoint_id: EndpointId::new(at(0), [2, 2]),
            attempt: tries + 7,
            tries,
            since: at(0),
            payload: "{}".to_owned(),
            url: "https://shop.example/".to_owned(),
            secret: SigningSecret::shared([1; 32]),
            former_secret: None,
            endpoint_fails: false,
        }
    }

    fn answer(status: u16, retry_after_ms: Option<u64>) -> Seen {
        Seen::Answer { status, retry_after_ms, said: String::new() }
    }

    #[test]
    fn statuses_mean_what_the_specification_says() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(outcome(&dispatch(1), &answer(status, None), at(1), 0), DeliveryOutcome::Delivered, "{status}");
        }
        assert_eq!(outcome(&dispatch(1), &answer(410, None), at(1), 0), DeliveryOutcome::Gone);
        for status in [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 422, 500, 599] {
            let again = outcome(&dispatch(1), &answer(status, None), at(1), 3_000);
            assert_eq!(again, DeliveryOutcome::Again { next_at: at(4), endpoint_rests_until: None }, "{status}");
        }
        for status in BUSY {
            let again = outcome(&dispatch(1), &answer(status, Some(120_000)), at(1), 3_000);
            let until = at(121);
            assert_eq!(again, DeliveryOutcome::Again { next_at: until, endpoint_rests_until: Some(until) }, "{status}");
            let again = outcome(&dispatch(1), &answer(status, None), at(1), 3_000);
            assert_eq!(again, DeliveryOutcome::Again { next_at: at(4), endpoint_rests_until: Some(at(2)) }, "{status}");
        }
        let again = outcome(&dispatch(1), &Seen::Nothing("no answer"), at(1), 3_000);
        assert_eq!(again, DeliveryOutcome::Again { next_at: at(4), endpoint_rests_until: None });
    }

    #[test]
    fn tries_go_on_for_three_days_and_then_end() {
        // The longest pauses there can be.
        let (mut now, mut tries) = (at(0), 0);
        let end = loop {
            tries += 1;
            match outcome(&dispatch(tries), &answer(500, None), now, u64::from(u32::MAX)) {
                DeliveryOutcome::Again { next_at, .. } => now = next_at,
                end @ (DeliveryOutcome::Delivered | DeliveryOutcome::Exhausted | DeliveryOutcome::Gone) => break end,
            }
        };
        assert_eq!(end, DeliveryOutcome::Exhausted);
        let elapsed = now.duration_since(at(0));
        assert!(elapsed >= DAY * 3 && elapsed <= DAY * 3 + SignedDuration::from_hours(6), "{elapsed}");
        assert!(tries >= 15, "{tries}");
    }

    #[test]
    fn a_wish_for_patience_is_heard_up_to_an_hour() {
        let again = outcome(&dispatch(1), &answer(503, Some(u64::MAX)), at(0), 0);
        let hour = at(3_600);
        assert_eq!(again, DeliveryOutcome::Again { next_at: hour, endpoint_rests_until: Some(hour) });
    }
}
