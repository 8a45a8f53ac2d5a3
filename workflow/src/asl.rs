//! The definition as an Amazon States Language document, for those who let Step Functions keep the time.
//!
//! One execution a payment. Each state that has not ended is a task that sends a message to the workers' queue and waits for
//! its token; the engine answers it with where the payment stands, and that chooses the next one. The database stays the
//! truth: what Step Functions says twice, late or not at all changes only when somebody looks.
//!
//! A backoff is chosen by the engine, so it is a `Wait` for as long as the engine says. `Retry` is for messages that nobody
//! answered. Not here: who answers (the adapter in `workflow/aws`), and what a time that is over means.

mod document;

use serde_json::json;
use strum::VariantArray;

use crate::definition::{self, Activity, ActivityRow, Definition, Kind, StateKind, StateRow};
use crate::retry::RetryPolicy;
use document::{Catcher, Choice, Condition, Document, Message, Retrier, SentMessage, Step};

/// Goes where the engine says a charge stands.
const ROUTE: &str = "Route";

/// Goes where the engine says a refund stands.
const ROUTE_REFUND: &str = "RouteRefund";

const UNKNOWN_STATE: &str = "UnknownState";
const NOBODY_ANSWERED: &str = "NobodyAnswered";

/// What a state's time being over is called.
const TIMEOUT: &str = "States.Timeout";
const ANY_ERROR: &str = "States.ALL";

/// Beyond a lease, how long a worker may take to say that it is at it, or has been; for the message's way as well.
const ANSWER_SECONDS: u64 = 15;

/// How long a message that says the time is over may wait for its answer.
const TIMED_OUT_SECONDS: u64 = 60;

