//! The definition as a page for people, `docs/WORKFLOW.md`: a diagram, what each state waits for, every rule, and the
//! retry policies.
//!
//! Not here: prose about why the workflow is as it is; that stands in the table's own comments and the ADRs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use strum::VariantArray;

use crate::definition::{self, Definition, EventKind, Goal, Kind, Next, Rule, State, StateKind};
use crate::retry::RetryPolicy;
use crate::timeline::duration;

/// The page.
#[must_use]
pub fn render() -> String {
    let mut page = String::from(
        "<!-- Generated from the workflow definition by `cargo xtask generate`; do not edit. -->\n\
         # The workflows\n\n\
         A charge takes money, a refund gives money of a charge back. Each is a payment with a workflow of its own, and keeps \
         the version it started with.\n",
    );
    for kind in Kind::VARIANTS {
        let definition = definition::current(*kind);
        line(
            &mut page,
            &format!(
                "\n## The {kind} workflow\n\n\
                 Version {}, content `{}`.\n\n\
                 ### Diagram\n\n{}\n### States\n\n{}\n### Rules\n\n{}\n### Activities and retries\n\n{}",
                definition.version,
                definition.digest,
                diagram(definition),
                states(definition),
                rules(definition),
                activities(definition),
            ),
        );
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn line(page: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{line}");
}

/// The moves between states, but for rare ones and those into and out of review, each with the events that make it.
#[must_use]
pub fn moves(definition: &Definition) -> Vec<(State, State, Vec<String>)> {
    let mut arrows: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    for row in definition.reached() {
        for event in EventKind::VARIANTS {
            for goal in [Goal::Capture, Goal::Hold, Goal::Cancel] {
                if is_rare(row.state, *event) {
                    continue;
                }
                let to = match row.rule(*event).next(goal) {
                    Some(Next::To(to) | Next::FailOver(to)) if to != row.state => to,
                    Some(Next::Reverse) => State::Canceling,
                    Some(Next::To(_) | Next::FailOver(_) | Next::Stay | Next::Retry(_) | Next::RetryElsewhere(_))
                    | None => continue,
                };
                arrows.entry((row.state as usize, to as usize)).or_default().insert(event.to_string());
            }
        }
    }
    // Review can be reached from nearly everywhere; its arrows would hide the others.
    let is_shown = |(from, to): (State, State)| to != State::InReview && from != State::InReview;
    arrows
        .into_iter()
        .map(|((from, to), events)| (State::VARIANTS[from], State::VARIANTS[to], events.into_iter().collect()))
        .filter(|(from, to, _)| is_shown((*from, *to)))
        .collect()
}

/// The moves between states as a Mermaid diagram; events that lead the same way share an arrow.
fn diagram(definition: &Definition) -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> created\n");
    for (from, to, events) in moves(definition) {
        line(&mut text, &format!("    {from} --> {to}: {}", events.join(", ")));
    }
    for row in definition.reached() {
        if matches!(row.kind, StateKind::Ended) {
            line(&mut text, &format!("    {} --> [*]", row.state));
        }
    }
    text.push_str(
        "```\n\nLeft out for legibility: the ways into and out of `in_review`, what undoes money that moved after the end, and \
         captures and voids that nobody here asked for. The rules below have them all.\n",
    );
    text
}

/// Whether an event hardly ever leads on from a state: news of a payment that nobody has sent yet, and captures or voids
/// that nobody here has asked for.
fn is_rare(state: State, event: EventKind) -> bool {
    let unasked = matches!(event, EventKind::Captured | EventKind::Voided);
    let asked = matches!(
        state,
        State::Finalizing
            | State::AwaitingCapture
            | State::Canceling
            | State::Reconciling
            | State::AwaitingWebhook
            | State::Refunding
    );
    let requested = matches!(event, EventKind::AttemptStarted | EventKind::CancelRequested);
    (state == State::Created && !requested) || (unasked && !asked)
}

fn states(definition: &Definition) -> String {
    let mut text = String::from("| state | kind | until | what operators should know |\n|---|---|---|---|\n");
    for row in definition.reached() {
        let (kind, until) = match row.kind {
            StateKind::Works(activity) => (format!("activity `{activity}`"), "its retry policy ends".to_owned()),
            StateKind::Waits { deadline_ms, meaning } => {
                let deadline = duration(i64::try_from(deadline_ms).unwrap_or(i64::MAX));
                ("waits".to_owned(), format!("{deadline}, then {meaning}"))
            }
            StateKind::Ended | StateKind::Outside => ("ended".to_owned(), "–".to_owned()),
        };
        line(&mut text, &format!("| `{}` | {kind} | {until} | {} |", row.state, row.operators));
    }
    text
}

fn rules(definition: &Definition) -> String {
    let mut text = String::from(
        "*Stale* news is recorded and changes nothing; *refused* events are not recorded. A move by goal depends on \
         what the client wants: capture, hold (manual capture), cancel, or reverse (give money back).\n",
    );
    for row in definition.reached() {
        line(&mut text, &format!("\n#### {}\n\n| event | what it does |\n|---|---|", row.state));
        for event in EventKind::VARIANTS {
            line(&mut text, &format!("| `{event}` | {} |", rule(row.rule(*event))));
        }
    }
    text
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Move(to) => next(*to),
        Rule::ByGoal { .. } => {
            let mut ways: Vec<(String, Vec<String>)> = Vec::new();
            for goal in Goal::VARIANTS {
                let way = rule.next(*goal).map(next).unwrap_or_default();
                match ways.iter_mut().find(|(known, _)| *known == way) {
                    Some((_, goals)) => goals.push(goal.to_string()),
                    None => ways.push((way, vec![goal.to_string()])),
                }
            }
            let told: Vec<String> = ways.iter().map(|(way, goals)| format!("{}: {way}", goals.join(", "))).collect();
            told.join("; ")
        }
        Rule::Stale(why) => format!("stale: {why}"),
        Rule::Illegal(why) => format!("refused: {why}"),
    }
}

