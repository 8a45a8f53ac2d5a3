//! Calls of Step Functions, and what their failures mean.

use aws_sdk_sfn::error::ProvideErrorMetadata;
use serde_json::json;
use workflow::port::timeouts::Standing;
use workflow::trace::TraceContext;

use super::Shared;
use super::hearing::Start;

/// What a failed task is called, as the `Retry` of `statemachine.asl.json` names it.
const NOT_WORKED_ON: &str = "NotWorkedOn";

/// Step Functions takes no longer cause, and nobody reads one.
const LONGEST_CAUSE: usize = 1_000;

/// Whether Step Functions has heard it, or need not hear it any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrived {
    Yes,
    No,
}

/// Counts what Step Functions was not told; its own timeouts make it ask.
pub(super) fn unsaid(words: usize) {
    if words > 0 {
        metrics::counter!("fincore_clock_unsaid_total").increment(words as u64);
    }
}

impl Shared {
    /// Starts an execution. One of the same name is this one.
    pub(super) async fn starts(&self, start: &Start) -> Arrived {
        let Start { standing, trace, again } = start;
        let id = standing.payment_id;
        let name = if *again { format!("{id}-{}", standing.seq) } else { id.to_string() };
        let trace = trace.unwrap_or_else(|| TraceContext::new([rand::random(), rand::random(), rand::random()]));
        let input = json!({
            "payment": id,
            "kind": <&str>::from(id.kind()),
            "queue_url": self.options.queue_url,
            "trace": trace.to_string(),
            "report": self.report(standing),
        });
        let call = self.client().await.start_execution().state_machine_arn(&self.options.state_machine_arn);
        arrived("start", call.name(name).input(input.to_string()).send().await)
    }

    /// Says where a payment stands, which ends the task.
    pub(super) async fn stands(&self, token: &str, standing: Standing) -> Arrived {
        let report = self.report(&standing).to_string();
        arrived("success", self.client().await.send_task_success().task_token(token).output(report).send().await)
    }

    /// Says that somebody is at it.
    pub(super) async fn lives(&self, token: &str) -> Arrived {
        arrived("heartbeat", self.client().await.send_task_heartbeat().task_token(token).send().await)
    }

    /// Says that this worker can do nothing with it.
    pub(super) async fn fails(&self, token: &str, why: &str) -> Arrived {
        let why: String = why.chars().take(LONGEST_CAUSE).collect();
        let call = self.client().await.send_task_failure().task_token(token).error(NOT_WORKED_ON).cause(why);
        arrived("failure", call.send().await)
    }

    /// What tasks are answered with, and executions begin with. Seconds are rounded up: a message that comes before its
    /// time is in vain.
    fn report(&self, standing: &Standing) -> serde_json::Value {
        let wait = standing.backs_off_for(self.clock.now()).unwrap_or_default();
        let wait_s = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
        json!({ "state": standing.state, "seq": standing.seq, "wait_s": wait_s })
    }
}

/// What came of a call. That a task is over, or an execution there already, is what late and repeated words come to.
fn arrived<T, E, R>(what: &'static str, outcome: Result<T, aws_sdk_sfn::error::SdkError<E, R>>) -> Arrived
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Err(error) = outcome else {
        metrics::counter!("fincore_clock_said_total", "what" => what).increment(1);
        return Arrived::Yes;
    };
    match error.code() {
        Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken" | "ExecutionAlreadyExists") => {
            metrics::counter!("fincore_clock_said_late_total", "what" => what).increment(1);
            Arrived::Yes
        }
        code => {
            unsaid(1);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(what, code, error, "Step Functions was not told; the database's times take over meanwhile");
            Arrived::No
        }
    }
}
