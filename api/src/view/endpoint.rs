//! Webhook endpoints and what was delivered to them, as their merchants see them.
//!
//! Not here: events; the core shows them ([`workflow::view::event`]).

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use workflow::ids::{EndpointId, EventId};
use workflow::notification::EventFilter;
use workflow::port::outbound::{AttemptRow, DeliveryRow, DeliveryState, Disabled, Endpoint};
use workflow::signing::SECRET_PREFIX;
use workflow::view::openapi::object_webhook_endpoint;

use crate::document;
use crate::fields::webhook::schema;

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub(crate) struct EndpointView<'a> {
    /// Its name.
    #[schema(value_type = String, pattern = "^we_[0-9a-f]{32}$")]
    id: EndpointId,
    /// Always `webhook_endpoint`.
    #[schema(schema_with = object_webhook_endpoint)]
    object: &'static str,
    /// Where events are sent.
    url: &'a str,
    /// Your words.
    #[schema(required)]
    description: Option<&'a str>,
    /// Which events; `["*"]` for all, those of later versions included.
    enabled_events: Vec<&'static str>,
    /// `enabled` or `disabled`.
    #[schema(schema_with = schema::endpoint_status)]
    status: &'static str,
    /// Why it is disabled: `requested`, `gone` (it answered 410) or `failing` (nothing arrived for five days).
    #[schema(required)]
    disabled_reason: Option<&'static str>,
    /// Since when it is disabled (RFC 3339).
    #[schema(schema_with = schema::instant_or_null, required)]
    disabled_at: Option<Timestamp>,
    /// Since when nothing has arrived, while something should have (RFC 3339).
    #[schema(schema_with = schema::instant_or_null, required)]
    failing_since: Option<Timestamp>,
    /// How events are signed: `hmac` with a secret that we share, or `ed25519` with a key that only we have.
    #[schema(schema_with = schema::signature)]
    signature: &'static str,
    /// The shared secret. Shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    secret: Option<&'a str>,
    /// What verifies ed25519 signatures.
    #[schema(required)]
    public_key: Option<String>,
    /// Until when the secret or key before this one signs as well (RFC 3339).
    #[schema(schema_with = schema::instant_or_null, required)]
    former_secret_expires_at: Option<Timestamp>,
    /// When it was made (RFC 3339).
    #[schema(schema_with = workflow::view::openapi::instant)]
    created: Timestamp,
    /// When it was last changed (RFC 3339).
    #[schema(schema_with = workflow::view::openapi::instant)]
    updated: Timestamp,
}

impl<'a> EndpointView<'a> {
    pub(crate) fn of(endpoint: &'a Endpoint, now: Timestamp) -> Self {
        let former = endpoint.former_secret.as_ref().map(|former| former.expires_at);
        Self {
            id: endpoint.id,
            object: "webhook_endpoint",
            url: &endpoint.url,
            description: endpoint.description.as_deref(),
            enabled_events: match &endpoint.events {
                EventFilter::All => vec!["*"],
                EventFilter::Only(types) => types.iter().map(<&str>::from).collect(),
            },
            status: if endpoint.disabled.is_none() { "enabled" } else { "disabled" },
            disabled_reason: endpoint.disabled.map(|Disabled { reason, .. }| reason.into()),
            disabled_at: endpoint.disabled.map(|Disabled { at, .. }| at),
            failing_since: endpoint.failing_since,
            signature: if endpoint.secret.expose().starts_with(SECRET_PREFIX) { "hmac" } else { "ed25519" },
            secret: None,
            public_key: endpoint.secret.key().ok().and_then(|key| key.public()),
            former_secret_expires_at: former.filter(|expires_at| *expires_at > now),
            created: endpoint.created_at,
            updated: endpoint.updated_at,
        }
    }

    /// With the secret, if it is one that receivers share: for the one answer that shows it.
    pub(crate) fn with_secret(endpoint: &'a Endpoint, now: Timestamp) -> Self {
        let secret = Some(endpoint.secret.expose()).filter(|secret| secret.starts_with(SECRET_PREFIX));
        Self { secret, ..Self::of(endpoint, now) }
    }
}

/// All webhook endpoints, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointList)]
pub(crate) struct EndpointListView<'a> {
    /// Always `list`.
    #[schema(schema_with = document::object_list)]
    object: &'static str,
    /// The endpoints.
    data: Vec<EndpointView<'a>>,
    /// Always `false`: there are few.
    has_more: bool,
    /// Where the list is.
    url: &'static str,
}