fn next(next: Next) -> String {
    match next {
        Next::To(state) => format!("→ `{state}`"),
        Next::Stay => "recorded, stays".to_owned(),
        Next::Retry(class) => format!("tried again by the policy for `{class}`; exhausted → `in_review`"),
        Next::FailOver(state) => {
            format!("soft, and another PSP account is named → `authorizing` there; else → `{state}`")
        }
        Next::RetryElsewhere(class) => format!(
            "tried again by the policy for `{class}`, the third time at the next PSP account if one is named; \
             exhausted → `in_review`"
        ),
        Next::Reverse => "→ `canceling`, to undo it; stale when that money is already accounted for".to_owned(),
    }
}

fn activities(definition: &Definition) -> String {
    let mut text = format!(
        "Delays have full jitter: uniformly chosen between zero and `initial × factor^(attempt − 1)`, at most `max delay`, \
         and never shorter than the PSP's `Retry-After`. A payment claimed {} times without coming to an end goes to review.\n\n\
         | activity | call timeout | lease | after | initial | factor | max delay | attempts | at most |\n|---|---|---|---|---|---|---|---|---|\n",
        definition.max_claims
    );
    let ms = |ms: u64| duration(i64::try_from(ms).unwrap_or(i64::MAX));
    for row in definition.runs() {
        for (class, policy) in [("not_sent", row.not_sent), ("throttled", row.throttled), ("unknown", row.unknown)] {
            let told =
                if policy.max_attempts > 1 { told(&policy) } else { "never repeated: asked instead | | | |".into() };
            let (timeout, lease) = (ms(row.call_timeout_ms), ms(row.lease_ms));
            line(&mut text, &format!("| `{}` | {timeout} | {lease} | `{class}` | {told} |", row.activity));
        }
    }
    text
}

fn told(policy: &RetryPolicy) -> String {
    let ms = |ms: u64| duration(i64::try_from(ms).unwrap_or(i64::MAX));
    format!(
        "{} | {} | {} | {} | {}",
        ms(policy.initial_ms),
        policy.factor,
        ms(policy.max_delay_ms),
        policy.max_attempts,
        ms(policy.max_elapsed_ms)
    )
}
