//! A payment's history as people read it: one line per row. `fincore show` prints it with times; tests compare it
//! without, like a ledger.
//!
//! Not here: colours and tables; whoever prints adds them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::definition::EventKind;
use crate::event::Timekeeper;
use crate::history::{Fact, HistoryRow, Verdict};
use crate::money::{Currency, Money};

/// One line of a timeline, in columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The row's number.
    pub seq: i64,
    /// Milliseconds since the first row.
    pub since_start_ms: i64,
    /// Where the payment stands after it; with where it came from, if that is elsewhere.
    pub state: String,
    /// What happened.
    pub event: &'static str,
    /// Who caused it, without the name: `client`, `worker`, `psp`, `clock`, `operator`.
    pub who: String,
    /// What there is to tell beyond that.
    pub told: String,
}

/// The lines of a history.
#[must_use]
pub fn lines(rows: &[HistoryRow]) -> Vec<Line> {
    let start = rows.first().map(|row| row.fact.at);
    rows.iter()
        .map(|row| Line {
            seq: row.seq,
            since_start_ms: start.map_or(0, |start| row.fact.at.as_millisecond() - start.as_millisecond()),
            state: state(&row.fact),
            event: row.fact.event.into(),
            who: row.fact.actor.split(':').next().unwrap_or_default().to_owned(),
            told: tell_row(&row.fact),
        })
        .collect()
}

/// The history as text without times, ids and random delays: equal histories have equal ledgers.
#[must_use]
pub fn ledger(rows: &[HistoryRow]) -> String {
    let mut text = String::new();
    for line in lines(rows) {
        let stale = rows.iter().any(|row| row.seq == line.seq && row.fact.verdict == Verdict::Stale);
        let mark = if stale { "  (stale)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:>2}  {:<8} {:<17} {}{mark}", line.seq, line.who, line.event, line.state);
    }
    text
}

fn state(fact: &Fact) -> String {
    match fact.from {
        Some(from) if from != fact.to => format!("{from} → {}", fact.to),
        Some(_) | None => fact.to.to_string(),
    }
}

/// What a row tells beyond its event.
fn tell_row(fact: &Fact) -> String {
    let mut told = tell(&fact.data);
    if let Some(keeper) = fact.actor.strip_prefix("clock:").and_then(|keeper| keeper.parse().ok()) {
        let whose = match keeper {
            Timekeeper::Database => "by the database's time",
            Timekeeper::StepFunctions => "by Step Functions",
        };
        told = if told.is_empty() { whose.to_owned() } else { format!("{whose} · {told}") };
    }
    if fact.event != EventKind::AttemptStarted {
        return told;
    }
    let text = |name: &str| fact.data.get(name).and_then(Value::as_str).unwrap_or_default();
    let intent = format!("{}, attempt {}, key {}", text("activity"), fact.attempt, text("key"));
    if told.is_empty() { intent } else { format!("{intent} · {told}") }
}

/// What an event's fields tell people: amounts, references, reasons, delays. Nothing that is not named here.
#[must_use]
pub fn tell(data: &Value) -> String {
    let mut parts = Vec::new();
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
    parts.extend(money(data));
    parts.extend(
        ["refund", "is", "psp_reference", "psp_refund", "why", "detail", "evidence", "reason", "verdict"]
            .into_iter()
            .filter_map(text),
    );
    if let Some(failure) = data.get("failure") {
        let code = |name: &str| failure.get(name).and_then(Value::as_str).map(str::to_owned);
        parts.extend(["category", "code", "decline_code"].into_iter().filter_map(code));
    }
    if let Some(charge) = data.pointer("/refund_of/charge").and_then(Value::as_str) {
        parts.push(format!("of {charge}"));
    }
    if let Some(ms) = data.get("backoff_ms").and_then(Value::as_u64) {
        parts.push(format!("again in {}", duration(i64::try_from(ms).unwrap_or(i64::MAX))));
    }
    if let Some(psp) = data.pointer("/failed_over_to/psp").and_then(Value::as_str) {
        parts.push(format!("on to {psp}"));
    }
    parts.extend(proposed(data));
    parts.extend(text("decided").map(|what| format!("said to be settled: {what}")));
    parts.extend(text("review").map(|review| format!("needs a person: {review}")));
    parts.extend(text("stale").map(|why| format!("old news: {why}")));
    parts.join(" · ")
}

