//! The worker: claims payments that are due, runs their activities, reports what came of it. Any number of workers may
//! run, in any number of processes; the engine's leases and fences keep them apart.
//!
//! Not here: what an activity asks (one file each) and what an outcome means (the definition).

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, field};
use workflow::engine::worker::{Claimed, Lease, Reported, Then};
use workflow::engine::{Engine, EngineError};
use workflow::event::Event;
use workflow::history::Hash;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::alert::Alerter;
use workflow::port::gateway::Outcome;
use workflow::port::queue::{Delivery, Settlement};
use workflow::port::timeouts::Task;
use workflow::trace;

use crate::alerts::Alerts;
use crate::ask::Ask;
use crate::psps::{Called, Psps};
use crate::sweeper::Sweeper;

/// A call is not begun with less time than this before the lease ends: its answer would come too late.
const LEAST_CALL_TIME: Duration = Duration::from_secs(2);

/// Kept free at the end of a lease for the report to be written.
const REPORT_TIME: Duration = Duration::from_secs(3);

/// How often early webhooks are matched again: rarely enough for a table with many that wait.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// A payment is claimed only with this much time left before a worker has to end: for its claim, one call that is worth
/// making, and the report.
pub const LEAST_WORK_TIME: Duration =
    LEAST_CALL_TIME.saturating_add(REPORT_TIME).saturating_add(Duration::from_secs(1));

/// A payment that could not be claimed because the database did not answer is looked at again after this, doubled with
/// each delivery up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

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

impl Default for WorkerOptions {
    /// A worker that is driven from outside: it has a name in common with others, and nothing in a loop of its own.
    fn default() -> Self {
        Self {
            name: "worker".to_owned(),
            concurrency: 1,
            sweep_every: Duration::from_secs(1),
            sweep_grace: Duration::ZERO,
            longest_call: Duration::MAX,
            drain_timeout: Duration::ZERO,
        }
    }
}

/// Until when a worker works: until it is told to stop, and where its own time is counted, no longer than that.
#[derive(Clone, Debug)]
pub struct Until {
    stop: CancellationToken,
    ends_at: Option<Timestamp>,
}

impl Until {
    /// Until told to stop.
    #[must_use]
    pub fn stopped(stop: CancellationToken) -> Self {
        Self { stop, ends_at: None }
    }

    /// Until this time, when the process is frozen or killed.
    #[must_use]
    pub fn time(ends_at: Timestamp) -> Self {
        Self { stop: CancellationToken::new(), ends_at: Some(ends_at) }
    }

    /// What is left of the time, if it is counted.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        self.ends_at.map_or(Duration::MAX, |end| Duration::try_from(end.duration_since(now)).unwrap_or_default())
    }

    /// Whether another activity may be begun.
    fn allows_another(&self, now: Timestamp) -> bool {
        !self.stop.is_cancelled() && self.left(now) >= LEAST_WORK_TIME
    }
}

/// A worker. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    engine: Arc<Engine>,
    psps: Arc<Psps>,
    sweeper: Arc<Sweeper>,
    alerts: Alerts,
    options: Arc<WorkerOptions>,
}

impl Worker {
    /// A worker that does nothing yet. It tells the log of dead letters.
    #[must_use]
    pub fn new(engine: Arc<Engine>, psps: Arc<Psps>, options: WorkerOptions) -> Self {
        let sweeper = Arc::new(Sweeper::new(Arc::clone(&engine), Arc::clone(&psps)));
        let alerts = Alerts::logged(Arc::clone(&engine));
        Self { engine, psps, sweeper, alerts, options: Arc::new(options) }
    }

    /// The same worker, telling these of dead letters.
    #[must_use]
    pub fn alerting(self, adapters: Vec<Arc<dyn Alerter>>) -> Self {
        let alerts = Alerts::to(Arc::clone(&self.engine), adapters);
        Self { alerts, ..self }
    }

