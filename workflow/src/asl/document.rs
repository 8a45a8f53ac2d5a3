//! The parts of Amazon States Language that the document is written in, in the order in which a person reads them.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::definition::State;

/// A whole state machine.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    pub(super) comment: String,
    pub(super) query_language: &'static str,
    pub(super) start_at: &'static str,
    #[serde(serialize_with = "in_order")]
    pub(super) states: Vec<(String, Step)>,
}

fn in_order<S: Serializer>(states: &[(String, Step)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(states.iter().map(|(name, step)| (name, step)))
}

/// One of its states, of whatever type.
#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Step {
    pub(super) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) choices: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds_path: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<SentMessage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heartbeat_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result_selector: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result_path: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) retry: Vec<Retrier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) catch: Vec<Catcher>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Step {
    pub(super) fn of(r#type: &'static str) -> Self {
        Self { r#type, ..Self::default() }
    }

    pub(super) fn fails(error: &'static str, cause: &'static str) -> Self {
        Self { error: Some(error), cause: Some(cause), ..Self::of("Fail") }
    }
}

/// A message, and what goes with it to the workers' queue.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SentMessage {
    #[serde(rename = "QueueUrl.$")]
    queue_url: &'static str,
    pub(super) message_body: Message,
    message_attributes: Value,
}

impl SentMessage {
    pub(super) fn with(message_body: Message) -> Self {
        let trace = serde_json::json!({ "traceparent": { "DataType": "String", "StringValue.$": "$.trace" } });
        Self { queue_url: "$.queue_url", message_body, message_attributes: trace }
    }
}

/// A message as workers read it.
#[derive(Serialize)]
pub(super) struct Message {
    v: u32,
    #[serde(rename = "payment.$")]
    payment: &'static str,
    #[serde(rename = "seq.$")]
    seq: &'static str,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timed_out: Option<bool>,
    #[serde(rename = "task_token.$")]
    task_token: &'static str,
}

impl Message {
    pub(super) fn about(state: State) -> Self {
        let (payment, seq, task_token) = ("$.payment", "$.report.seq", "$$.Task.Token");
        Self { v: 1, payment, seq, state, timed_out: None, task_token }
    }
}

/// Tries again after an error.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Retrier {
    pub(super) error_equals: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backoff_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_delay_seconds: Option<u64>,
    pub(super) max_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jitter_strategy: Option<&'static str>,
}

impl Retrier {
    pub(super) fn never(error: &'static str) -> Self {
        Self {
            error_equals: [error],
            comment: None,
            interval_seconds: None,
            backoff_rate: None,
            max_delay_seconds: None,
            max_attempts: 0,
            jitter_strategy: None,
        }
    }
}

/// Goes elsewhere after an error.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Catcher {
    pub(super) error_equals: [&'static str; 1],
    pub(super) result_path: &'static str,
    pub(super) next: String,
}

/// Goes there under a condition, or under several at once.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Choice {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) and: Vec<Condition>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) only: Option<Condition>,
    pub(super) next: String,
}

/// About one value of the execution.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Condition {
    variable: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_equals: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numeric_greater_than: Option<u32>,
}

impl Condition {
    pub(super) fn equals(variable: &'static str, value: &'static str) -> Self {
        Self { variable, string_equals: Some(value), numeric_greater_than: None }
    }

    pub(super) fn positive(variable: &'static str) -> Self {
        Self { variable, string_equals: None, numeric_greater_than: Some(0) }
    }
}
