//! AWS Step Functions as the clock: one execution a payment, of the state machine in `statemachine.asl.json`.
//!
//! The database is the truth, and Step Functions is told of it after each commit, behind the caller's back. What it asks
//! comes as messages of the ordinary queue ([`crate::message`]); a task whose payment stays where it is, is kept in the
//! database, so that whoever moves the payment can answer it. What could not be said is said by a later sweep, and what
//! is never said costs a timeout in Step Functions: it then asks again. Being told that a task has timed out, or does not
//! exist, is normal.
//!
//! Not here: what the state machine looks like; it is rendered from the definition (`workflow::asl`).

mod calls;
mod hearing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use jiff::SignedDuration;
use tokio::sync::OnceCell;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::port::executions::FIRST_LOOK_US;
use workflow::port::queue::Settlement;
use workflow::port::store::Store;
use workflow::port::timeouts::{Followed, Task, Timeouts};
use workflow::shared::Nothing;

use crate::connect::{self, AwsOptions};
use crate::sqs::SqsOptions;
use crate::sqs::batch::Batch;
use hearing::Said;

/// How long Step Functions has for a deadline, or for a worker that went silent, before a sweep sees to it.
pub const GRACE: Duration = Duration::from_secs(60);

/// What waits to be said. With more, Step Functions is not keeping up, and its own timeouts make it ask.
const ROOM: usize = 10_000;

/// Executions looked at in one sweep.
const SWEEP_LIMIT: u32 = 500;

/// What is left to Step Functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeping {
    /// The time of every payment, from its start on.
    All,
    /// What it already keeps: tasks are answered, and no execution is started. For the way back to the database's times.
    WhatItHas,
}

/// How Step Functions is used.
#[derive(Clone, Debug)]
pub struct SfnOptions {
    /// The state machine.
    pub state_machine_arn: String,
    /// The queue that it tells the workers by; a standard queue.
    pub queue_url: String,
    /// What is left to it.
    pub keeping: Keeping,
    /// Where AWS is.
    pub aws: AwsOptions,
}

impl SfnOptions {
    /// A state machine that tells this queue. Its region, where nothing else says it, is the one in its ARN.
    ///
    /// # Errors
    /// The ARN is no state machine's, or the queue cannot be told by it; says what to set.
    pub fn new(
        state_machine_arn: &str,
        queue: &SqsOptions,
        keeping: Keeping,
        endpoint_url: Option<String>,
    ) -> Result<Self, Unusable> {
        let parts: Vec<&str> = state_machine_arn.split(':').collect();
        let ["arn", _, "states", region, _, "stateMachine", ..] = parts.as_slice() else {
            return Err(Unusable::Arn(state_machine_arn.to_owned()));
        };
        if queue.is_fifo() {
            return Err(Unusable::Fifo(queue.queue_url.clone()));
        }
        let aws = AwsOptions { endpoint_url, region: Some((*region).to_owned()) };
        Ok(Self { state_machine_arn: state_machine_arn.to_owned(), queue_url: queue.queue_url.clone(), keeping, aws })
    }
}

/// Why Step Functions cannot keep the time with these settings.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// No state machine.
    #[error("{0} is no state machine's ARN (arn:aws:states:REGION:ACCOUNT:stateMachine:NAME)")]
    Arn(String),
    /// FIFO queues want a message group, which the state machine's messages have not.
    #[error("{0} is a FIFO queue; with Step Functions as the clock the queue has to be a standard one")]
    Fifo(String),
}

/// Who keeps the time: Step Functions when there are options for it, else the database alone.
#[must_use]
pub fn timeouts(options: Option<SfnOptions>, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Arc<dyn Timeouts> {
    match options {
        Some(options) => Arc::new(StepFunctions::open(options, Arc::clone(store), Arc::clone(clock))),
        None => Arc::new(Nothing),
    }
}

/// Step Functions as the clock.
pub struct StepFunctions {
    shared: Arc<Shared>,
    said: Batch<Said>,
}

/// What the tasks behind it use.
struct Shared {
    options: SfnOptions,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Made when first used, as the queue's is.
    client: OnceCell<Client>,
}

impl Shared {
    async fn client(&self) -> &Client {
        self.client.get_or_init(async || Client::new(&connect::config(&self.options.aws).await)).await
    }
}

impl StepFunctions {
    /// A clock. Nothing is called before something is said. Opens its lane on the runtime it is made in.
    #[must_use]
    pub fn open(options: SfnOptions, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self::with(OnceCell::new(), options, store, clock)
    }

    /// The same with a configuration of the caller's.
    #[must_use]
    pub fn over(config: &SdkConfig, options: SfnOptions, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self::with(OnceCell::new_with(Some(Client::new(config))), options, store, clock)
    }

    fn with(client: OnceCell<Client>, options: SfnOptions, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared { options, store, clock, client });
        let hearing = Arc::clone(&shared);
        let said = Batch::open(ROOM, move |said| {
            let shared = Arc::clone(&hearing);
            Box::pin(async move { shared.hear(said).await })
        });
        Self { shared, said }
    }

    fn say(&self, said: Said) {
        if self.said.put(said).is_err() {
            calls::unsaid(1);
        }
    }
}

#[async_trait]
impl Timeouts for StepFunctions {
    fn follow(&self, followed: Followed) {
        self.say(Said::Followed(followed));
    }

    fn take(&self, payment_id: PaymentId, seq: i64, task: Task) {
        self.say(Said::Asked { payment_id, seq, task });
    }

    fn refuse(&self, task: Task, why: String) {
        self.say(Said::Refused { task, why });
    }

    /// Step Functions brings another message: it is told how long to wait, or misses a sign of life.
    fn put_off(&self, delay: Duration) -> Settlement {
        match self.shared.options.keeping {
            Keeping::All => Settlement::Done,
            Keeping::WhatItHas => Settlement::Again(delay),
        }
    }

    fn grace(&self) -> Duration {
        match self.shared.options.keeping {
            Keeping::All => GRACE,
            Keeping::WhatItHas => Duration::ZERO,
        }
    }

    async fn sweep(&self) -> usize {
        self.shared.look(SWEEP_LIMIT).await
    }

    async fn flush(&self) {
        self.said.flush().await;
    }
}

/// When an execution that was just heard of is first looked at.
fn first_look(clock: &dyn Clock) -> jiff::Timestamp {
    clock.now().saturating_add(SignedDuration::from_micros(FIRST_LOOK_US)).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_with_what_to_set() {
        let queue = |name: &str| SqsOptions::new(format!("https://sqs.eu-central-1.amazonaws.com/1/{name}"), None);
        let arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:payments";
        let options = |arn, name| SfnOptions::new(arn, &queue(name), Keeping::All, None);
        assert_eq!(options(arn, "payments").unwrap().aws.region.as_deref(), Some("eu-west-1"));
        assert!(options("payments", "payments").unwrap_err().to_string().contains("stateMachine:NAME"));
        assert!(options(arn, "payments.fifo").unwrap_err().to_string().contains("standard"));
    }
}
