//! A history as a story: what happened with the idle time between folded up, how long the payment stayed where, and what
//! each attempt came to.

use jiff::Timestamp;
use serde_json::Value;
use workflow::definition::EventKind;
use workflow::history::{HistoryRow, Verdict};
use workflow::timeline::{duration, lines};

use crate::humane::{age, between_ms, clock, instant, tone, words};

/// Nothing happened for so long: said as a line of its own.
const GAP_MS: i64 = 1_000;

/// A line of the timeline.
pub(super) struct Moment {
    /// For how long nothing happened before it, if that is worth saying.
    pub(super) idle: String,
    pub(super) seq: i64,
    pub(super) clock: String,
    pub(super) instant: String,
    pub(super) after: String,
    pub(super) who: String,
    pub(super) actor: String,
    pub(super) event: String,
    pub(super) state: String,
    pub(super) tone: &'static str,
    pub(super) told: String,
    pub(super) is_stale: bool,
    pub(super) data: String,
    pub(super) hash: String,
}

/// A stay in one state, as a part of a bar on which long times are folded up.
pub(super) struct Stay {
    pub(super) x: i64,
    pub(super) width: i64,
    pub(super) tone: &'static str,
    pub(super) told: String,
}

/// What became of one attempt.
pub(super) struct Attempt {
    pub(super) seq: i64,
    pub(super) activity: String,
    pub(super) number: i32,
    pub(super) began: String,
    pub(super) took: String,
    pub(super) came_to: String,
    pub(super) told: String,
    pub(super) backoff: String,
    pub(super) key: String,
}

pub(super) fn moments(rows: &[HistoryRow], now: Timestamp) -> Vec<Moment> {
    let mut before: Option<Timestamp> = None;
    let told = lines(rows).into_iter().zip(rows).map(|(line, row)| {
        let fact = &row.fact;
        let idle_ms = before.map_or(0, |before| between_ms(before, fact.at));
        before = Some(fact.at);
        Moment {
            idle: if idle_ms >= GAP_MS { duration(idle_ms) } else { String::new() },
            seq: row.seq,
            clock: clock(fact.at),
            instant: format!("{}, {} ago", instant(fact.at), age(fact.at, now)),
            after: duration(line.since_start_ms),
            who: line.who,
            actor: fact.actor.clone(),
            event: words(line.event),
            state: line.state.split(" → ").map(words).collect::<Vec<_>>().join(" → "),
            tone: tone(fact.to),
            told: line.told,
            is_stale: fact.verdict == Verdict::Stale,
            data: serde_json::to_string_pretty(&fact.data).unwrap_or_default(),
            hash: row.hash.to_string(),
        }
    });
    told.collect()
}

/// How wide the bar is.
const BAR: i64 = 1_000;

pub(super) fn stays(rows: &[HistoryRow], now: Timestamp) -> Vec<Stay> {
    let Some(first) = rows.first() else { return Vec::new() };
    let (mut here, mut since, mut all) = (first.fact.to, first.fact.at, Vec::new());
    for row in rows.iter().filter(|row| row.fact.from.is_some_and(|from| from != row.fact.to)) {
        all.push((here, between_ms(since, row.fact.at)));
        (here, since) = (row.fact.to, row.fact.at);
    }
    if !workflow::definition::has_ended(here) {
        all.push((here, between_ms(since, now).max(0)));
    }
    let wide = |ms: i64| folded(ms) + 4;
    let sum: i64 = all.iter().map(|(_, ms)| wide(*ms)).sum::<i64>().max(1);
    let mut x = 0;
    let stay = |(state, ms): (workflow::definition::State, i64)| {
        let width = wide(ms) * BAR / sum;
        let stay = Stay {
            x,
            width: (width - 2).max(2),
            tone: tone(state),
            told: format!("{} for {}", words(state.into()), duration(ms)),
        };
        x += width;
        stay
    };
    all.into_iter().map(stay).collect()
}

/// Ten times as long is a step wider: twice the bits, so to speak.
fn folded(ms: i64) -> i64 {
    i64::from(64 - ms.max(1).leading_zeros()) * 2
}

