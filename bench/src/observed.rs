//! A store that counts: how often it is called, with how much, for how long, and which payments have ended.
//!
//! It stands where the real store would, changes nothing, and is how the driver learns of ends without asking the
//! database. Not here: anything about a particular database.

mod archives;
mod executions;
mod operators;
mod outbound;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::oneshot;
use workflow::definition::State;
use workflow::history::{Hash, HistoryRow};
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::payment::Payment;
use workflow::port::overview::OpenPayments;
use workflow::port::schema::Schema;
use workflow::port::store::{
    ApiKey, DeadLetterRow, Due, HistoryPlace, LetterFilter, LetterPlace, ListStep, Listed, Mode, NewPayment, Notice,
    NoticeClaim, NoticeResult, NoticeRow, RequestRecord, RequestScope, Rotation, Started, Store, StoreError, Update,
    Updated, WebhookEvent,
};

/// Kinds of calls, as far as they are told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Start,
    Update,
    Load,
    KeepWebhooks,
    /// Keys, requests, the sweeper's looks, alerts.
    Read,
}

/// Counts of one kind of call.
#[derive(Serialize, Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    /// Calls: each is a round trip, and one that writes is a commit.
    pub(crate) calls: u64,
    /// Payments (or events) in them.
    pub(crate) elements: u64,
    /// Time that such calls were under way.
    pub(crate) busy_us: u64,
}

impl Count {
    fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            elements: self.elements - before.elements,
            busy_us: self.busy_us - before.busy_us,
        }
    }
}

/// All counts.
#[derive(Serialize, Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) start: Count,
    pub(crate) update: Count,
    pub(crate) load: Count,
    pub(crate) keep_webhooks: Count,
    pub(crate) read: Count,
}

impl Counts {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            start: self.start.since(before.start),
            update: self.update.since(before.update),
            load: self.load.since(before.load),
            keep_webhooks: self.keep_webhooks.since(before.keep_webhooks),
            read: self.read.since(before.read),
        }
    }

    /// Round trips to the database.
    pub(crate) fn calls(&self) -> u64 {
        self.writes() + self.load.calls + self.read.calls
    }

    /// Calls that write: one transaction each.
    pub(crate) fn writes(&self) -> u64 {
        self.start.calls + self.update.calls + self.keep_webhooks.calls
    }
}

/// Counts as they grow.
#[derive(Default)]
pub(crate) struct Counters([Counter; 5]);

#[derive(Default)]
struct Counter {
    calls: AtomicU64,
    elements: AtomicU64,
    busy_us: AtomicU64,
}

impl Counters {
    /// Counts a call and lets it happen.
    pub(crate) async fn count<T>(&self, call: Call, elements: usize, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.await;
        let counter = &self.0[call as usize];
        let busy_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        counter.calls.fetch_add(1, Ordering::Relaxed);
        counter.elements.fetch_add(elements as u64, Ordering::Relaxed);
        counter.busy_us.fetch_add(busy_us, Ordering::Relaxed);
        done
    }

    pub(crate) fn read(&self) -> Counts {
        let count = |call: Call| {
            let counter = &self.0[call as usize];
            Count {
                calls: counter.calls.load(Ordering::Relaxed),
                elements: counter.elements.load(Ordering::Relaxed),
                busy_us: counter.busy_us.load(Ordering::Relaxed),
            }
        };
        Counts {
            start: count(Call::Start),
            update: count(Call::Update),
            load: count(Call::Load),
            keep_webhooks: count(Call::KeepWebhooks),
            read: count(Call::Read),
        }
    }
}

/// Payments that have ended, for those who wait for it.
#[derive(Default)]
pub(crate) struct Ends(Mutex<HashMap<PaymentId, End>>);

enum End {
    Awaited(oneshot::Sender<State>),
    /// It came before anybody waited.
    Happened(State),
}

impl Ends {
    fn tell(&self, id: PaymentId, state: State) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ends.remove(&id) {
            // Who waited may have given up.
            Some(End::Awaited(waiting)) => drop(waiting.send(state)),
            Some(End::Happened(_)) | None => drop(ends.insert(id, End::Happened(state))),
        }
    }

    /// Waits until the payment has ended. One may wait for a payment, once.
    pub(crate) async fn of(&self, id: PaymentId) -> Option<State> {
        let (told, awaited) = oneshot::channel();
        {
            let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(End::Happened(state)) = ends.insert(id, End::Awaited(told)) {
                ends.remove(&id);
                return Some(state);
            }
        }
        awaited.await.ok()
    }
}

/// The store between the engine and the real one.
pub(crate) struct Observed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ends: Arc<Ends>,
}

