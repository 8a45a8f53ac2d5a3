//! Alerts: tells each adapter of each dead letter, once, whatever breaks on the way.
//!
//! The store knows what each adapter has been told. Any number of processes look for what is left, one of them claims
//! it, tells, and remembers that. Between telling and remembering a process may die: then another one tells again,
//! under the same id. Nothing is lost and nothing is told twice otherwise.
//!
//! Not here: what is told ([`workflow::port::alert`]), and whom; each adapter has a file, or a crate where it needs one.

pub mod log;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::future::join_all;
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use workflow::engine::{Engine, EngineError};
use workflow::port::alert::{Alert, Alerter};
use workflow::port::clock::SystemClock;
use workflow::port::store::{Notice, NoticeClaim, NoticeOutcome, NoticeResult, StoreError};
use workflow::retry::RetryPolicy;

use log::LogAlert;
use webhook::{WebhookAlert, WebhookInvalid};

use crate::gateway::accounts::separated;
use crate::gateway::client::{ClientNotBuilt, Connections, Roots};

/// Letters older than this are not told of. An adapter that is configured today does not pour out last year's, and one
/// that was down for so long has missed what by now shows otherwise: a review that nobody decides in a day is reported.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How often a worker looks for letters that other processes wrote and for adapters that failed. Its own letters it
/// tells at once.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Letters claimed at a time: they are told of side by side.
const BATCH: u32 = 10;

/// Batches in one look. More than this at once is an outage; the next look goes on.
const MAX_BATCHES: usize = 100;

/// What telling may take. Adapters have shorter limits of their own; this one is for those that forgot theirs.
const TELL_TIMEOUT: Duration = Duration::from_secs(15);

/// How long nobody else may tell: the time to tell, and then some for the database to take in that it was told.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// When an adapter that failed is tried again. [`TOLD_FOR`] bounds it.
const AGAIN: RetryPolicy = RetryPolicy {
    initial_ms: 5_000,
    factor: 2,
    max_delay_ms: 600_000,
    max_attempts: u32::MAX,
    max_elapsed_ms: u64::MAX,
};

/// Tries at remembering that something was told, and what they are apart at most: within the lease.
const REMEMBER_TRIES: usize = 4;
const REMEMBER_PAUSE: Duration = Duration::from_secs(3);

/// The log, and a webhook where its URL and its secrets (separated by a comma) are set.
///
/// # Errors
/// The webhook cannot be used as it is set; says why.
pub fn adapters(
    webhook: Option<(&SecretString, &SecretString)>,
    roots: Roots,
) -> Result<Vec<Arc<dyn Alerter>>, AdaptersInvalid> {
    let mut adapters: Vec<Arc<dyn Alerter>> = vec![Arc::new(LogAlert)];
    if let Some((url, secrets)) = webhook {
        // Receivers compare the time with theirs, so it is the real one, also where a demo moves its own.
        let clock = Arc::new(SystemClock);
        let connections = Connections::trusting(roots)?;
        let webhook = WebhookAlert::new(&connections, url.expose_secret(), &separated(secrets), clock)?;
        adapters.push(Arc::new(webhook));
    }
    Ok(adapters)
}

