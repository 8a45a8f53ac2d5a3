//! The worker: claims payments that are due, runs their activities, reports what came of it. Any number of workers may
//! run, in any number of processes; the engine's leases and fences keep them apart.
//!
//! Not here: what an activity asks (one file each) and what an outcome means (the definition).

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflow::engine::worker::{Claimed, Lease, Reported, Then};
use workflow::engine::{Engine, EngineError};
use workflow::event::Event;
use workflow::history::Hash;
use workflow::port::gateway::Outcome;
use workflow::port::queue::Wake;

use crate::ask::Ask;
use crate::psps::{Called, Psps};
use crate::sweeper::Sweeper;

/// A call is not begun with less time than this before the lease ends: its answer would come too late.
const LEAST_CALL_TIME: Duration = Duration::from_secs(2);

/// Kept free at the end of a lease for the report to be written.
const REPORT_TIME: Duration = Duration::from_secs(3);

/// How often open payments are counted for the metrics, and early webhooks matched again: often enough for an alarm, and
/// rarely enough for a table with many that wait.
const OBSERVE_EVERY: Duration = Duration::from_secs(10);

/// Steps one claim may take without letting go. A charge takes four; more means that something goes in circles, and
/// the sweeper will bring it back.
const MAX_STEPS: usize = 16;

/// How a worker is run.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Names this worker in leases and history.
    pub name: String,
    /// Payments worked on at the same time.
    pub concurrency: usize,
    /// How often the sweeper looks for what the queue forgot.
    pub sweep_every: Duration,
    /// How long a payment is left to the queue before the sweeper brings it.
    pub sweep_grace: Duration,
    /// A call may take no longer than this, also where the definition allows more: for workers whose own time is short.
    pub longest_call: Duration,
    /// How long payments in hand may take to finish when the worker is told to stop.
    pub drain_timeout: Duration,
}

/// A worker. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    engine: Arc<Engine>,
    psps: Arc<Psps>,
    sweeper: Arc<Sweeper>,
    options: Arc<WorkerOptions>,
}

