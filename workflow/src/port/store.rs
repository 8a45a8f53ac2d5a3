//! Where payments are kept. Every call that writes takes a slice, is one transaction, and returns one result per
//! element, in order.
//!
//! Not here: deciding anything. A store compares, writes and answers.

mod keys;
mod letters;
mod lists;
mod updates;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::history::{Hash, HistoryRow};
use crate::ids::{ApiKeyId, MerchantId, PaymentId};
use crate::payment::Payment;
use crate::port::archives::Archives;
use crate::port::audit::AuditLog;
use crate::port::executions::Executions;
use crate::port::outbound::Outbound;
use crate::port::overview::OpenPayments;
use crate::port::pauses::Pauses;
use crate::port::schema::Schema;

pub use keys::{ApiKey, Mode, Rotation, Scope, Scopes};
pub use letters::{
    DeadLetterRow, LetterFilter, LetterPlace, LetterScope, Notice, NoticeClaim, NoticeOutcome, NoticeResult, NoticeRow,
};
pub use lists::{Bounds, HistoryPlace, ListFilter, ListStep, Listed, ROWS_SINCE, Source, Walk, dealt, metadata_entry};
pub use updates::{Opened, Origin, Update, Updated, first_of_each_payment};

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is full, or took too long. Nothing was acknowledged; try again later.
    #[error("the database did not answer: nothing was acknowledged")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else holds a row and does not let go: an operator with an open transaction, for example. Nothing was
    /// acknowledged; what needs other rows deserves another try at once, what needs this one a try later.
    #[error("a row is held by somebody else: nothing was acknowledged")]
    Held(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored row breaks a rule that we thought could not be broken. That payment stops; an operator looks.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(String),
    /// A defect: the statement itself was refused.
    #[error("the database refused the statement")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A payment to be stored with its first history row and the request that asked for it.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// The payment, at `seq` 1.
    pub payment: Arc<Payment>,
    /// Its first row.
    pub row: HistoryRow,
    /// The request it answers.
    pub request: RequestRecord,
}

/// A client's request with the answer it got: what a repetition is compared with and answered from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestRecord {
    /// Keys of one merchant and one route do not meet those of another.
    pub scope: RequestScope,
    /// Hash of the request's canonical content.
    pub fingerprint: Hash,
    /// The payment it concerned, if it concerned one.
    pub payment_id: Option<PaymentId>,
    /// The HTTP status it was answered with.
    pub status: u16,
    /// The body it was answered with, byte for byte, while it is kept.
    pub body: Option<String>,
    /// When it was first made.
    pub created_at: Timestamp,
}

/// What an idempotency key is unique within.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RequestScope {
    /// Whose key.
    pub merchant_id: MerchantId,
    /// The route's template, with the id of what it acts on.
    pub route: String,
    /// The client's `Idempotency-Key`.
    pub key: String,
}

/// What became of a new payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Started {
    /// It is stored.
    Created,
    /// The key was used before; this is that request. Nothing was stored.
    Repeated(Box<RequestRecord>),
}

/// A webhook event as it is kept in the inbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookEvent {
    /// Which PSP sent it.
    pub psp: String,
    /// The PSP's name for it: unique per PSP.
    pub event_id: String,
    /// The PSP's name for its kind.
    pub event_type: String,
    /// The raw body.
    pub body: Vec<u8>,
    /// When it came.
    pub received_at: Timestamp,
    /// The payment it was matched with.
    pub payment_id: Option<PaymentId>,
    /// What became of it.
    pub outcome: WebhookOutcome,
}

/// What became of a webhook event.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::Display, strum::EnumString, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "snake_case")]
pub enum WebhookOutcome {
    /// It moved the payment, or was recorded in its history as a fact.
    Applied,
    /// It was old news; the history says so.
    Stale,
    /// The table does not allow it; an operator looks.
    Illegal,
    /// It means nothing to the workflow.
    Ignored,
    /// No payment fits it yet; it is matched again later.
    Unmatched,
    /// Authentic, but of a shape nobody knows; an operator looks.
    Unreadable,
}

/// A payment that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Since when.
    pub since: Timestamp,
    /// Which.
    pub payment_id: PaymentId,
    /// Where its history stands.
    pub seq: i64,
}