pub(super) fn attempts(rows: &[HistoryRow]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut since: Option<Timestamp> = None;
    for (line, row) in lines(rows).into_iter().zip(rows) {
        let fact = &row.fact;
        let text = |name: &str| fact.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if fact.event == EventKind::AttemptStarted {
            since = Some(fact.at);
            attempts.push(Attempt {
                seq: row.seq,
                activity: text("activity"),
                number: fact.attempt,
                began: clock(fact.at),
                took: String::new(),
                came_to: "under way, or lost".to_owned(),
                told: String::new(),
                backoff: String::new(),
                key: text("key"),
            });
            continue;
        }
        // What a worker writes until the next attempt is what this one came to; the last of it counts.
        let (Some(begun), Some(attempt)) = (since, attempts.last_mut()) else { continue };
        let is_lost = fact.data.get("why").and_then(Value::as_str) == Some("worker_lost");
        if fact.actor.starts_with("worker") || is_lost {
            attempt.took = duration(between_ms(begun, fact.at));
            attempt.came_to = words(fact.event.into());
            attempt.told = line.told;
            if let Some(ms) = fact.data.get("backoff_ms").and_then(Value::as_i64) {
                attempt.backoff = duration(ms);
            }
        }
    }
    attempts
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;
    use workflow::definition::State;
    use workflow::history::{Fact, Hash};
    use workflow::ids::PaymentId;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(ms)
    }

    fn history() -> Vec<HistoryRow> {
        let id = PaymentId::new(at(0), [1, 2]);
        let rows = [
            (0, EventKind::Started, "client:key", None, State::Created, json!({})),
            (
                5,
                EventKind::AttemptStarted,
                "worker:a",
                Some(State::Created),
                State::Authorizing,
                json!({"activity": "authorize", "key": "k"}),
            ),
            (
                25,
                EventKind::NotSent,
                "worker:a",
                Some(State::Authorizing),
                State::Authorizing,
                json!({"backoff_ms": 3_000}),
            ),
            (
                3_025,
                EventKind::AttemptStarted,
                "worker:b",
                Some(State::Authorizing),
                State::Authorizing,
                json!({"activity": "authorize", "key": "k"}),
            ),
            (3_045, EventKind::Accepted, "worker:b", Some(State::Authorizing), State::AwaitingWebhook, json!({})),
        ];
        let mut hash = Hash::ZERO;
        let rows = rows.into_iter().zip(1..).map(|((ms, event, actor, from, to, data), seq)| {
            let fact = Fact {
                at: at(ms),
                event,
                actor: actor.to_owned(),
                from,
                to,
                attempt: i32::from(seq > 3) + 1,
                verdict: Verdict::Applied,
                data,
                payload_hash: None,
            };
            let row = HistoryRow::chained(id, seq, fact, hash);
            hash = row.hash;
            row
        });
        rows.collect()
    }

    #[test]
    fn idle_time_is_said_once_and_short_times_are_not() {
        let idle: Vec<String> = moments(&history(), at(60_000)).into_iter().map(|moment| moment.idle).collect();
        assert_eq!(idle, ["", "", "", "3.0 s", ""]);
    }

    #[test]
    fn an_attempt_tells_what_it_came_to_and_when_the_next_one_comes() {
        let told: Vec<_> = attempts(&history())
            .into_iter()
            .map(|attempt| (attempt.number, attempt.took, attempt.came_to, attempt.backoff))
            .collect();
        let attempt = |number, took: &str, came_to: &str, backoff: &str| {
            (number, took.to_owned(), came_to.to_owned(), backoff.to_owned())
        };
        assert_eq!(told, [attempt(1, "20 ms", "not sent", "3.0 s"), attempt(2, "20 ms", "accepted", "")]);
    }

    #[test]
    fn stays_fill_the_bar_in_order() {
        let stays = stays(&history(), at(86_400_000));
        let told: Vec<&str> = stays.iter().map(|stay| stay.told.as_str()).collect();
        assert_eq!(told, ["created for 5 ms", "authorizing for 3.0 s", "awaiting webhook for 23 h 59 min"]);
        assert!(stays.windows(2).all(|pair| pair[0].x + pair[0].width <= pair[1].x));
        assert!(stays.last().is_some_and(|stay| stay.x + stay.width <= BAR));
    }
}