    /// Works on everything that is due now, one after the other, and returns how many payments that were. Then tells of
    /// dead letters.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn run_once(&self) -> Result<usize, EngineError> {
        self.sweeper.match_webhooks().await?;
        self.engine.timeouts().sweep().await;
        let due = self.sweeper.due(Duration::ZERO).await?;
        let until = Until::stopped(CancellationToken::new());
        for wake in &due {
            self.work_on(Delivery::from(wake.clone()), &until).await;
        }
        self.tell_of_dead_letters().await?;
        Ok(due.len())
    }

    /// Tells adapters what they have not been told and may be told now. Returns how much that was. Workers that run by
    /// themselves do so by themselves.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn tell_of_dead_letters(&self) -> Result<usize, EngineError> {
        self.alerts.tell().await
    }

    /// Works until told to stop, then finishes what is in hand.
    pub async fn run(&self, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.options.concurrency));
        let tasks = TaskTracker::new();
        let (alerts, until) = (self.alerts.clone(), stop.clone());
        tasks.spawn(async move { alerts.run(until).await });
        let mut sweep = tokio::time::interval(self.options.sweep_every);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut tidy = tokio::time::interval(TIDY_EVERY);
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = sweep.tick() => self.swept().await,
                _ = tidy.tick() => {
                    let worker = self.clone();
                    tasks.spawn(async move { worker.tidied().await });
                    Vec::new()
                }
                received = self.engine.queue().receive(self.options.concurrency) => received,
            };
            for delivery in deliveries {
                let slot = tokio::select! {
                    () = stop.cancelled() => break,
                    slot = Arc::clone(&slots).acquire_owned() => slot,
                };
                let Ok(slot) = slot else { break };
                let (worker, until) = (self.clone(), Until::stopped(stop.clone()));
                tasks.spawn(async move {
                    worker.handle(delivery, &until).await;
                    drop(slot);
                });
            }
        }
        tasks.close();
        if tokio::time::timeout(self.options.drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "stopped with payments in hand; their leases run out and others go on");
        }
    }

    async fn swept(&self) -> Vec<Delivery> {
        let grace = self.options.sweep_grace.max(self.engine.timeouts().grace());
        match self.sweeper.due(grace).await {
            Ok(wakes) => wakes.into_iter().map(Delivery::from).collect(),
            Err(error) => {
                metrics::counter!("fincore_sweep_failures_total").increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed; the next one tries again");
                Vec::new()
            }
        }
    }

    /// What can wait a little: webhooks that came before their payment, old answers, and what a clock outside was not told.
    async fn tidied(&self) {
        self.engine.timeouts().sweep().await;
        if let Err(error) = self.sweeper.match_webhooks().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "webhooks not matched; the next pass tries again");
        }
        if let Err(error) = self.sweeper.drop_answers().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old answers not dropped; the next pass tries again"
            );
        }
    }

    /// Works on a payment and tells the queue what is to become of the message.
    async fn handle(&self, delivery: Delivery, until: &Until) {
        let receipt = delivery.receipt.clone();
        let settlement = self.work_on(delivery, until).await;
        if let Some(receipt) = receipt {
            self.engine.queue().settle(receipt, settlement);
        }
    }

    /// Takes one payment as far as it goes without waiting, no further than the attempt in hand once there is no time for
    /// more. Returns what is to become of the message that brought it.
    pub async fn work_on(&self, delivery: Delivery, until: &Until) -> Settlement {
        let (id, receives, told_by) = (delivery.wake.payment_id, delivery.receives, delivery.wake.trace);
        let span =
            tracing::info_span!("work", otel.kind = "consumer", payment = %id, receives, trace_id = field::Empty);
        // On the heap: the whole attempt lives in it.
        let work = trace::step(span, id, Box::pin(self.follow(delivery, until)));
        match told_by {
            Some(teller) => teller.within(work).await,
            None => work.await,
        }
    }

    async fn follow(&self, delivery: Delivery, until: &Until) -> Settlement {
        if !until.allows_another(self.engine.now()) {
            return Settlement::Again(Duration::ZERO);
        }
        let (id, seq, receives) = (delivery.wake.payment_id, delivery.wake.seq, delivery.receives);
        let task = delivery.wake.task.clone();
        let lease = match self.engine.wake(delivery.wake, &self.options.name).await {
            Ok(Claimed::Work(lease)) => Some(lease),
            Ok(Claimed::Early(at)) => return Settlement::Again(self.time_until(at)),
            Ok(Claimed::Idle) => None,
            // It may be dead: its message, should this be another one's, is not to be the only hope.
            Ok(Claimed::Held(held_until)) => {
                self.take(id, seq, task);
                return self.engine.timeouts().put_off(self.time_until(held_until));
            }
            Err(error) => return self.not_claimed(&error, task, pause_after(receives)),
        };
        let settlement = match lease {
            Some(lease) => self.work(*lease, until, pause_after(receives)).await,
            None => Settlement::Done,
        };
        self.take(id, seq, task);
        settlement
    }

    /// Leaves a task to the clock that asked, which is told as soon as its payment stands elsewhere.
    fn take(&self, id: PaymentId, seq: i64, task: Option<Task>) {
        if let Some(task) = task {
            self.engine.timeouts().take(id, seq, task);
        }
    }

    /// A store that does not answer may do so soon. What this release cannot work on, another one may.
    fn not_claimed(&self, error: &EngineError, task: Option<Task>, pause: Duration) -> Settlement {
        tracing::warn!(error = error as &dyn std::error::Error, "not claimed; it stays due");
        match (error, task) {
            (EngineError::UnknownVersion(_) | EngineError::Illegal { .. }, Some(task)) => {
                self.engine.timeouts().refuse(task, error.to_string());
                self.engine.timeouts().put_off(pause)
            }
            (_, _) => Settlement::Again(pause),
        }
    }

    /// Takes a payment on from a claim, for as long as something can be done at once.
    async fn work(&self, mut lease: Lease, until: &Until, pause: Duration) -> Settlement {
        for _ in 0..MAX_STEPS {
            match self.step(lease, until).await {
                Ok(Reported::GoOn(next)) => lease = *next,
                Ok(Reported::Done(payment)) => return self.after(&payment),
                Ok(Reported::Late) => return Settlement::Done,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "outcome not recorded; the lease runs out and the PSP is asked"
                    );
                    return Settlement::Again(pause);
                }
            }
        }
        Settlement::Again(pause)
    }

    /// A retry that backs off is brought by the message that brought the attempt, or by a clock outside; everything else that is still to come
    /// is told anew, or found by the sweeper.
    fn after(&self, payment: &Payment) -> Settlement {
        match payment.next_wake_at.filter(|_| payment.activity().is_some() && !payment.is_leased()) {
            Some(at) if at > self.engine.now() => self.engine.timeouts().put_off(self.time_until(at)),
            Some(_) | None => Settlement::Done,
        }
    }

    fn time_until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.engine.now())).unwrap_or_default()
    }

    /// Asks the PSP one thing and reports what came of it.
    async fn step(&self, lease: Lease, until: &Until) -> Result<Reported, EngineError> {
        let (activity, attempt) = (<&str>::from(lease.activity), lease.payment.attempt);
        let span = tracing::info_span!("attempt", otel.name = activity, attempt, outcome = field::Empty);
        let recorded = span.clone();
        let work = async {
            let called = self.ask(&lease, until).await;
            let then = if until.allows_another(self.engine.now()) { Then::GoOn } else { Then::Stop };
            let event = Event::of(&lease.payment, called.outcome);
            recorded.record("outcome", <&str>::from(event.kind()));
            self.report(lease, event, called.payload_hash, then).await
        };
        Box::pin(work).instrument(span).await
    }

    async fn ask(&self, lease: &Lease, until: &Until) -> Called {
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
        match self.call_time(lease, until) {
            Some(timeout) => psp.call(operation, &lease.payment, &lease.key, timeout).await,
            None => not_sent("the lease had too little time left for a call"),
        }
    }

    /// How long a call may take, so that its answer can still be recorded under the lease, and by this worker.
    fn call_time(&self, lease: &Lease, until: &Until) -> Option<Duration> {
        let definition = lease.payment.definition()?;
        let longest = Duration::from_millis(definition.activity(lease.activity).call_timeout_ms);
        let now = self.engine.now();
        let left = Duration::try_from(lease.payment.lease_until?.duration_since(now)).ok()?;
        let left = left.min(until.left(now)).checked_sub(REPORT_TIME)?;
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

/// How long a message is put aside that could not be worked on, by how often it has come.
fn pause_after(receives: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(receives.saturating_sub(1))).min(LONGEST_PAUSE)
}