impl Worker {
    /// A worker that does nothing yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>, psps: Arc<Psps>, options: WorkerOptions) -> Self {
        let sweeper = Arc::new(Sweeper::new(Arc::clone(&engine), Arc::clone(&psps)));
        Self { engine, psps, sweeper, options: Arc::new(options) }
    }

    /// Works on everything that is due now, one after the other, and returns how many payments that were.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn run_once(&self) -> Result<usize, EngineError> {
        self.sweeper.match_webhooks().await?;
        let due = self.sweeper.due(Duration::ZERO).await?;
        for wake in &due {
            self.work_on(wake.clone(), &CancellationToken::new()).await;
        }
        Ok(due.len())
    }

    /// Works until told to stop, then finishes what is in hand.
    pub async fn run(&self, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.options.concurrency));
        let tasks = TaskTracker::new();
        let mut sweep = tokio::time::interval(self.options.sweep_every);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut observe = tokio::time::interval(OBSERVE_EVERY);
        observe.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            let wakes = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = sweep.tick() => self.swept().await,
                _ = observe.tick() => {
                    let worker = self.clone();
                    tasks.spawn(async move { worker.observed().await });
                    Vec::new()
                }
                wakes = self.engine.queue().receive(self.options.concurrency) => self.received(wakes).await,
            };
            for wake in wakes {
                let slot = tokio::select! {
                    () = stop.cancelled() => break,
                    slot = Arc::clone(&slots).acquire_owned() => slot,
                };
                let Ok(slot) = slot else { break };
                let (worker, stop) = (self.clone(), stop.clone());
                tasks.spawn(async move {
                    worker.work_on(wake, &stop).await;
                    drop(slot);
                });
            }
        }
        tasks.close();
        if tokio::time::timeout(self.options.drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "stopped with payments in hand; their leases run out and others go on");
        }
    }

    async fn swept(&self) -> Vec<Wake> {
        match self.sweeper.due(self.options.sweep_grace).await {
            Ok(wakes) => wakes,
            Err(error) => {
                metrics::counter!("fincore_sweep_failures_total").increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed; the next one tries again");
                Vec::new()
            }
        }
    }

    /// What can wait a little: counting, and webhooks that came before their payment.
    async fn observed(&self) {
        if let Err(error) = self.sweeper.observe().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "open payments not counted");
        }
        if let Err(error) = self.sweeper.match_webhooks().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "webhooks not matched; the next pass tries again");
        }
    }

    async fn received(&self, wakes: Result<Vec<Wake>, workflow::port::queue::QueueError>) -> Vec<Wake> {
        match wakes {
            Ok(wakes) => wakes,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "queue not reached; the sweeper goes on");
                tokio::time::sleep(self.options.sweep_every).await;
                Vec::new()
            }
        }
    }

    /// Takes one payment as far as it goes without waiting; once told to stop, no further than the attempt in hand.
    async fn work_on(&self, wake: Wake, stop: &CancellationToken) {
        let id = wake.payment_id;
        let mut lease = match self.engine.wake(wake, &self.options.name).await {
            Ok(Claimed::Work(lease)) => lease,
            Ok(Claimed::Idle) => return,
            Err(error) => {
                tracing::warn!(payment = %id, error = &error as &dyn std::error::Error, "not claimed; it stays due");
                return;
            }
        };
        for _ in 0..MAX_STEPS {
            let then = if stop.is_cancelled() { Then::Stop } else { Then::GoOn };
            match self.step(*lease, then).await {
                Ok(Reported::GoOn(next)) => lease = next,
                Ok(Reported::Done(_) | Reported::Late) => return,
                Err(error) => {
                    tracing::error!(payment = %id, error = &error as &dyn std::error::Error, "outcome not recorded; the lease runs out and the PSP is asked");
                    return;
                }
            }
        }
    }

    /// Asks the PSP one thing and reports what came of it.
    async fn step(&self, lease: Lease, then: Then) -> Result<Reported, EngineError> {
        let called = self.ask(&lease).await;
        let event = Event::of(&lease.payment, called.outcome);
        self.report(lease, event, called.payload_hash, then).await
    }

    async fn ask(&self, lease: &Lease) -> Called {
        let not_sent = |why: &str| Called {
            outcome: Outcome::NotSent { why: why.to_owned(), retry_after_ms: None },
            payload_hash: None,
        };
        let Some(psp) = self.psps.get(&lease.payment.psp) else {
            return not_sent("this worker has no configuration for the payment's PSP");
        };
        let operation = match Ask::next(lease.activity, &lease.payment, psp.gateway.as_ref()) {
            Ask::Psp(operation) => operation,
            Ask::Known(standing) => return Called { outcome: Outcome::Approved(standing), payload_hash: None },
        };
        match self.call_time(lease) {
            Some(timeout) => psp.call(operation, &lease.payment, &lease.key, timeout).await,
            None => not_sent("the lease had too little time left for a call"),
        }
    }

    /// How long a call may take, so that its answer can still be recorded under the lease.
    fn call_time(&self, lease: &Lease) -> Option<Duration> {
        let definition = workflow::definition::pinned(lease.payment.definition_version)?;
        let longest = Duration::from_millis(definition.activity(lease.activity).call_timeout_ms);
        let left = lease.payment.lease_until?.duration_since(self.engine.now());
        let left = Duration::try_from(left).ok()?.checked_sub(REPORT_TIME)?;
        (left >= LEAST_CALL_TIME).then(|| longest.min(left).min(self.options.longest_call))
    }

    /// Reports, and repeats the report while a database that is away may come back: the PSP's answer is evidence that
    /// should not be lost. Repeating is safe, for the report compares `seq` and `fence`.
    async fn report(
        &self,
        lease: Lease,
        event: Event,
        payload_hash: Option<Hash>,
        then: Then,
    ) -> Result<Reported, EngineError> {
        let again = ExponentialBuilder::default().with_jitter().with_max_delay(REPORT_TIME).with_max_times(6);
        (|| self.engine.report(lease.clone(), event.clone(), payload_hash, then))
            .retry(again)
            .when(|error| matches!(error, EngineError::Store(_)))
            .await
    }
}
