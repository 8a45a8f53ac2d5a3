//! The store in a SQLite file: the default, with nothing to install.
//!
//! Every call that writes is one transaction over its whole batch, on the one connection that writes. Statements stand
//! one to a function, under the names they have in the PostgreSQL crate too; a difference is explained where it stands.
//!
//! Deliberately not here: deciding anything, reading the clock, and SQL that is put together at run time.

mod access;
mod archives;
mod backup;
mod columns;
mod connect;
mod error;
mod executions;
mod keys;
mod letters;
mod lists;
mod operators;
mod outbound;
mod overview;
mod read;
mod schema;
mod start;
mod update;
mod webhooks;

use async_trait::async_trait;
use jiff::Timestamp;
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

pub use connect::{SqliteOptions, SqliteStore};

#[async_trait]
impl Store for SqliteStore {
    async fn start(&self, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError> {
        start::start(self, batch).await
    }

    async fn update(&self, batch: &[Update]) -> Result<Vec<Updated>, StoreError> {
        update::update(self, batch).await
    }

    async fn load(&self, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError> {
        read::load(self, ids).await
    }

    async fn due(&self, now: Timestamp, after: Option<Due>, limit: u32) -> Result<Vec<Due>, StoreError> {
        read::due(self, now, after, limit).await
    }

    async fn history(&self, id: PaymentId) -> Result<Vec<HistoryRow>, StoreError> {
        read::history(self, id).await
    }

    async fn refunds(
        &self,
        charge: PaymentId,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError> {
        read::refunds(self, charge, after, limit).await
    }

    async fn history_since(&self, batch: &[HistoryPlace]) -> Result<Vec<Vec<HistoryRow>>, StoreError> {
        read::history_since(self, batch).await
    }

    async fn list(&self, step: &ListStep<'_>) -> Result<Listed, StoreError> {
        lists::list(self, step).await
    }

    async fn walk(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, StoreError> {
        read::walk(self, after, limit).await
    }

    async fn by_psp_reference(&self, psp: &str, psp_reference: &str) -> Result<Option<PaymentId>, StoreError> {
        webhooks::by_psp_reference(self, psp, psp_reference).await
    }

    async fn request(&self, scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError> {
        start::request(self, scope).await
    }

    async fn drop_answers(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        start::drop_answers(self, before, limit).await
    }

    async fn keep_webhooks(&self, batch: &[WebhookEvent]) -> Result<(), StoreError> {
        webhooks::keep(self, batch).await
    }

    async fn webhook(&self, psp: &str, event_id: &str) -> Result<Option<WebhookEvent>, StoreError> {
        webhooks::webhook(self, psp, event_id).await
    }

    async fn unmatched_webhooks(&self, received_after: Timestamp, limit: u32) -> Result<Vec<WebhookEvent>, StoreError> {
        webhooks::unmatched(self, received_after, limit).await
    }

    async fn dead_letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        letters::dead_letters(self, filter, after, limit).await
    }

    async fn dead_letters_of(&self, id: PaymentId, limit: u32) -> Result<Vec<DeadLetterRow>, StoreError> {
        letters::dead_letters_of(self, id, limit).await
    }

    async fn claim_notices(&self, claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError> {
        letters::claim_notices(self, claim).await
    }

    async fn settle_notices(&self, batch: &[NoticeResult<'_>]) -> Result<(), StoreError> {
        letters::settle_notices(self, batch).await
    }

    async fn notices_of(&self, id: PaymentId, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        letters::notices_of(self, id, limit).await
    }

    async fn open_payments(&self, now: Timestamp) -> Result<OpenPayments, StoreError> {
        overview::open_payments(self, now).await
    }

    async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        keys::add_api_key(self, key).await
    }

    async fn merchant_mode(&self, id: MerchantId) -> Result<Option<Mode>, StoreError> {
        keys::merchant_mode(self, id).await
    }

    async fn api_keys(
        &self,
        merchant_id: Option<MerchantId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        keys::api_keys(self, merchant_id, after, limit).await
    }

    async fn revoke_api_key(&self, id: ApiKeyId, at: Timestamp) -> Result<Option<ApiKey>, StoreError> {
        keys::revoke_api_key(self, id, at).await
    }

    async fn rotate_api_key(&self, rotation: Rotation) -> Result<Option<ApiKey>, StoreError> {
        keys::rotate_api_key(self, rotation).await
    }

    async fn api_key_used(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        keys::api_key_used(self, id, at).await
    }

    async fn api_key(&self, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError> {
        keys::api_key(self, secret_hash).await
    }

    async fn check(&self) -> Result<Schema, StoreError> {
        schema::check(self).await
    }
}
