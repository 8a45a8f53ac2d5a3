//! A store that knows one API key and otherwise does nothing, or fails.

mod archives;
mod executions;
mod operators;
mod outbound;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
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

/// How the store is today.
pub(super) enum Mood {
    /// It takes new charges and webhooks, and has none.
    TakesCharges,
    /// It answers nothing but lookups of keys.
    Down,
    /// It answers nothing.
    DownForKeys,
    /// It knows that the key was revoked.
    KeyRevoked,
    /// It reads a list, or keeps a webhook, when told so: sends what to tell it by, and once more when it is through.
    Waits(mpsc::UnboundedSender<oneshot::Sender<()>>),
}

/// See the head of this file.
pub(super) struct TestStore {
    pub(super) key: ApiKey,
    pub(super) mood: Mood,
}

impl TestStore {
    async fn wait(&self) {
        if let Mood::Waits(reached) = &self.mood {
            let (finish, finished) = oneshot::channel();
            reached.send(finish).unwrap();
            finished.await.unwrap();
            // Whoever listened may have heard enough.
            let _ = reached.send(oneshot::channel().0);
        }
    }

    fn up<T>(&self, answer: T) -> Result<T, StoreError> {
        match &self.mood {
            Mood::TakesCharges | Mood::KeyRevoked | Mood::Waits(_) => Ok(answer),
            Mood::Down | Mood::DownForKeys => Err(StoreError::Unavailable("down".into())),
        }
    }
}

#[async_trait]
impl Store for TestStore {
    async fn start(&self, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError> {
        self.up(vec![Started::Created; batch.len()])
    }
    async fn update(&self, batch: &[Update]) -> Result<Vec<Updated>, StoreError> {
        self.up(vec![Updated::Applied; batch.len()])
    }
    async fn load(&self, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError> {
        self.up(vec![None; ids.len()])
    }
    async fn due(&self, _now: Timestamp, _after: Option<Due>, _limit: u32) -> Result<Vec<Due>, StoreError> {
        self.up(Vec::new())
    }
    async fn history(&self, _id: PaymentId) -> Result<Vec<HistoryRow>, StoreError> {
        self.up(Vec::new())
    }
    async fn refunds(
        &self,
        _charge: PaymentId,
        _after: Option<PaymentId>,
        _limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        self.up(Vec::new())
    }
    async fn history_since(&self, batch: &[HistoryPlace]) -> Result<Vec<Vec<HistoryRow>>, StoreError> {
        self.up(vec![Vec::new(); batch.len()])
    }
    async fn list(&self, _step: &ListStep<'_>) -> Result<Listed, StoreError> {
        self.wait().await;
        self.up(Listed { payments: Vec::new(), next: None })
    }
    async fn walk(&self, _after: Option<PaymentId>, _limit: u32) -> Result<Vec<Payment>, StoreError> {
        self.up(Vec::new())
    }
    async fn by_psp_reference(&self, _psp: &str, _reference: &str) -> Result<Option<PaymentId>, StoreError> {
        self.up(None)
    }

    async fn request(&self, _scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError> {
        self.up(None)
    }
    async fn drop_answers(&self, _before: Timestamp, _limit: u32) -> Result<u64, StoreError> {
        self.up(0)
    }

    async fn keep_webhooks(&self, _batch: &[WebhookEvent]) -> Result<(), StoreError> {
        self.wait().await;
        self.up(())
    }
    async fn webhook(&self, _psp: &str, _event_id: &str) -> Result<Option<WebhookEvent>, StoreError> {
        self.up(None)
    }
    async fn unmatched_webhooks(&self, _after: Timestamp, _limit: u32) -> Result<Vec<WebhookEvent>, StoreError> {
        self.up(Vec::new())
    }
    async fn dead_letters(
        &self,
        _filter: &LetterFilter,
        _after: Option<LetterPlace>,
        _limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.up(Vec::new())
    }
    async fn dead_letters_of(&self, _id: PaymentId, _limit: u32) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.up(Vec::new())
    }
    async fn claim_notices(&self, _claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError> {
        self.up(Vec::new())
    }
    async fn settle_notices(&self, _batch: &[NoticeResult<'_>]) -> Result<(), StoreError> {
        self.up(())
    }
    async fn notices_of(&self, _id: PaymentId, _limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        self.up(Vec::new())
    }
    async fn open_payments(&self, _now: Timestamp) -> Result<OpenPayments, StoreError> {
        self.up(OpenPayments::default())
    }
    async fn add_api_key(&self, _key: &ApiKey) -> Result<(), StoreError> {
        self.up(())
    }
    async fn merchant_mode(&self, _id: MerchantId) -> Result<Option<Mode>, StoreError> {
        self.up(None)
    }
    async fn api_keys(
        &self,
        _merchant_id: Option<MerchantId>,
        _after: Option<ApiKeyId>,
        _limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.up(Vec::new())
    }
    async fn revoke_api_key(&self, _id: ApiKeyId, _at: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        self.up(None)
    }
    async fn rotate_api_key(&self, _rotation: Rotation) -> Result<Option<ApiKey>, StoreError> {
        self.up(None)
    }
    async fn api_key_used(&self, _id: ApiKeyId, _at: Timestamp) -> Result<(), StoreError> {
        self.up(())
    }
    async fn api_key(&self, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError> {
        if matches!(self.mood, Mood::DownForKeys) {
            return self.up(None);
        }
        let revoked_at = matches!(self.mood, Mood::KeyRevoked).then_some(self.key.created_at);
        let known = secret_hash == self.key.secret_hash;
        Ok(known.then(|| ApiKey { revoked_at, ..self.key.clone() }))
    }
    async fn check(&self) -> Result<Schema, StoreError> {
        self.up(Schema::Own)
    }
}
