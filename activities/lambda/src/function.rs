//! One invocation: a batch of messages, or a sweep.
//!
//! A batch is claimed together (what its payments ask of the store in the same moment goes in one statement), worked on
//! concurrently and recorded as results come. What is to come again gets its delay from us and is returned as failed,
//! which is how Lambda is told not to delete it. Nothing is begun that could outlive the invocation.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use activities::census::Counted;
use activities::psps::Psps;
use activities::sweeper::Sweeper;
use activities::worker::{LEAST_WORK_TIME, Until, Worker, WorkerOptions};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Context, Error, LambdaEvent};
use serde_json::{Value, json};
use workflow::engine::Engine;
use workflow::port::alert::Alerter;
use workflow::port::clock::{Clock, SystemClock, SystemRandom};
use workflow::port::moves::Moves;
use workflow::port::queue::{Delivery, Queue, Receipt, Settlement};
use workflow::port::store::Store;
use workflow_aws::message::{self, TRACE_ATTRIBUTE, UNREADABLE_PAUSE};
use workflow_aws::sfn::{self, SfnOptions};
use workflow_aws::sqs::{self, SqsQueue};
use workflow_otel::Traces;

/// Kept free at the end of an invocation: for messages to be put off, and the answer to be sent.
const LAST: SignedDuration = SignedDuration::from_millis(1_500);

/// With a shorter timeout than this, the function would hand everything back and never work.
const LEAST_TIMEOUT: Duration = LEAST_WORK_TIME.saturating_add(Duration::from_secs(2));

/// What traces may take of an invocation. A collector that does not answer must not make each batch slow.
const TRACES: Duration = Duration::from_millis(500);

/// Payments of one batch that are worked on at the same time. A batch may hold 10,000 messages; each payment at work
/// may hold a connection to its PSP.
const CONCURRENCY: usize = 256;

/// Pages of one sweep. With more that is due than fills them, the next sweep goes on.
const SWEEP_PAGES: usize = 20;

/// What a cold start opens, whatever it was opened from.
pub struct Parts {
    /// Payments.
    pub store: Arc<dyn Store>,
    /// What is told, and what is put off.
    pub queue: Arc<SqsQueue>,
    /// The accounts.
    pub psps: Arc<Psps>,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// Who hears of moves.
    pub moves: Arc<dyn Moves>,
    /// How Step Functions is reached, when it keeps the time of payments.
    pub step_functions: Option<SfnOptions>,
    /// Where dead letters are told of.
    pub alerts: Vec<Arc<dyn Alerter>>,
    /// What sends traces, if anything does.
    pub traces: Option<Traces>,
    /// Names this function in leases and history.
    pub name: String,
}

/// The function, ready for events.
pub struct Function {
    worker: Worker,
    engine: Arc<Engine>,
    queue: Arc<SqsQueue>,
    sweeper: Sweeper,
    /// The names of the accounts.
    psps: Vec<String>,
    traces: Option<Traces>,
}

