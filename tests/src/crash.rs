//! A store whose process dies at a chosen write: before it, so that nothing was stored, or right after it, so that
//! nobody learned of it. From then on it answers nobody, as a dead process does; where the process is one of its own, it
//! does die. It counts how often it is read and what it
//! is told together.

mod archives;
mod executions;
mod operators;
mod outbound;

use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
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

use crate::conduct::Conduct;

/// When the process dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// Before the write was sent.
    BeforeWrite,
    /// After the write was committed.
    AfterWrite,
}

/// Who says at which write the process dies.
enum Fate {
    /// A test in the same process, beforehand.
    Sealed { crash: Crash, writes_left: AtomicI64 },
    /// A test in another process.
    Conducted(Conduct),
}

impl Fate {
    /// Counts a write, and says on which side of it the process dies, if it does.
    fn next_write(&self) -> Option<Crash> {
        match self {
            Self::Sealed { crash, writes_left } => (writes_left.fetch_sub(1, Ordering::SeqCst) == 1).then_some(*crash),
            Self::Conducted(conduct) => conduct.next_write(),
        }
    }
}

/// A store that dies at its n-th write.
pub struct CrashStore {
    inner: Arc<dyn Store>,
    fate: Fate,
    /// Cancelled when it has died.
    pub died: CancellationToken,
    /// How often payments were read, however many at a time.
    pub loads: AtomicUsize,
    /// How often it was asked for anything that concerns payments and requests.
    pub calls: AtomicUsize,
    /// How many payments each update moved together.
    pub updates: Mutex<Vec<usize>>,
}

impl CrashStore {
    /// Dies at write number `write`, counted from one.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, crash: Crash, write: i64) -> Arc<Self> {
        Self::with(inner, Fate::Sealed { crash, writes_left: AtomicI64::new(write) })
    }

    /// Dies when it is told, and takes its process with it.
    #[must_use]
    pub fn conducted(inner: Arc<dyn Store>, conduct: Conduct) -> Arc<Self> {
        Self::with(inner, Fate::Conducted(conduct))
    }

    fn with(inner: Arc<dyn Store>, fate: Fate) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fate,
            died: CancellationToken::new(),
            loads: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            updates: Mutex::default(),
        })
    }

    /// Never dies.
    #[must_use]
    pub fn counting(inner: Arc<dyn Store>) -> Arc<Self> {
        Self::new(inner, Crash::BeforeWrite, i64::MAX)
    }

    async fn alive(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.died.is_cancelled() {
            pending::<()>().await;
        }
    }

    async fn die(&self) {
        if let Fate::Conducted(conduct) = &self.fate {
            conduct.die();
        }
        self.died.cancel();
        pending::<()>().await;
    }

    async fn write<T>(&self, write: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        self.alive().await;
        let dies = self.fate.next_write();
        if dies == Some(Crash::BeforeWrite) {
            self.die().await;
        }
        let written = write.await;
        if dies == Some(Crash::AfterWrite) {
            self.die().await;
        }
        written
    }
}

#[async_trait]
impl Store for CrashStore {
    async fn start(&self, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError> {
        self.write(self.inner.start(batch)).await
    }

    async fn update(&self, batch: &[Update]) -> Result<Vec<Updated>, StoreError> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).push(batch.len());
        self.write(self.inner.update(batch)).await
    }

    async fn drop_answers(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.alive().await;
        self.inner.drop_answers(before, limit).await
    }

    async fn keep_webhooks(&self, batch: &[WebhookEvent]) -> Result<(), StoreError> {
        self.write(self.inner.keep_webhooks(batch)).await
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.inner.add_api_key(key).await
    }

    async fn merchant_mode(&self, id: MerchantId) -> Result<Option<Mode>, StoreError> {
        self.inner.merchant_mode(id).await
    }

    async fn api_keys(
        &self,
        merchant_id: Option<MerchantId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.inner.api_keys(merchant_id, after, limit).await
    }

    async fn revoke_api_key(&self, id: ApiKeyId, at: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        self.inner.revoke_api_key(id, at).await
    }

    async fn rotate_api_key(&self, rotation: Rotation) -> Result<Option<ApiKey>, StoreError> {
        self.inner.rotate_api_key(rotation).await
    }

    async fn api_key_used(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        self.inner.api_key_used(id, at).await
    }

    async fn load(&self, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError> {
        self.alive().await;
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.inner.load(ids).await
    }

    async fn due(&self, now: Timestamp, after: Option<Due>, limit: u32) -> Result<Vec<Due>, StoreError> {
        self.alive().await;
        self.inner.due(now, after, limit).await
    }

    async fn history(&self, id: PaymentId) -> Result<Vec<HistoryRow>, StoreError> {
        self.alive().await;
        self.inner.history(id).await
    }

    async fn refunds(
        &self,
        charge: PaymentId,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.alive().await;
        self.inner.refunds(charge, after, limit).await
    }

    async fn history_since(&self, batch: &[HistoryPlace]) -> Result<Vec<Vec<HistoryRow>>, StoreError> {
        self.alive().await;
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.inner.history_since(batch).await
    }

    async fn list(&self, step: &ListStep<'_>) -> Result<Listed, StoreError> {
        self.alive().await;
        self.inner.list(step).await
    }

    async fn walk(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, StoreError> {
        self.alive().await;
        self.inner.walk(after, limit).await
    }

    async fn by_psp_reference(&self, psp: &str, psp_reference: &str) -> Result<Option<PaymentId>, StoreError> {
        self.alive().await;
        self.inner.by_psp_reference(psp, psp_reference).await
    }

    async fn request(&self, scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError> {
        self.alive().await;
        self.inner.request(scope).await
    }

    async fn webhook(&self, psp: &str, event_id: &str) -> Result<Option<WebhookEvent>, StoreError> {
        self.alive().await;
        self.inner.webhook(psp, event_id).await
    }

    async fn unmatched_webhooks(&self, received_after: Timestamp, limit: u32) -> Result<Vec<WebhookEvent>, StoreError> {
        self.alive().await;
        self.inner.unmatched_webhooks(received_after, limit).await
    }

    async fn dead_letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.alive().await;
        self.inner.dead_letters(filter, after, limit).await
    }

    async fn dead_letters_of(&self, id: PaymentId, limit: u32) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.alive().await;
        self.inner.dead_letters_of(id, limit).await
    }

    // Workers look for alerts each time they look for work. Counted as writes, these looks would push every other write
    // behind them; what a crash between telling and remembering does has tests of its own.
    async fn claim_notices(&self, claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError> {
        self.alive().await;
        self.inner.claim_notices(claim).await
    }

    async fn settle_notices(&self, batch: &[NoticeResult<'_>]) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.settle_notices(batch).await
    }

    async fn notices_of(&self, id: PaymentId, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        self.alive().await;
        self.inner.notices_of(id, limit).await
    }

    async fn open_payments(&self, now: Timestamp) -> Result<OpenPayments, StoreError> {
        self.alive().await;
        self.inner.open_payments(now).await
    }

    async fn api_key(&self, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError> {
        self.alive().await;
        self.inner.api_key(secret_hash).await
    }

    async fn check(&self) -> Result<Schema, StoreError> {
        self.inner.check().await
    }
}