impl Observed {
    async fn reading<T>(&self, work: impl Future<Output = T>) -> T {
        self.counters.count(Call::Read, 1, work).await
    }
}

#[async_trait]
impl Store for Observed {
    async fn start(&self, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError> {
        self.counters.count(Call::Start, batch.len(), self.store.start(batch)).await
    }

    async fn update(&self, batch: &[Update]) -> Result<Vec<Updated>, StoreError> {
        let updated = self.counters.count(Call::Update, batch.len(), self.store.update(batch)).await?;
        for (update, updated) in batch.iter().zip(&updated) {
            let payment = &update.payment;
            // The first row that ended it, not old news that came afterwards.
            let moved = update.rows.iter().any(|row| row.fact.from.is_some_and(|from| from != row.fact.to));
            if payment.next_wake_at.is_none() && moved && *updated == Updated::Applied {
                self.ends.tell(payment.id, payment.state);
            }
        }
        Ok(updated)
    }

    async fn load(&self, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError> {
        self.counters.count(Call::Load, ids.len(), self.store.load(ids)).await
    }

    async fn due(&self, now: Timestamp, after: Option<Due>, limit: u32) -> Result<Vec<Due>, StoreError> {
        self.reading(self.store.due(now, after, limit)).await
    }

    async fn history(&self, id: PaymentId) -> Result<Vec<HistoryRow>, StoreError> {
        self.reading(self.store.history(id)).await
    }

    async fn refunds(
        &self,
        charge: PaymentId,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.reading(self.store.refunds(charge, after, limit)).await
    }

    async fn history_since(&self, batch: &[HistoryPlace]) -> Result<Vec<Vec<HistoryRow>>, StoreError> {
        self.reading(self.store.history_since(batch)).await
    }

    async fn list(&self, step: &ListStep<'_>) -> Result<Listed, StoreError> {
        self.reading(self.store.list(step)).await
    }

    async fn walk(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, StoreError> {
        self.reading(self.store.walk(after, limit)).await
    }

    async fn by_psp_reference(&self, psp: &str, psp_reference: &str) -> Result<Option<PaymentId>, StoreError> {
        self.reading(self.store.by_psp_reference(psp, psp_reference)).await
    }

    async fn request(&self, scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError> {
        self.reading(self.store.request(scope)).await
    }

    async fn drop_answers(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.store.drop_answers(before, limit).await
    }

    async fn keep_webhooks(&self, batch: &[WebhookEvent]) -> Result<(), StoreError> {
        self.counters.count(Call::KeepWebhooks, batch.len(), self.store.keep_webhooks(batch)).await
    }

    async fn webhook(&self, psp: &str, event_id: &str) -> Result<Option<WebhookEvent>, StoreError> {
        self.reading(self.store.webhook(psp, event_id)).await
    }

    async fn unmatched_webhooks(&self, received_after: Timestamp, limit: u32) -> Result<Vec<WebhookEvent>, StoreError> {
        self.reading(self.store.unmatched_webhooks(received_after, limit)).await
    }

    async fn dead_letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.reading(self.store.dead_letters(filter, after, limit)).await
    }

    async fn dead_letters_of(&self, id: PaymentId, limit: u32) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.reading(self.store.dead_letters_of(id, limit)).await
    }

    async fn claim_notices(&self, claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError> {
        self.reading(self.store.claim_notices(claim)).await
    }

    async fn settle_notices(&self, batch: &[NoticeResult<'_>]) -> Result<(), StoreError> {
        self.reading(self.store.settle_notices(batch)).await
    }

    async fn notices_of(&self, id: PaymentId, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        self.reading(self.store.notices_of(id, limit)).await
    }

    async fn open_payments(&self, now: Timestamp) -> Result<OpenPayments, StoreError> {
        self.reading(self.store.open_payments(now)).await
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.store.add_api_key(key).await
    }

    async fn merchant_mode(&self, id: MerchantId) -> Result<Option<Mode>, StoreError> {
        self.store.merchant_mode(id).await
    }

    async fn api_keys(
        &self,
        merchant_id: Option<MerchantId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.store.api_keys(merchant_id, after, limit).await
    }

    async fn revoke_api_key(&self, id: ApiKeyId, at: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        self.store.revoke_api_key(id, at).await
    }

    async fn rotate_api_key(&self, rotation: Rotation) -> Result<Option<ApiKey>, StoreError> {
        self.store.rotate_api_key(rotation).await
    }

    async fn api_key_used(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        self.store.api_key_used(id, at).await
    }

    async fn api_key(&self, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError> {
        self.reading(self.store.api_key(secret_hash)).await
    }

    async fn check(&self) -> Result<Schema, StoreError> {
        self.store.check().await
    }
}