/// Alerts cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum AdaptersInvalid {
    /// Fix the machine.
    #[error(transparent)]
    Client(#[from] ClientNotBuilt),
    /// Fix the configuration.
    #[error(transparent)]
    Webhook(#[from] WebhookInvalid),
}

/// Tells adapters of dead letters. Cheap to clone.
#[derive(Clone)]
pub struct Alerts {
    engine: Arc<Engine>,
    adapters: Arc<[Arc<dyn Alerter>]>,
}

impl Alerts {
    /// Tells the log.
    #[must_use]
    pub fn logged(engine: Arc<Engine>) -> Self {
        Self::to(engine, vec![Arc::new(LogAlert)])
    }

    /// Tells these adapters.
    #[must_use]
    pub fn to(engine: Arc<Engine>, adapters: Vec<Arc<dyn Alerter>>) -> Self {
        Self { engine, adapters: adapters.into() }
    }

    /// Tells each adapter what it has not been told and may be told now. Returns how much that was.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn tell(&self) -> Result<usize, EngineError> {
        let looks = self.adapters.iter().map(|adapter| self.look(adapter.as_ref()));
        let told: Result<Vec<usize>, StoreError> = join_all(looks).await.into_iter().collect();
        Ok(told?.into_iter().sum())
    }

    /// Tells until told to stop. Each adapter goes its own pace: one that hangs keeps no other from being told.
    pub async fn run(&self, stop: CancellationToken) {
        join_all(self.adapters.iter().map(|adapter| self.keep_telling(adapter.as_ref(), &stop))).await;
    }

    async fn keep_telling(&self, adapter: &dyn Alerter, stop: &CancellationToken) {
        let mut written = self.engine.dead_letters();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
                // The engine is held here, so this never ends by itself.
                _ = written.changed() => {}
            }
            if let Err(error) = self.look(adapter).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    adapter = adapter.name(),
                    error,
                    "dead letters not looked for; the next look tries again"
                );
            }
        }
    }

    async fn look(&self, adapter: &dyn Alerter) -> Result<usize, StoreError> {
        let mut told = 0;
        for _ in 0..MAX_BATCHES {
            let now = self.engine.now();
            let claimed = self.engine.store().claim_notices(NoticeClaim {
                adapter: adapter.name(),
                written_since: now.saturating_sub(TOLD_FOR).unwrap_or(now),
                now,
                lease_until: now.saturating_add(LEASE).unwrap_or(now),
                limit: BATCH,
            });
            let claimed = claimed.await?;
            let results = join_all(claimed.iter().map(|notice| self.try_to_tell(adapter, notice))).await;
            self.remember(&results).await?;
            told += results.iter().filter(|result| result.outcome.told_at().is_some()).count();
            if claimed.len() < BATCH as usize {
                break;
            }
        }
        Ok(told)
    }

    async fn try_to_tell<'a>(&self, adapter: &'a dyn Alerter, notice: &Notice) -> NoticeResult<'a> {
        let alert = Alert::of(&notice.letter);
        let told = tokio::time::timeout(TELL_TIMEOUT, adapter.tell(&alert)).await;
        let now = self.engine.now();
        let outcome = match told {
            Ok(Ok(())) => NoticeOutcome::Told(now),
            Ok(Err(error)) => self.again(adapter, &alert, notice.attempt, &error),
            Err(elapsed) => self.again(adapter, &alert, notice.attempt, &elapsed),
        };
        let label = if outcome.told_at().is_some() { "told" } else { "failed" };
        metrics::counter!("fincore_alerts_total", "adapter" => adapter.name(), "outcome" => label).increment(1);
        let (payment_id, seq) = (alert.payment_id, alert.seq);
        NoticeResult { payment_id, seq, adapter: adapter.name(), attempt: notice.attempt, outcome }
    }

    fn again(
        &self,
        adapter: &dyn Alerter,
        alert: &Alert,
        attempt: i32,
        error: &(dyn std::error::Error + 'static),
    ) -> NoticeOutcome {
        let bound = AGAIN.bound_ms(u32::try_from(attempt).unwrap_or(1));
        // At least half of it: these are few, and none of them is in a hurry.
        let pause_ms = bound / 2 + self.engine.random_pair()[0] % (bound / 2 + 1);
        let (alert, adapter) = (alert.id(), adapter.name());
        tracing::warn!(alert, adapter, attempt, pause_ms, error, "alert not delivered; it is tried again");
        let pause = SignedDuration::from_millis(i64::try_from(pause_ms).unwrap_or(i64::MAX));
        NoticeOutcome::Again(self.engine.now().saturating_add(pause).unwrap_or(jiff::Timestamp::MAX))
    }

    /// What was told should not be told again because the database was away for a moment.
    async fn remember(&self, results: &[NoticeResult<'_>]) -> Result<(), StoreError> {
        let again = ExponentialBuilder::default().with_max_delay(REMEMBER_PAUSE).with_max_times(REMEMBER_TRIES);
        (|| self.engine.store().settle_notices(results)).retry(again).await
    }
}