impl Function {
    /// A function made of these parts. Opens its lanes on the runtime it is made in.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { store, queue, psps, clock, moves, step_functions, alerts, traces, name } = parts;
        let (random, capabilities) = (Arc::new(SystemRandom), psps.capabilities());
        let names = capabilities.keys().cloned().collect();
        let timeouts = sfn::timeouts(step_functions, &store, &clock);
        let engine = Engine::new(store, Arc::clone(&queue) as _, clock, random, capabilities);
        let engine = Arc::new(engine.announcing(moves).timed_by(timeouts));
        let options = WorkerOptions { name, ..WorkerOptions::default() };
        let sweeper = Sweeper::new(Arc::clone(&engine), Arc::clone(&psps));
        let worker = Worker::new(Arc::clone(&engine), psps, options).alerting(alerts);
        Self { worker, engine, queue, sweeper, psps: names, traces }
    }

    /// Answers one event.
    ///
    /// # Errors
    /// It is no event of ours, or a sweep found no database; Lambda invokes again.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        let LambdaEvent { payload, context } = event;
        let deadline = self.deadline(&context)?;
        let until = Until::time(deadline.saturating_sub(LAST)?);
        if Duration::try_from(deadline.duration_since(self.engine.now())).unwrap_or_default() < LEAST_TIMEOUT {
            tracing::error!(
                least_s = LEAST_TIMEOUT.as_secs(),
                "the function's timeout leaves no time for any payment: raise it"
            );
        }
        if payload.get("Records").is_some() {
            let known = *self.engine.dead_letters().borrow();
            let failed = self.work(serde_json::from_value(payload)?, &until).await;
            // Looking costs a round trip, so only where there is something to tell; the sweep looks for the rest.
            if *self.engine.dead_letters().borrow() != known {
                self.tell(&until).await;
            }
            self.flush(deadline).await;
            return Ok(serde_json::to_value(failed)?);
        }
        if is_schedule(&payload) {
            let swept = self.sweep(&until).await;
            self.tell(&until).await;
            self.flush(deadline).await;
            return Ok(json!({ "swept": swept? }));
        }
        Err("this function takes SQS messages and scheduled events (EventBridge rule or scheduler), nothing else"
            .into())
    }

    /// When the invocation ends, by the clock that payments go by. Lambda tells it by the machine's.
    fn deadline(&self, context: &Context) -> Result<Timestamp, Error> {
        let deadline = Timestamp::from_millisecond(i64::try_from(context.deadline)?)?;
        Ok(self.engine.now().saturating_add(deadline.duration_since(SystemClock.now()))?)
    }

    /// Works on a batch and returns the messages that are to come again.
    async fn work(&self, event: SqsEvent, until: &Until) -> SqsBatchResponse {
        let mut failed = SqsBatchResponse::default();
        let mut works = stream::iter(event.records)
            .map(|record| async move {
                let id = record.message_id.clone().unwrap_or_default();
                // One payment's bug must not bring all the others back as well.
                let worked = AssertUnwindSafe(self.work_on(record, until)).catch_unwind().await;
                (id, worked.unwrap_or(ToCome::Again))
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((id, to_come)) = works.next().await {
            if to_come == ToCome::Again {
                failed.add_failure(id);
            }
        }
        failed
    }

    async fn work_on(&self, record: SqsMessage, until: &Until) -> ToCome {
        let receives =
            record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
        let trace = record.message_attributes.get(TRACE_ATTRIBUTE).and_then(|trace| trace.string_value.as_deref());
        let wake = match message::read(record.body.as_deref().unwrap_or_default(), trace) {
            Ok(wake) => wake,
            Err(error) => {
                message::report(&error, record.message_id.as_deref(), receives);
                return self.put_off(record.receipt_handle, Settlement::Again(UNREADABLE_PAUSE));
            }
        };
        match self.worker.work_on(Delivery { wake, receipt: None, receives }, until).await {
            Settlement::Done => ToCome::Nothing,
            settlement @ Settlement::Again(_) => self.put_off(record.receipt_handle, settlement),
        }
    }

    /// Says when a message is to come again; without a word it comes when its visibility timeout is over.
    fn put_off(&self, receipt_handle: Option<String>, settlement: Settlement) -> ToCome {
        if let Some(receipt) = receipt_handle {
            self.queue.settle(Receipt(receipt), settlement);
        }
        ToCome::Again
    }

    /// Tells the queue of what it forgot. While it takes nothing, works on that here.
    async fn sweep(&self, until: &Until) -> Result<usize, Error> {
        self.sweeper.match_webhooks().await?;
        self.sweeper.drop_answers().await?;
        self.engine.timeouts().sweep().await;
        let mut swept = 0;
        for _ in 0..SWEEP_PAGES {
            let due = self.sweeper.due(sqs::GRACE.max(self.engine.timeouts().grace())).await?;
            let (found, is_last) = (due.len(), due.len() < activities::sweeper::SWEEP_LIMIT as usize);
            let left = self.queue.send(due).await;
            let works = left.into_iter().map(|wake| self.worker.work_on(Delivery::from(wake), until));
            stream::iter(works).buffer_unordered(CONCURRENCY).count().await;
            swept += found;
            if is_last {
                break;
            }
        }
        tracing::info!(swept, "swept");
        match tokio::time::timeout(until.left(self.engine.now()), Counted::take(&self.engine, &self.psps)).await {
            Ok(Ok(counted)) => counted.log(),
            Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "payments not counted"),
            Err(_elapsed) => tracing::warn!("no time to count payments; the next sweep does"),
        }
        Ok(swept)
    }

    /// Tells of dead letters for as long as there is time. What is broken off, a later invocation tells again.
    async fn tell(&self, until: &Until) {
        match tokio::time::timeout(until.left(self.engine.now()), self.worker.tell_of_dead_letters()).await {
            Ok(Ok(_told)) => {}
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "dead letters not looked for; the next sweep tries again");
            }
            Err(_elapsed) => tracing::warn!("no time to tell of dead letters; a later invocation does"),
        }
    }

    /// Lets what was told and put off be sent before the process is frozen, for as long as there is time.
    async fn flush(&self, deadline: Timestamp) {
        let left = Duration::try_from(deadline.duration_since(self.engine.now())).unwrap_or_default();
        let traced = async {
            if let Some(traces) = &self.traces
                && tokio::time::timeout(TRACES, traces.flush()).await.is_err()
            {
                tracing::warn!("the collector of traces is slow: what it has not taken goes with a later invocation");
            }
        };
        let said = async { tokio::join!(self.queue.flush(), self.engine.timeouts().flush()) };
        let (said, ()) = tokio::join!(tokio::time::timeout(left / 2, said), traced);
        if said.is_err() {
            tracing::warn!("the queue or Step Functions is slow: messages come again when their time is over");
        }
    }
}

/// Whether a message comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ToCome {
    Again,
    Nothing,
}

/// What EventBridge sends, as a rule or as a scheduler.
fn is_schedule(payload: &Value) -> bool {
    let source = payload.get("source").and_then(Value::as_str);
    matches!(source, Some("aws.events" | "aws.scheduler"))
}
