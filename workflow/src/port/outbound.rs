//! Where merchants want to be told of events, the events themselves, and what became of telling: the part of the store
//! that outbound webhooks need.
//!
//! Events of payments are not written here: they are part of the update that moves the payment
//! ([`crate::port::store::Update`]). Not here either: who may ask, and telling (`activities::outbound`).

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::{RequestRecord, StoreError, Updated};
use crate::ids::{EndpointId, EventId, MerchantId, PaymentId};
use crate::notification::{EventFilter, Notification};
use crate::signing::SigningSecret;

/// Endpoints of one merchant. Each costs a row for every event it is told of.
pub const MAX_ENDPOINTS: usize = 16;

/// Where a merchant wants to be told of events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// Where events are sent.
    pub url: String,
    /// The merchant's words.
    pub description: Option<String>,
    /// Which events.
    pub events: EventFilter,
    /// What they are signed with. Stored as it is: it has to sign.
    pub secret: SigningSecret,
    /// What they are signed with as well, during a rotation.
    pub former_secret: Option<FormerSecret>,
    /// Since when and why nothing is sent, if so.
    pub disabled: Option<Disabled>,
    /// Since when nothing has arrived, while something should have.
    pub failing_since: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its merchant last changed it, or we disabled it.
    pub updated_at: Timestamp,
    /// Grows with each change; every change compares it.
    pub version: i64,
}

/// A secret that another has taken the place of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormerSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// Until when it signs.
    pub expires_at: Timestamp,
}

/// Since when and why nothing is sent to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disabled {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: DisabledReason,
}

/// Why nothing is sent to an endpoint.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::Display, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum DisabledReason {
    /// Its merchant said so.
    Requested,
    /// It answered 410: it is gone.
    Gone,
    /// Nothing has arrived for days.
    Failing,
}

/// A new endpoint, or a change of one, with the request that asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointWrite {
    /// The endpoint afterwards.
    pub endpoint: Endpoint,
    /// The version it must still have; none for a new one.
    pub expected_version: Option<i64>,
    /// The request.
    pub request: RequestRecord,
}

/// An event for one endpoint alone, with the request that asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectEvent {
    /// The event.
    pub notification: Notification,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The request.
    pub request: RequestRecord,
}

/// The wish to send an event to an endpoint once more, with the request that asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resend {
    /// The event.
    pub event_id: EventId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// From when on it is tried.
    pub now: Timestamp,
    /// The request.
    pub request: RequestRecord,
}

/// How a delivery stands.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, strum::Display, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, or waits for the next try.
    Pending,
    /// It arrived.
    Delivered,
    /// It did not, and is not tried again by itself.
    Failed,
}

/// One event on its way to one endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRow {
    /// The event.
    pub event_id: EventId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// What the event is called. Text, so that an older program shows the events of a newer one.
    pub event_type: String,
    /// How it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next, while it is pending.
    pub next_attempt_at: Option<Timestamp>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// What the last attempt came to, once there was one that ended.
    pub last_attempt: Option<AttemptRow>,
}

/// One attempt to deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptRow {
    /// 1, 2, 3, …: one that is missing ended without anybody to write it down.
    pub attempt: i32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// What the receiver answered with, if it did.
    pub status: Option<u16>,
    /// The first bytes of its answer, as text.
    pub response: Option<String>,
    /// Why there was no answer, in our words.
    pub error: Option<String>,
}

/// A page of an endpoint's deliveries, newest event first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliveryPage {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those of events older than this one.
    pub after: Option<EventId>,
    /// At most so many.
    pub limit: u32,
}

/// A right to deliver, asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryClaim<'a> {
    /// Now.
    pub now: Timestamp,
    /// Until when nobody else may deliver what is claimed.
    pub lease_until: Timestamp,
    /// At most so many.
    pub limit: u32,
    /// At most so many for one endpoint; one for an endpoint that fails.
    pub limit_per_endpoint: u32,
    /// Nothing for these: they have enough in hand.
    pub busy: &'a [EndpointId],
}

/// The right to deliver one event to one endpoint, until its lease runs out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispatch {
    /// The event.
    pub event_id: EventId,
    /// The payment it tells of; none for the test of an endpoint.
    pub payment_id: Option<PaymentId>,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// How often it was tried, this time included.
    pub attempt: i32,
    /// The same, since it was last asked for.
    pub tries: i32,
    /// When it was last asked for: by the event, or by a wish to send it again.
    pub since: Timestamp,
    /// The body, byte for byte.
    pub payload: String,
    /// Where it goes.
    pub url: String,
    /// What it is signed with.
    pub secret: SigningSecret,
    /// What it is signed with as well, until then.
    pub former_secret: Option<FormerSecret>,
    /// Whether nothing arrives at the endpoint at the moment: it is then sent one at a time.
    pub endpoint_fails: bool,
}

