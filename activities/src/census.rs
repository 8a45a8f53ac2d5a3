//! The census: all payments together, by state, with what waits too long; for metrics, and for a function's log.
//!
//! Whoever shows metrics counts, because workers may be where nobody can ask them. Not here: metrics of single calls and
//! moves, which are counted where they happen.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use strum::VariantArray;
use tokio_util::sync::CancellationToken;
use workflow::definition::{self, Kind, State};
use workflow::engine::{Engine, EngineError};
use workflow::port::outbound::Backlog;
use workflow::port::overview::{OpenPayments, Standing};

/// Often enough for an alarm, and rarely enough for a table with many that wait.
const EVERY: Duration = Duration::from_secs(10);

/// Webhook events that fit no payment which are counted, at most. More are no other news.
const UNMATCHED_MOST: u32 = 100;

/// What a census found.
#[derive(Debug)]
pub struct Counted {
    open: OpenPayments,
    paused: Vec<(String, bool)>,
    unmatched: u64,
    unmatched_since: Option<Timestamp>,
    backlog: Backlog,
    now: Timestamp,
}

impl Counted {
    /// Counts.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn take(engine: &Engine, psps: &[String]) -> Result<Self, EngineError> {
        let (now, store) = (engine.now(), engine.store());
        let open = store.open_payments(now).await?;
        let pauses = store.pauses().await?;
        let is_paused = |psp: &String| pauses.iter().any(|pause| pause.psp == *psp);
        let unmatched = engine.unmatched_webhooks(None, UNMATCHED_MOST).await?;
        Ok(Self {
            open,
            paused: psps.iter().map(|psp| (psp.clone(), is_paused(psp))).collect(),
            unmatched: unmatched.len() as u64,
            unmatched_since: unmatched.first().map(|event| event.received_at),
            backlog: store.backlog(now).await?,
            now,
        })
    }

    /// Says it to whoever collects metrics.
    pub fn show(&self) {
        for kind in Kind::VARIANTS {
            for row in definition::current(*kind).reached().filter(|row| !definition::has_ended(row.state)) {
                self.show_state(*kind, row.state);
            }
        }
        metrics::gauge!("fincore_due_payments").set(gauge(self.open.due));
        metrics::gauge!("fincore_oldest_due_seconds").set(self.age(self.open.due_since));
        metrics::gauge!("fincore_unmatched_webhooks").set(gauge(self.unmatched));
        metrics::gauge!("fincore_oldest_unmatched_webhook_seconds").set(self.age(self.unmatched_since));
        metrics::gauge!("fincore_pending_deliveries").set(gauge(self.backlog.pending));
        metrics::gauge!("fincore_oldest_due_delivery_seconds").set(self.age(self.backlog.due_since));
        for (psp, is_paused) in &self.paused {
            metrics::gauge!("fincore_psp_paused", "psp" => psp.clone()).set(f64::from(u8::from(*is_paused)));
        }
    }

    /// Says it to the log: where nobody collects metrics, they are made of this line.
    pub fn log(&self) {
        let in_review = self.standings(None, State::InReview).map(|standing| standing.count).sum::<i64>();
        tracing::info!(
            open = self.open.standings.iter().map(|standing| standing.count).sum::<i64>(),
            in_review,
            due = self.open.due,
            oldest_due_seconds = seconds(self.open.due_since, self.now),
            overdue = self.open.standings.iter().map(|standing| standing.overdue).sum::<i64>(),
            unmatched_webhooks = self.unmatched,
            pending_deliveries = self.backlog.pending,
            oldest_due_delivery_seconds = seconds(self.backlog.due_since, self.now),
            "census"
        );
    }

    fn show_state(&self, kind: Kind, state: State) {
        let labels = [("kind", <&str>::from(kind)), ("state", <&str>::from(state))];
        let of_it = || self.standings(Some(kind), state);
        metrics::gauge!("fincore_open_payments", &labels)
            .set(gauge(of_it().map(|standing| standing.count).sum::<i64>()));
        metrics::gauge!("fincore_overdue_payments", &labels)
            .set(gauge(of_it().map(|standing| standing.overdue).sum::<i64>()));
        metrics::gauge!("fincore_oldest_payment_seconds", &labels)
            .set(self.age(of_it().map(|standing| standing.oldest_since).min()));
    }

    /// Those of all versions.
    fn standings(&self, kind: Option<Kind>, state: State) -> impl Iterator<Item = &Standing> {
        let is_kind = move |standing: &&Standing| kind.is_none_or(|kind| standing.kind == kind);
        self.open.standings.iter().filter(is_kind).filter(move |standing| standing.state == state)
    }

    /// Nothing is no seconds old.
    fn age(&self, since: Option<Timestamp>) -> f64 {
        gauge(seconds(since, self.now))
    }
}

/// Takes a census again and again, until told to stop.
pub async fn run(engine: Arc<Engine>, psps: Vec<String>, stop: CancellationToken) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        match Counted::take(&engine, &psps).await {
            Ok(counted) => counted.show(),
            Err(error) => {
                metrics::counter!("fincore_census_failures_total").increment(1);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "payments not counted; metrics of states are old"
                );
            }
        }
    }
}

fn seconds(since: Option<Timestamp>, now: Timestamp) -> i64 {
    since.map_or(0, |since| now.duration_since(since).as_secs().max(0))
}

/// Far below what a float counts exactly.
fn gauge(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}
