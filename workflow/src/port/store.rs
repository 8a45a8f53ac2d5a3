//! Where payments are kept. Every call that writes takes a slice, is one transaction, and returns one result per
//! element, in order.
//!
//! Not here: deciding anything. A store compares, writes and answers.

mod letters;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::decide::DeadLetter;
use crate::definition::State;
use crate::history::{Hash, HistoryRow};
use crate::ids::{ApiKeyId, MerchantId, PaymentId};
use crate::notification::Notification;
use crate::payment::Payment;
use crate::port::outbound::Outbound;

pub use letters::{
    DeadLetterRow, LetterFilter, LetterPlace, LetterScope, Notice, NoticeClaim, NoticeOutcome, NoticeResult, NoticeRow,
};

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
    pub payment: Payment,
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
    /// The body it was answered with, byte for byte.
    pub body: String,
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

/// What caused an update, when it has to be remembered in the same transaction and must not happen twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nothing that needs remembering.
    Plain,
    /// A webhook event: goes to the inbox (or replaces its unmatched row).
    Webhook(WebhookEvent),
    /// A client's request: its key and answer are kept.
    Request(RequestRecord),
}

/// A refund that begins in the transaction that moves its charge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The refund, at `seq` 1.
    pub payment: Payment,
    /// Its first row.
    pub row: HistoryRow,
}

/// A compare-and-set update of one payment with the history rows that explain it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// The `seq` the payment must still have.
    pub expected_seq: i64,
    /// The `fence` the payment must still have.
    pub expected_fence: i64,
    /// The payment afterwards.
    pub payment: Payment,
    /// One row or two, numbered on from `expected_seq`.
    pub rows: Vec<HistoryRow>,
    /// What caused it.
    pub origin: Origin,
    /// The PSP's name for the payment, when this update is the first to know it.
    pub learned_reference: Option<String>,
    /// Kept when the update sends the payment to a person.
    pub dead_letter: Option<DeadLetter>,
    /// What the merchant is told of it, wherever it asked to be told.
    pub notifications: Vec<Notification>,
    /// Another payment's update that belongs to this one, without an origin or more of its own: both or none are stored.
    pub with: Option<Box<Update>>,
    /// A payment that begins with this update.
    pub opens: Option<Box<Opened>>,
}

impl Update {
    /// The payments it moves, at least this one.
    pub fn moves(&self) -> impl Iterator<Item = &Update> {
        std::iter::once(self).chain(self.with.as_deref())
    }
}

/// What became of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Updated {
    /// It is stored.
    Applied,
    /// The payment has moved since, or the origin was already handled: nothing of it was stored.
    Conflict,
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

/// An API key as it is stored: never the secret itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Its name.
    pub id: ApiKeyId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// SHA-256 of the secret. The secret has 256 random bits, so it needs no slow hash.
    pub secret_hash: Hash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A page of charges, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Whose charges.
    pub merchant_id: MerchantId,
    /// Only those older than this one.
    pub after: Option<PaymentId>,
    /// At most so many.
    pub limit: u32,
}

/// The database of payments, and of what merchants are told of them.
#[async_trait]
pub trait Store: Outbound + Send + Sync {
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

    /// All history rows of a payment, in order.
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

    /// A page of a merchant's charges.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn list(&self, page: Page) -> Result<Vec<Payment>, StoreError>;

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

    /// How many payments that have not ended stand in each state.
    ///
    /// # Errors
    /// The database did not answer.
    async fn open_counts(&self) -> Result<Vec<(State, i64)>, StoreError>;

    /// Stores an API key, and its merchant when it is new.
    ///
    /// # Errors
    /// Nothing was stored.
    async fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// The key whose secret has this hash, revoked or not.
    ///
    /// # Errors
    /// The database did not answer.
    async fn api_key(&self, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError>;

    /// Whether the database answers and has the schema this binary was built for.
    ///
    /// # Errors
    /// It does not; says why.
    async fn check(&self) -> Result<(), StoreError>;
}

/// Which updates of a batch may be written: the first of each payment. The others are conflicts by definition,
/// since the first moves `seq` on.
#[must_use]
pub fn first_of_each_payment(batch: &[Update]) -> Vec<bool> {
    let mut seen = std::collections::HashSet::with_capacity(batch.len());
    let mut is_first = |update: &Update| {
        let is_first = update.moves().all(|moved| !seen.contains(&moved.payment.id));
        seen.extend(update.moves().map(|moved| moved.payment.id));
        is_first
    };
    batch.iter().map(&mut is_first).collect()
}
