//! The definition as an Amazon States Language document, for those who let Step Functions own the timeouts.
//!
//! Each state that has not ended is a task that sends a message to the workers' queue and waits for its token; what
//! the engine reports back as `$.state` chooses the next one. The database stays the truth: a state that the engine
//! reports twice, late or not at all changes only when it is looked at.
//!
//! Not here: running it. That needs the Step Functions adapter.

use serde_json::{Map, Value, json};

use crate::definition::{self, ActivityRow, Definition, Kind, State, StateKind, StateRow};

/// Goes where the engine says the payment stands.
const ROUTE: &str = "Route";

/// Beyond the deadline, how long Step Functions gives the engine to act on it before it looks itself, in seconds.
const GRACE_SECONDS: u64 = 60;

/// The document, pretty-printed, with a newline at the end.
#[must_use]
pub fn render() -> String {
    let definition = definition::current(Kind::Charge);
    let mut states = Map::new();
    for row in definition.reached() {
        states.insert(name(row.state), state(definition, row));
    }
    states.insert(ROUTE.into(), route(definition));
    states.insert("UnknownState".into(), json!({
        "Type": "Fail",
        "Error": "UnknownState",
        "Cause": "The engine reported a state that this document does not know. Deploy the document of the running version.",
    }));
    let document = json!({
        "Comment": format!("FinCore charge workflow, version {}. Generated from the definition; do not edit.", definition.version),
        "QueryLanguage": "JSONPath",
        "StartAt": name(State::Created),
        "States": states,
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn state(definition: &Definition, row: &StateRow) -> Value {
    match row.kind {
        StateKind::Works(activity) => {
            let activity = definition.activity(activity);
            task(row, longest_stay_seconds(activity), Some(activity))
        }
        StateKind::Waits { deadline_ms, .. } => task(row, deadline_ms / 1_000 + GRACE_SECONDS, None),
        // A payment that failed is a workflow that succeeded: the execution's output tells which.
        StateKind::Ended | StateKind::Outside => json!({ "Type": "Succeed", "Comment": row.operators }),
    }
}

fn task(row: &StateRow, timeout_seconds: u64, activity: Option<&ActivityRow>) -> Value {
    let mut task = json!({
        "Type": "Task",
        "Comment": row.operators,
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {
            "QueueUrl.$": "$.queue_url",
            "MessageBody": {
                "v": 1,
                "payment.$": "$.payment",
                "seq.$": "$.seq",
                "state": row.state,
                "task_token.$": "$$.Task.Token",
            },
        },
        "TimeoutSeconds": timeout_seconds,
        "ResultPath": "$.report",
        "ResultSelector": { "state.$": "$.state", "seq.$": "$.seq" },
        "Catch": [{
            "ErrorEquals": ["States.ALL"],
            "ResultPath": "$.error",
            "Comment": "Out of time or out of retries: look again. The engine decides what that means.",
            "Next": name(row.state),
        }],
        "Next": ROUTE,
    });
    // In a waiting state, a deadline that passed is news and no error: it is caught, and the engine looks.
    if let (Some(task), Some(activity)) = (task.as_object_mut(), activity) {
        task.insert("Retry".into(), retries(activity));
    }
    task
}

fn retries(activity: &ActivityRow) -> Value {
    let policy = &activity.not_sent;
    json!([{
        "ErrorEquals": ["NotSent", "Throttled", "Sqs.SdkClientException", "Sqs.ThrottlingException"],
        "Comment": "The message did not get to a worker, or the worker handed it back.",
        "IntervalSeconds": (policy.initial_ms / 1_000).max(1),
        // Written as 2.0: one of the validators in use insists on a float.
        "BackoffRate": f64::from(u32::try_from(policy.factor).unwrap_or(u32::MAX)),
        "MaxDelaySeconds": (policy.max_delay_ms / 1_000).max(1),
        "MaxAttempts": policy.max_attempts,
        "JitterStrategy": "FULL",
    }])
}

/// The longest that a payment stays in a working state: its retry policies and one lease.
fn longest_stay_seconds(activity: &ActivityRow) -> u64 {
    let elapsed_ms = [activity.not_sent, activity.throttled, activity.unknown]
        .iter()
        .map(|policy| policy.max_elapsed_ms + policy.max_delay_ms)
        .max()
        .unwrap_or_default();
    (elapsed_ms + activity.lease_ms) / 1_000 + GRACE_SECONDS
}

fn route(definition: &Definition) -> Value {
    let choices: Vec<Value> = definition
        .reached()
        .map(|row| json!({ "Variable": "$.report.state", "StringEquals": row.state, "Next": name(row.state) }))
        .collect();
    json!({ "Type": "Choice", "Choices": choices, "Default": "UnknownState" })
}

/// `awaiting_webhook` as `AwaitingWebhook`: how states are written in ASL consoles.
fn name(state: State) -> String {
    format!("{state:?}")
}