/// The document, pretty-printed, with a newline at the end.
#[must_use]
pub fn render() -> String {
    let mut states = Vec::new();
    for kind in Kind::VARIANTS {
        let definition = definition::current(*kind);
        states.push((route_name(*kind).to_owned(), route(definition)));
        definition.reached().for_each(|row| add(&mut states, definition, row));
    }
    states.push((
        UNKNOWN_STATE.to_owned(),
        Step::fails(
            UNKNOWN_STATE,
            "The engine reported a state that this document does not know; the database's own times take over. Deploy the document of the running version.",
        ),
    ));
    states.push((
        NOBODY_ANSWERED.to_owned(),
        Step::fails(
            NOBODY_ANSWERED,
            "No worker answered for a long time. The payment is safe in the database, whose own times take over. Look for workers that run without the state machine.",
        ),
    ));
    let [charge, refund] = [Kind::Charge, Kind::Refund].map(|kind| definition::current(kind).version);
    let comment = format!(
        "FinCore workflows: charge, version {charge}, and refund, version {refund}. Generated from the definition; do not edit."
    );
    let document = Document { comment, query_language: "JSONPath", start_at: ROUTE, states };
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// A state of the definition, with the one beside it in which a payment backs off, or its time is over.
fn add(states: &mut Vec<(String, Step)>, definition: &Definition, row: &StateRow) {
    let name = name(definition.kind, row);
    match row.kind {
        StateKind::Works(activity) => {
            let backoff = backoff(&name, row);
            states.push((name.clone(), works(definition, row, definition.activity(activity))));
            states.push((backoff_name(&name), backoff));
        }
        StateKind::Waits { deadline_ms, meaning } => {
            let timed_out = format!("{name}TimedOut");
            states.push((name, waits(definition, row, deadline_ms / 1_000, &timed_out)));
            states.push((timed_out, time_is_over(definition, row, meaning)));
        }
        // A payment that failed is a workflow that succeeded: the execution's output tells which.
        StateKind::Ended | StateKind::Outside => {
            states.push((name, Step { comment: Some(row.operators.to_owned()), ..Step::of("Succeed") }));
        }
    }
}

/// A worker has something to do. It gives a sign of life with what it commits meanwhile.
fn works(definition: &Definition, row: &StateRow, activity: &ActivityRow) -> Step {
    Step {
        heartbeat_seconds: Some(activity.lease_ms / 1_000 + ANSWER_SECONDS),
        retry: vec![unanswered(&activity.not_sent)],
        catch: vec![given_up()],
        ..task(definition, row, row.operators.to_owned(), longest_stay_seconds(activity))
    }
}

/// Somebody outside has something to do. That their time is over is news and no error.
fn waits(definition: &Definition, row: &StateRow, seconds: u64, timed_out: &str) -> Step {
    let over = Catcher { error_equals: [TIMEOUT], result_path: "$.error", next: timed_out.to_owned() };
    Step {
        retry: vec![Retrier::never(TIMEOUT), unanswered(&patient(definition))],
        catch: vec![over, given_up()],
        ..task(definition, row, row.operators.to_owned(), seconds)
    }
}

/// Says that the time is over; the engine decides what that means.
fn time_is_over(definition: &Definition, row: &StateRow, meaning: &str) -> Step {
    let mut step = Step {
        retry: vec![unanswered(&patient(definition))],
        catch: vec![given_up()],
        ..task(definition, row, format!("The time is over: {meaning}."), TIMED_OUT_SECONDS)
    };
    if let Some(parameters) = &mut step.parameters {
        parameters.message_body.timed_out = Some(true);
    }
    step
}

fn task(definition: &Definition, row: &StateRow, comment: String, timeout_seconds: u64) -> Step {
    Step {
        comment: Some(comment),
        resource: Some("arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
        parameters: Some(SentMessage::with(Message::about(row.state))),
        timeout_seconds: Some(timeout_seconds),
        result_selector: Some(json!({ "state.$": "$.state", "seq.$": "$.seq", "wait_s.$": "$.wait_s" })),
        result_path: Some("$.report"),
        next: Some(route_name(definition.kind).to_owned()),
        ..Step::of("Task")
    }
}

fn backoff(name: &str, row: &StateRow) -> Step {
    Step {
        comment: Some(format!("Backs off before it is {} again, for as long as the engine chose.", row.state)),
        seconds_path: Some("$.report.wait_s"),
        next: Some(name.to_owned()),
        ..Step::of("Wait")
    }
}

fn unanswered(policy: &RetryPolicy) -> Retrier {
    Retrier {
        error_equals: [ANY_ERROR],
        comment: Some("The queue was not told, or nobody answered, or a worker could do nothing with it: tell again."),
        interval_seconds: Some((policy.initial_ms / 1_000).max(1)),
        // Written as 2.0: one of the validators in use insists on a float.
        backoff_rate: Some(f64::from(u32::try_from(policy.factor).unwrap_or(u32::MAX))),
        max_delay_seconds: Some((policy.max_delay_ms / 1_000).max(1)),
        max_attempts: policy.max_attempts,
        jitter_strategy: Some("FULL"),
    }
}

fn given_up() -> Catcher {
    Catcher { error_equals: [ANY_ERROR], result_path: "$.error", next: NOBODY_ANSWERED.to_owned() }
}

/// How often a waiting state tells again: as patiently as the inquiry that follows most of them is repeated.
fn patient(definition: &Definition) -> RetryPolicy {
    definition.activity(Activity::Reconcile).not_sent
}

/// The longest that a payment stays in a working state: its retry policies and one lease.
fn longest_stay_seconds(activity: &ActivityRow) -> u64 {
    let elapsed_ms = [activity.not_sent, activity.throttled, activity.unknown]
        .iter()
        .map(|policy| policy.max_elapsed_ms + policy.max_delay_ms)
        .max()
        .unwrap_or_default();
    (elapsed_ms + activity.lease_ms) / 1_000 + ANSWER_SECONDS
}

fn route(definition: &Definition) -> Step {
    let mut choices = Vec::new();
    if definition.kind == Kind::Charge {
        let is_refund = Condition::equals("$.kind", Kind::Refund.into());
        choices.push(Choice { and: Vec::new(), only: Some(is_refund), next: ROUTE_REFUND.to_owned() });
    }
    for row in definition.reached() {
        let (name, state) = (name(definition.kind, row), row.state.into());
        let stands = || Condition::equals("$.report.state", state);
        if row.activity().is_some() {
            let and = vec![stands(), Condition::positive("$.report.wait_s")];
            choices.push(Choice { and, only: None, next: backoff_name(&name) });
        }
        choices.push(Choice { and: Vec::new(), only: Some(stands()), next: name });
    }
    Step {
        comment: Some(format!("Goes where the engine says the {} stands.", definition.kind)),
        choices,
        default: Some(UNKNOWN_STATE),
        ..Step::of("Choice")
    }
}

const fn route_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Charge => ROUTE,
        Kind::Refund => ROUTE_REFUND,
    }
}

fn backoff_name(name: &str) -> String {
    format!("{name}Backoff")
}

/// `awaiting_webhook` as `AwaitingWebhook`: how states are written in ASL consoles. Those of refunds say so.
fn name(kind: Kind, row: &StateRow) -> String {
    match kind {
        Kind::Charge => format!("{:?}", row.state),
        Kind::Refund => format!("Refund{:?}", row.state),
    }
}
