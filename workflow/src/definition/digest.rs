//! The content of a definition as text, and its hash. A released version keeps its hash for ever.
//!
//! The text is also what a reviewer compares when a new version is proposed: one line per pair.

use std::fmt::Write as _;

use strum::VariantArray;

use super::{Definition, EventKind, Goal, Next, Rule, StateKind};
use crate::history::Hash;
use crate::retry::RetryPolicy;

/// Every rule, deadline and policy, one a line.
#[must_use]
pub fn content(definition: &Definition) -> String {
    let mut text = format!("{} {}\nmax_claims {}\n", definition.kind, definition.version, definition.max_claims);
    for row in &definition.states {
        let kind = match row.kind {
            StateKind::Works(activity) => format!("works {activity}"),
            StateKind::Waits { deadline_ms, .. } => format!("waits {deadline_ms} ms"),
            StateKind::Ended => "ended".to_owned(),
            StateKind::Outside => continue,
        };
        line(&mut text, &format!("{} {kind}", row.state));
        for event in EventKind::VARIANTS {
            line(&mut text, &format!("{} {event} {}", row.state, rule(row.rule(*event))));
        }
    }
    for row in definition.runs() {
        line(&mut text, &format!("{} call {} ms lease {} ms", row.activity, row.call_timeout_ms, row.lease_ms));
        for (class, policy) in [("not_sent", row.not_sent), ("throttled", row.throttled), ("unknown", row.unknown)] {
            line(&mut text, &format!("{} {class} {}", row.activity, self::policy(&policy)));
        }
    }
    text
}

/// SHA-256 of the content, in hexadecimal.
#[must_use]
pub fn digest(definition: &Definition) -> String {
    Hash::of(content(definition).as_bytes()).to_string()
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Move(to) => next(*to),
        Rule::ByGoal { .. } => {
            let ways: Vec<String> = Goal::VARIANTS
                .iter()
                .filter_map(|goal| rule.next(*goal).map(|to| format!("{goal}={}", next(to))))
                .collect();
            ways.join(" ")
        }
        Rule::Stale(_) => "stale".to_owned(),
        Rule::Illegal(_) => "illegal".to_owned(),
    }
}

fn next(next: Next) -> String {
    match next {
        Next::To(state) => format!("to:{state}"),
        Next::Stay => "stay".to_owned(),
        Next::Retry(class) => format!("retry:{class}"),
        Next::Reverse => "reverse".to_owned(),
        Next::FailOver(state) => format!("fail_over_or:{state}"),
        Next::RetryElsewhere(class) => format!("retry_elsewhere:{class}"),
    }
}

fn policy(policy: &RetryPolicy) -> String {
    format!(
        "initial {} ms factor {} max {} ms attempts {} elapsed {} ms",
        policy.initial_ms, policy.factor, policy.max_delay_ms, policy.max_attempts, policy.max_elapsed_ms
    )
}
