//! What a message says: version, payment and `seq`, and whether Step Functions asks with it; the trace goes with it as an
//! attribute.
//!
//! Messages written by an older or newer release are in the queue during every rollout, so the version is in the body.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use workflow::definition::State;
use workflow::ids::PaymentId;
use workflow::port::queue::Wake;
use workflow::port::timeouts::Task;

/// The attribute that carries the trace, as a W3C `traceparent`.
pub const TRACE_ATTRIBUTE: &str = "traceparent";

/// When a message that cannot be read is to come again: soon, because in a rollout the next worker may be able to read
/// it, and one that nobody can read should be on the dead-letter queue within the hour.
pub const UNREADABLE_PAUSE: Duration = Duration::from_secs(5);

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Body {
    v: u32,
    payment: PaymentId,
    seq: i64,
    /// What Step Functions adds to the messages that it sends itself.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    task: Option<TaskBody>,
}

/// As `statemachine.asl.json` writes it.
#[derive(Serialize, Deserialize)]
struct TaskBody {
    state: State,
    task_token: String,
    #[serde(default)]
    timed_out: bool,
}

impl From<TaskBody> for Task {
    fn from(body: TaskBody) -> Self {
        Self { token: body.task_token, state: body.state, timed_out: body.timed_out }
    }
}

/// A message that this release cannot read. It is left to the queue, which delivers it again (to a newer release,
/// perhaps) and in the end puts it on the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not what we write.
    #[error("the body is not {{\"v\":1,\"payment\":…,\"seq\":…}}")]
    Body(#[from] serde_json::Error),
    /// Written by another release.
    #[error("the message has version {0}, and this release reads version {VERSION}")]
    Version(u32),
}

/// The body that says this.
///
/// # Panics
/// Never: a struct of numbers and texts always becomes JSON.
#[must_use]
pub fn write(wake: &Wake) -> String {
    let body = Body { v: VERSION, payment: wake.payment_id, seq: wake.seq, task: None };
    serde_json::to_string(&body).expect("numbers and texts become JSON")
}

/// What a body and its trace say. A trace that cannot be read is left out: it explains, and decides nothing.
///
/// # Errors
/// The body is not one of ours, or of another version.
pub fn read(body: &str, trace: Option<&str>) -> Result<Wake, Unreadable> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }

    let Version { v } = serde_json::from_str(body)?;
    if v != VERSION {
        return Err(Unreadable::Version(v));
    }
    let Body { payment, seq, task, .. } = serde_json::from_str(body)?;
    let trace = trace.and_then(|trace| trace.parse().ok());
    Ok(Wake { trace, task: task.map(Task::from), ..Wake::of(payment, seq) })
}

/// Counts and logs a message that cannot be read.
pub fn report(error: &Unreadable, message_id: Option<&str>, receives: u32) {
    metrics::counter!("fincore_queue_unreadable_total").increment(1);
    let error = error as &dyn std::error::Error;
    tracing::error!(message_id, receives, error, "message cannot be read; its queue will give it up");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYMENT: &str = "ch_0197f3c2a1b47c6e8d5f00112233aaba";

    #[test]
    fn a_message_says_which_payment_and_how_far_it_was() {
        let wake = Wake::of(PAYMENT.parse().unwrap(), 3);
        let body = write(&wake);
        assert_eq!(body, format!(r#"{{"v":1,"payment":"{PAYMENT}","seq":3}}"#));
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = read(&body, Some(trace)).unwrap();
        assert_eq!((read.payment_id, read.seq), (wake.payment_id, 3));
        assert_eq!(read.trace.unwrap().to_string(), trace);
    }

    #[test]
    fn more_than_we_know_is_read_over_and_a_broken_trace_left_out() {
        let body = format!(r#"{{"v":1,"payment":"{PAYMENT}","seq":3,"why":"later"}}"#);
        assert_eq!(read(&body, Some("?")).unwrap().trace, None);
    }

    #[test]
    fn what_step_functions_asks_is_read_and_its_token_is_not_shown() {
        let of = |more: &str| read(&format!(r#"{{"v":1,"payment":"{PAYMENT}","seq":3{more}}}"#), None).unwrap().task;
        assert_eq!(of(""), None);
        let entered = of(r#","state":"authorized","task_token":"AQB""#).unwrap();
        assert_eq!(entered, Task { token: "AQB".into(), state: State::Authorized, timed_out: false });
        assert_eq!(format!("{entered:?}"), "Task(authorized entered)");
        assert!(of(r#","state":"authorized","task_token":"AQB","timed_out":true"#).unwrap().timed_out);
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        for body in ["", "{}", "[]", "{\"v\":1}", "{\"v\":1,\"payment\":\"ch_1\",\"seq\":3}", "{\"v\":\"1\"}", "\u{0}"]
        {
            assert!(matches!(read(body, None), Err(Unreadable::Body(_))), "{body}");
        }
        let newer = r#"{"v":2,"payments":["…"]}"#;
        assert!(matches!(read(newer, None), Err(Unreadable::Version(2))));
    }
}