impl<'a> EndpointListView<'a> {
    pub(crate) fn of(endpoints: &'a [Endpoint], now: Timestamp, url: &'static str) -> Self {
        let data = endpoints.iter().map(|endpoint| EndpointView::of(endpoint, now)).collect();
        Self { object: "list", data, has_more: false, url }
    }
}

/// A webhook endpoint that is no more.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletedWebhookEndpoint)]
pub(crate) struct DeletedView {
    /// What its name was.
    #[schema(value_type = String, pattern = "^we_[0-9a-f]{32}$")]
    pub(crate) id: EndpointId,
    /// Always `webhook_endpoint`.
    #[schema(schema_with = object_webhook_endpoint)]
    pub(crate) object: &'static str,
    /// Always `true`.
    pub(crate) deleted: bool,
}

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView<'a> {
    /// Always `webhook_delivery`.
    #[schema(schema_with = schema::object_delivery)]
    object: &'static str,
    /// The event: the name of its delivery here, and the header `webhook-id`.
    #[schema(value_type = String, pattern = "^evt_[0-9a-f]{32}$")]
    event: EventId,
    /// What happened.
    event_type: &'a str,
    /// The endpoint.
    #[schema(value_type = String, pattern = "^we_[0-9a-f]{32}$")]
    endpoint: EndpointId,
    /// `pending`, `delivered`, or `failed` (it is not tried again by itself).
    #[schema(schema_with = schema::delivery_status)]
    status: DeliveryStateName,
    /// How often it was tried.
    attempts: i32,
    /// When it is tried next (RFC 3339); while it is under way, when that is taken for lost.
    #[schema(schema_with = schema::instant_or_null, required)]
    next_attempt_at: Option<Timestamp>,
    /// When the event happened (RFC 3339).
    #[schema(schema_with = workflow::view::openapi::instant)]
    created: Timestamp,
    /// What the last attempt came to.
    #[schema(required)]
    last_attempt: Option<AttemptView<'a>>,
    /// All attempts, the last one first; the last hundred at most. Only when one delivery is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempt_log: Option<Vec<AttemptView<'a>>>,
}

type DeliveryStateName = &'static str;

/// One attempt to deliver.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
pub(crate) struct AttemptView<'a> {
    /// 1, 2, 3, …
    attempt: i32,
    /// When it began (RFC 3339).
    #[schema(schema_with = workflow::view::openapi::instant)]
    at: Timestamp,
    /// How long it took, in milliseconds.
    duration_ms: i64,
    /// What your server answered with.
    #[schema(required)]
    status: Option<u16>,
    /// The first kilobyte of what it said.
    #[schema(required)]
    response: Option<&'a str>,
    /// Why there was no answer.
    #[schema(required)]
    error: Option<&'a str>,
}

impl<'a> AttemptView<'a> {
    fn of(row: &'a AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            at: row.at,
            duration_ms: row.duration_ms,
            status: row.status,
            response: row.response.as_deref(),
            error: row.error.as_deref(),
        }
    }
}

impl<'a> DeliveryView<'a> {
    pub(crate) fn of(row: &'a DeliveryRow) -> Self {
        Self {
            object: "webhook_delivery",
            event: row.event_id,
            event_type: &row.event_type,
            endpoint: row.endpoint_id,
            status: row.state.into(),
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            created: row.created_at,
            last_attempt: row.last_attempt.as_ref().map(AttemptView::of),
            attempt_log: None,
        }
    }

    pub(crate) fn with_log(row: &'a DeliveryRow, attempts: &'a [AttemptRow]) -> Self {
        Self { attempt_log: Some(attempts.iter().map(AttemptView::of).collect()), ..Self::of(row) }
    }

    /// As it is about to stand, when it is asked for.
    pub(crate) fn asked(row: DeliveryRow, now: Timestamp) -> DeliveryRow {
        DeliveryRow { state: DeliveryState::Pending, next_attempt_at: Some(now), ..row }
    }
}

/// A page of deliveries, newest event first.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeliveryList)]
pub(crate) struct DeliveryListView<'a> {
    /// Always `list`.
    #[schema(schema_with = document::object_list)]
    object: &'static str,
    /// The deliveries.
    data: Vec<DeliveryView<'a>>,
    /// Whether there are older ones; ask for them with `starting_after`.
    has_more: bool,
    /// Where the list is.
    url: &'a str,
}

impl<'a> DeliveryListView<'a> {
    pub(crate) fn of(rows: &'a [DeliveryRow], has_more: bool, url: &'a str) -> Self {
        Self { object: "list", data: rows.iter().map(DeliveryView::of).collect(), has_more, url }
    }
}
