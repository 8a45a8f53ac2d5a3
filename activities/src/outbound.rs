//! Outbound webhooks: delivers the events of merchants to their endpoints, each at least once, whatever breaks on the way.
//!
//! The store knows what is to be delivered. Any number of processes look for what is due, one of them claims it, sends
//! it, and remembers what came of it. Between sending and remembering a process may die: then another one sends again,
//! under the same id. Events of one payment may overtake each other; receivers order them by their `sequence`.
//!
//! Not here: what is an event ([`workflow::notification`]), and who listens (the store).

mod in_hand;
pub mod sender;
pub mod verdict;

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field};
use workflow::engine::{Engine, EngineError};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::outbound::{AttemptRow, DeliveryClaim, DeliveryOutcome, DeliveryResult, Dispatch};
use workflow::port::store::StoreError;
use workflow::signing::SigningKey;
use workflow::trace;

use in_hand::{CLAIM_PER_ENDPOINT, Counted, InHand};
use sender::{Letter, Seen, Sender};

/// How often a deliverer looks for events that other processes wrote, and for what is to be tried again. Its own
/// process's events it sends at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After a look that found nothing, the next one is no sooner than this, however many events are written: mostly nobody
/// wants to hear of them.
const PAUSE_AFTER_NOTHING: Duration = Duration::from_millis(25);

/// How long nobody else may send what is claimed: the time to send it, and then some for the database to take in what
/// came of it.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// Deliveries claimed at a time.
const BATCH: u32 = 64;

/// An endpoint to which nothing has arrived for so long is disabled. Longer than one event is tried, so that an outage of
/// a weekend disables nobody.
pub const DISABLED_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Tries at remembering what came of deliveries, and what they are apart at most: within the lease.
const REMEMBER_TRIES: usize = 4;
const REMEMBER_PAUSE: Duration = Duration::from_secs(3);

/// How often old events are forgotten, how many at a time, and how often at one go.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
const PRUNE_BATCH: u32 = 500;
const MAX_PRUNES: usize = 200;

/// How deliveries are made.
#[derive(Clone, Copy, Debug)]
pub struct OutboundOptions {
    /// Events and the log of their deliveries are forgotten after this.
    pub kept_for: SignedDuration,
    /// How long deliveries in hand may take to finish when told to stop.
    pub drain_timeout: Duration,
}

/// Delivers events. Cheap to clone.
#[derive(Clone)]
pub struct Deliverer {
    engine: Arc<Engine>,
    sender: Arc<Sender>,
    /// Receivers compare the time with theirs, so it is the real one, also where a demo moves its own.
    stamp: Arc<dyn Clock>,
    options: OutboundOptions,
}

impl Deliverer {
    /// A deliverer that does nothing yet.
    #[must_use]
    pub fn new(engine: Arc<Engine>, sender: Arc<Sender>, options: OutboundOptions) -> Self {
        Self { engine, sender, stamp: Arc::new(SystemClock), options }
    }