/// The database of payments, and of what merchants and clocks outside are told of them.
#[async_trait]
pub trait Store: Archives + AuditLog + Executions + Outbound + Pauses + Send + Sync {
    /// Stores payments, each with its first row and its request; all or nothing per element.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged.
    async fn start(&self, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError>;

    /// Updates payments by compare-and-set on `seq` and `fence`, each with its rows, origin and dead letter; all or
    /// nothing per element. A second update of one payment in a batch is a conflict.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged.
    async fn update(&self, batch: &[Update]) -> Result<Vec<Updated>, StoreError>;

    /// Reads payments.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn load(&self, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError>;

    /// Payments whose `next_wake_at` has come, the longest overdue first, of one instant by their ids: the next ones
    /// after `after`, whatever became of that one.
    ///
    /// # Errors
    /// The database did not answer.
    async fn due(&self, now: Timestamp, after: Option<Due>, limit: u32) -> Result<Vec<Due>, StoreError>;

    /// All history rows of a payment that are in the database, in order; its first ones may be archived
    /// ([`history_of`](crate::port::archives::history_of) tells).
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn history(&self, id: PaymentId) -> Result<Vec<HistoryRow>, StoreError>;

    /// Refunds of a charge, the newest first: those older than `after`.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn refunds(
        &self,
        charge: PaymentId,
        after: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>, StoreError>;

    /// History rows after these, of each payment in order, a bounded number of each: for those who follow payments.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn history_since(&self, batch: &[HistoryPlace]) -> Result<Vec<Vec<HistoryRow>>, StoreError>;

    /// One step along a merchant's payments: the next ones that fit, as far as a bounded look reaches.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn list(&self, step: &ListStep<'_>) -> Result<Listed, StoreError>;

    /// Payments of all merchants in the order of their ids, for walking over everything.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn walk(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, StoreError>;

    /// The payment that a PSP knows, or knew, by this reference.
    ///
    /// # Errors
    /// The database did not answer.
    async fn by_psp_reference(&self, psp: &str, psp_reference: &str) -> Result<Option<PaymentId>, StoreError>;

    /// An earlier request with this key.
    ///
    /// # Errors
    /// The database did not answer.
    async fn request(&self, scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError>;

    /// Drops the bodies of answers from before this time, so many at most, and returns how many those were. The keys stay,
    /// with the payments they led to.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn drop_answers(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Keeps webhook events that move no payment. Those already there stay as they are, but for an unmatched one about
    /// which something has now been decided.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged.
    async fn keep_webhooks(&self, batch: &[WebhookEvent]) -> Result<(), StoreError>;

    /// A webhook event that came before.
    ///
    /// # Errors
    /// The database did not answer.
    async fn webhook(&self, psp: &str, event_id: &str) -> Result<Option<WebhookEvent>, StoreError>;

    /// Events that no payment fitted so far and that came after the given time, oldest first.
    ///
    /// # Errors
    /// The database did not answer.
    async fn unmatched_webhooks(&self, received_after: Timestamp, limit: u32) -> Result<Vec<WebhookEvent>, StoreError>;

    /// Dead letters, newest first: the next ones after `after`.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn dead_letters(
        &self,
        filter: &LetterFilter,
        after: Option<LetterPlace>,
        limit: u32,
    ) -> Result<Vec<DeadLetterRow>, StoreError>;

    /// A payment's dead letters, the last one first.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn dead_letters_of(&self, id: PaymentId, limit: u32) -> Result<Vec<DeadLetterRow>, StoreError>;

    /// Claims the right to tell of dead letters that the adapter has not told of, the oldest first: those never tried,
    /// and those whose lease or pause is over. A letter that cannot be read is left out and logged.
    ///
    /// # Errors
    /// The database did not answer.
    async fn claim_notices(&self, claim: NoticeClaim<'_>) -> Result<Vec<Notice>, StoreError>;

    /// Remembers what came of telling.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged: the leases run out, and others tell again.
    async fn settle_notices(&self, batch: &[NoticeResult<'_>]) -> Result<(), StoreError>;

    /// Who has been told of a payment's dead letters, or is yet to be; in the order of the letters.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn notices_of(&self, id: PaymentId, limit: u32) -> Result<Vec<NoticeRow>, StoreError>;

    /// Payments that have not ended, counted, [`OPEN_MOST`](crate::port::overview::OPEN_MOST) at most.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn open_payments(&self, now: Timestamp) -> Result<OpenPayments, StoreError>;

    /// Stores an API key, and its merchant when it is new.
    ///
    /// # Errors
    /// Nothing was stored; also when the merchant is of another mode.
    async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// A merchant's mode, if there is such a merchant.
    ///
    /// # Errors
    /// The database did not answer.
    async fn merchant_mode(&self, id: MerchantId) -> Result<Option<Mode>, StoreError>;

    /// API keys in the order in which they were made: the next ones after `after`, of one merchant or of all.
    ///
    /// # Errors
    /// The database did not answer.
    async fn api_keys(
        &self,
        merchant_id: Option<MerchantId>,
        after: Option<ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes a key from this time on, unless it is revoked earlier, and returns it as it then stands.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn revoke_api_key(&self, id: ApiKeyId, at: Timestamp) -> Result<Option<ApiKey>, StoreError>;

    /// Stores a key in the place of another, which is revoked later. None, and nothing is stored, when there is no such
    /// key, or when it is revoked or replaced already.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn rotate_api_key(&self, rotation: Rotation) -> Result<Option<ApiKey>, StoreError>;

    /// Remembers that a key was used.
    ///
    /// # Errors
    /// It is not remembered.
    async fn api_key_used(&self, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError>;

    /// The key whose secret has this hash, revoked or not.
    ///
    /// # Errors
    /// The database did not answer.
    async fn api_key(&self, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError>;

    /// Whether the database answers and this program can use its schema.
    ///
    /// # Errors
    /// It does not answer, or the program cannot ([`SchemaMismatch`](crate::port::schema::SchemaMismatch)); says what to do.
    async fn check(&self) -> Result<Schema, StoreError>;
}