/// What operators have proposed, approved or overtaken.
fn proposed(data: &Value) -> Vec<String> {
    let text = |path: &str| data.pointer(path).and_then(Value::as_str);
    let number = |path: &str| data.pointer(path).and_then(Value::as_i64);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(text("/resolution/outcome").map(|outcome| format!("that it ended as {outcome}")));
    parts.extend(number("/resolution/captured_minor").map(|minor| format!("captured {minor} minor units")));
    parts.extend(text("/resolution/psp_reference").map(str::to_owned));
    if let (Some(by), Some(row)) = (text("/approval/proposed_by"), number("/approval/proposal")) {
        parts.push(format!("proposed by {by} in row {row}"));
    }
    parts.extend(["/approval/evidence", "/approval/reason"].into_iter().filter_map(text).map(str::to_owned));
    parts.extend(number("/proposal").map(|row| format!("the proposal of row {row}")));
    parts.extend(number("/outdated_proposal").map(|row| format!("the proposal of row {row} is outdated")));
    parts
}

fn money(data: &Value) -> Option<String> {
    let read = |value: &Value| -> Option<Money> {
        let amount_minor = value.get("amount_minor")?.as_i64()?;
        let currency: Currency = value.get("currency")?.as_str()?.parse().ok()?;
        Some(Money { amount_minor, currency })
    };
    if let (Some(expected), Some(seen)) = (data.get("expected").and_then(read), data.get("seen").and_then(read)) {
        return Some(format!("expected {expected}, the PSP says {seen}"));
    }
    read(data).map(|money| money.to_string())
}

/// A length of time, in the unit people would use: `740 ms`, `12.5 s`, `3 min 20 s`, `2 h 5 min`, `6 d 12 h`.
#[must_use]
pub fn duration(ms: i64) -> String {
    let (s, min, h, d) = (1_000, 60_000, 3_600_000, 86_400_000);
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| {
        let rest = ms % big / small;
        if rest == 0 { format!("{} {unit}", ms / big) } else { format!("{} {unit} {rest} {small_unit}", ms / big) }
    };
    match ms {
        ms if ms < s => format!("{ms} ms"),
        ms if ms < min => format!("{}.{} s", ms / s, ms % s / 100),
        ms if ms < h => pair(min, "min", s, "s"),
        ms if ms < d => pair(h, "h", min, "min"),
        _longer => pair(d, "d", h, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_persons_did_is_told_with_both_of_them() {
        let approval = serde_json::json!({"approval": {
            "proposal": 7, "proposed_by": "ada", "evidence": "seen in the dashboard", "reason": "seen too",
        }});
        assert_eq!(tell(&approval), "proposed by ada in row 7 · seen in the dashboard · seen too");
        let proposal =
            serde_json::json!({"resolution": {"outcome": "succeeded", "captured_minor": 1200}, "reason": "seen"});
        assert_eq!(tell(&proposal), "seen · that it ended as succeeded · captured 1200 minor units");
        assert_eq!(tell(&serde_json::json!({"outdated_proposal": 7})), "the proposal of row 7 is outdated");
    }

    #[test]
    fn a_passed_time_is_told_with_whose_clock_it_was() {
        for (actor, whose) in
            [("clock:database", "by the database's time"), ("clock:step_functions", "by Step Functions")]
        {
            let fact = Fact {
                at: jiff::Timestamp::UNIX_EPOCH,
                event: EventKind::DeadlinePassed,
                actor: actor.to_owned(),
                from: None,
                to: crate::definition::State::Reconciling,
                attempt: 0,
                verdict: Verdict::Applied,
                data: serde_json::json!({}),
                payload_hash: None,
            };
            assert_eq!(tell_row(&fact), whose);
        }
    }

    #[test]
    fn a_duration_is_written_in_the_unit_people_would_use() {
        let written: Vec<String> =
            [0, 740, 12_500, 200_000, 7_500_000, 561_600_000].into_iter().map(duration).collect();
        assert_eq!(written, ["0 ms", "740 ms", "12.5 s", "3 min 20 s", "2 h 5 min", "6 d 12 h"]);
    }
}