    /// Delivers everything that is due now, and returns how many attempts that took.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn run_once(&self) -> Result<usize, EngineError> {
        let mut attempts = 0;
        let (in_hand, mut sending) = (InHand::default(), JoinSet::new());
        while self.take(&in_hand, &mut sending).await? > 0 {
            attempts += sending.len();
            let mut results = Vec::with_capacity(sending.len());
            while let Some(ended) = sending.join_next().await {
                results.extend(ended);
            }
            self.remember(&results).await?;
        }
        Ok(attempts)
    }

    /// Delivers until told to stop, then finishes what is in hand.
    pub async fn run(&self, stop: CancellationToken) {
        let mut written = self.engine.outbound_events();
        let (mut look, mut prune) = (every(LOOK_EVERY), every(PRUNE_EVERY));
        let (in_hand, mut sending) = (InHand::default(), JoinSet::new());
        let (mut is_wanted, mut not_before) = (true, tokio::time::Instant::now());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = sending.join_next() => {
                    self.remember_all(ended.ok(), &mut sending).await;
                    is_wanted = true;
                }
                _ = look.tick() => is_wanted = true,
                // The engine is held here, so this never ends by itself.
                _ = written.changed() => is_wanted = true,
                _ = prune.tick() => self.prune().await,
                () = tokio::time::sleep_until(not_before), if is_wanted && in_hand.room() > 0 => {
                    is_wanted = match self.take(&in_hand, &mut sending).await {
                        Ok(taken) => taken > 0,
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "events not looked for; the next look tries again");
                            false
                        }
                    };
                    if !is_wanted {
                        not_before = tokio::time::Instant::now() + PAUSE_AFTER_NOTHING;
                    }
                }
            }
        }
        self.drain(sending).await;
    }

    /// Lets what is in hand finish. What does not is sent again by others when its lease runs out.
    async fn drain(&self, mut sending: JoinSet<DeliveryResult>) {
        let draining = async {
            while let Some(ended) = sending.join_next().await {
                self.remember_all(ended.ok(), &mut sending).await;
            }
        };
        if tokio::time::timeout(self.options.drain_timeout, draining).await.is_err() {
            tracing::warn!("stopped with deliveries in hand; their leases run out and others send them again");
        }
    }

    /// Claims what is due and begins to send it; returns how much that was.
    async fn take(&self, in_hand: &InHand, sending: &mut JoinSet<DeliveryResult>) -> Result<usize, StoreError> {
        let now = self.engine.now();
        let claim = DeliveryClaim {
            now,
            lease_until: now.saturating_add(LEASE).unwrap_or(now),
            limit: BATCH.min(in_hand.room()),
            limit_per_endpoint: CLAIM_PER_ENDPOINT,
            busy: &in_hand.busy(),
        };
        let claimed = self.engine.store().claim_deliveries(claim).await?;
        let taken = claimed.len();
        for dispatch in claimed {
            let (deliverer, counted) = (self.clone(), in_hand.count(&dispatch));
            sending.spawn(async move { deliverer.deliver(dispatch, counted).await });
        }
        Ok(taken)
    }

    async fn deliver(&self, dispatch: Dispatch, counted: Counted) -> DeliveryResult {
        let span = tracing::info_span!(
            "delivery", otel.kind = "producer", event = %dispatch.event_id, endpoint = %dispatch.endpoint_id,
            attempt = dispatch.attempt, trace_id = field::Empty
        );
        let (payment, work) = (dispatch.payment_id, self.send(dispatch, counted));
        match payment {
            Some(payment) => trace::step(span, payment, Box::pin(work)).await,
            None => work.instrument(span).await,
        }
    }

    async fn send(&self, dispatch: Dispatch, counted: Counted) -> DeliveryResult {
        let (at, began) = (self.engine.now(), Instant::now());
        let seen = match keys(&dispatch, at) {
            Some(keys) => {
                let (id, body) = (dispatch.event_id.to_string(), dispatch.payload.clone());
                let letter = Letter { url: &dispatch.url, id: &id, at: self.stamp.now(), keys: &keys, body };
                self.sender.post(letter).await
            }
            None => {
                tracing::error!(endpoint = %dispatch.endpoint_id, "the stored signing secret is none");
                Seen::Nothing("the endpoint's signing secret cannot be used: rotate it")
            }
        };
        let duration_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let outcome = verdict::outcome(&dispatch, &seen, self.engine.now(), self.engine.random_pair()[0]);
        metrics::counter!("fincore_deliveries_total", "outcome" => label(&outcome)).increment(1);
        if outcome == DeliveryOutcome::Delivered {
            let lag = self.engine.now().duration_since(dispatch.since);
            metrics::histogram!("fincore_delivery_lag_seconds").record(lag.as_secs_f64());
        }
        metrics::histogram!("fincore_delivery_seconds").record(began.elapsed().as_secs_f64());
        let (status, response, error) = match seen {
            Seen::Answer { status, said, .. } => (Some(status), Some(said), None),
            Seen::Nothing(why) => (None, None, Some(why.to_owned())),
        };
        drop(counted);
        let attempt = AttemptRow { attempt: dispatch.attempt, at, duration_ms, status, response, error };
        DeliveryResult { event_id: dispatch.event_id, endpoint_id: dispatch.endpoint_id, attempt, outcome }
    }

    /// Remembers what came of this delivery and of all others that have ended meanwhile.
    async fn remember_all(&self, ended: Option<DeliveryResult>, sending: &mut JoinSet<DeliveryResult>) {
        let mut results: Vec<DeliveryResult> = ended.into_iter().collect();
        while let Some(ended) = sending.try_join_next() {
            results.extend(ended);
        }
        if let Err(error) = self.remember(&results).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, deliveries = results.len(), "deliveries not remembered; they are made again");
        }
    }

    /// What arrived should not be sent again because the database was away for a moment.
    async fn remember(&self, results: &[DeliveryResult]) -> Result<(), StoreError> {
        let failing_since = self.engine.now().saturating_sub(DISABLED_AFTER).unwrap_or(Timestamp::MIN);
        let again = ExponentialBuilder::default().with_max_delay(REMEMBER_PAUSE).with_max_times(REMEMBER_TRIES);
        let disabled = (|| self.engine.store().settle_deliveries(results, failing_since)).retry(again).await?;
        for endpoint in disabled {
            metrics::counter!("fincore_endpoints_disabled_total").increment(1);
            tracing::error!(%endpoint, "webhook endpoint disabled: it is gone, or nothing has arrived there for days");
        }
        Ok(())
    }

    /// Forgets old events.
    async fn prune(&self) {
        let before = self.engine.now().saturating_sub(self.options.kept_for).unwrap_or(Timestamp::MIN);
        for _ in 0..MAX_PRUNES {
            match self.engine.store().prune_events(before, PRUNE_BATCH).await {
                Ok(pruned) if pruned < u64::from(PRUNE_BATCH) => return,
                Ok(_) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "old events not forgotten; the next pass tries again");
                    return;
                }
            }
        }
    }
}

/// The keys that sign at this time; none when the endpoint's own cannot.
fn keys(dispatch: &Dispatch, now: Timestamp) -> Option<Vec<SigningKey>> {
    let former = dispatch.former_secret.as_ref().filter(|former| former.expires_at > now);
    let own = dispatch.secret.key().ok()?;
    Some(std::iter::once(own).chain(former.and_then(|former| former.secret.key().ok())).collect())
}

fn label(outcome: &DeliveryOutcome) -> &'static str {
    match outcome {
        DeliveryOutcome::Delivered => "delivered",
        DeliveryOutcome::Again { .. } => "again",
        DeliveryOutcome::Exhausted => "exhausted",
        DeliveryOutcome::Gone => "gone",
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}