/// Deliveries that are counted as a backlog, at most.
pub const BACKLOG_MOST: u32 = 10_000;

/// What is still to be delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// How many deliveries, [`BACKLOG_MOST`] at most: those that back off included.
    pub pending: i64,
    /// Since when the one that has been due the longest is, without anybody having taken it.
    pub due_since: Option<Timestamp>,
}

/// What came of an attempt to deliver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryResult {
    /// The event.
    pub event_id: EventId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The attempt, as it is logged.
    pub attempt: AttemptRow,
    /// What follows.
    pub outcome: DeliveryOutcome,
}

/// What follows from an attempt to deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryOutcome {
    /// It arrived: nobody tries again.
    Delivered,
    /// It did not; from this time on it may be tried again. Counts only if nobody else has tried since.
    Again {
        /// When.
        next_at: Timestamp,
        /// Until when the endpoint asks for peace from everything, if it does.
        endpoint_rests_until: Option<Timestamp>,
    },
    /// It did not, for the last time. Counts only if nobody else has tried since.
    Exhausted,
    /// The receiver is gone for good: the endpoint is disabled. What is pending waits for it to be enabled again.
    Gone,
}

/// The part of the store that outbound webhooks need. As everywhere in the store, a call that writes is one transaction.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Stores a new endpoint or a change of one, with its request. A conflict when the endpoint has changed since, or when
    /// the request's key is taken.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn write_endpoint(&self, write: &EndpointWrite) -> Result<Updated, StoreError>;

    /// Deletes an endpoint with all that is known of its deliveries. A conflict when there is none.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn delete_endpoint(&self, merchant_id: MerchantId, id: EndpointId) -> Result<Updated, StoreError>;

    /// A merchant's endpoints, newest first; [`MAX_ENDPOINTS`] and some at most.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn endpoints(&self, merchant_id: MerchantId) -> Result<Vec<Endpoint>, StoreError>;

    /// A merchant's endpoint.
    ///
    /// # Errors
    /// The database did not answer, or the row cannot be read.
    async fn endpoint(&self, merchant_id: MerchantId, id: EndpointId) -> Result<Option<Endpoint>, StoreError>;

    /// Stores an event for one endpoint, with its request. A conflict when the request's key is taken.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn send_directly(&self, direct: &DirectEvent) -> Result<Updated, StoreError>;

    /// Has an event sent to an endpoint once more, with the request that asks for it. A conflict when there is no such
    /// delivery, or when the request's key is taken.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn resend(&self, resend: &Resend) -> Result<Updated, StoreError>;

    /// The body of a merchant's event.
    ///
    /// # Errors
    /// The database did not answer.
    async fn event(&self, merchant_id: MerchantId, id: EventId) -> Result<Option<String>, StoreError>;

    /// A page of an endpoint's deliveries.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn deliveries(&self, page: DeliveryPage) -> Result<Vec<DeliveryRow>, StoreError>;

    /// One delivery.
    ///
    /// # Errors
    /// The database did not answer, or the row cannot be read.
    async fn delivery(&self, endpoint_id: EndpointId, event_id: EventId) -> Result<Option<DeliveryRow>, StoreError>;

    /// The attempts of one delivery, the last one first.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn attempts(
        &self,
        endpoint_id: EndpointId,
        event_id: EventId,
        limit: u32,
    ) -> Result<Vec<AttemptRow>, StoreError>;

    /// Claims deliveries that are due to endpoints that are enabled: the longest due first, but no endpoint more than its
    /// share.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn claim_deliveries(&self, claim: DeliveryClaim<'_>) -> Result<Vec<Dispatch>, StoreError>;

    /// Writes down what came of attempts. An endpoint that is gone, or to which nothing has arrived since
    /// `failing_since`, is disabled; returns those.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged: the leases run out, and others deliver again.
    async fn settle_deliveries(
        &self,
        batch: &[DeliveryResult],
        failing_since: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError>;

    /// Forgets events that happened before, with all that is known of their deliveries; returns how many.
    ///
    /// # Errors
    /// The database did not answer.
    async fn prune_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// What is still to be delivered to endpoints that are enabled.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError>;
}
