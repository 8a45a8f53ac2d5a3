//! Rows of endpoints, events and deliveries, turned into the core's types.

#![allow(missing_docs, reason = "the fields are columns; the migrations explain them")]

use std::collections::BTreeSet;
use std::str::FromStr;

use uuid::Uuid;

use super::Place;
use crate::ids::{EndpointId, EventId, MerchantId, PaymentId};
use crate::notification::{EventFilter, EventType};
use crate::port::outbound::{AttemptRow, Backlog, DeliveryRow, Disabled, Dispatch, Endpoint, FormerSecret};
use crate::port::store::StoreError;
use crate::signing::SigningSecret;

/// A row of `webhook_endpoints`.
pub struct EndpointColumns {
    pub id: Uuid,
    pub merchant_id: Uuid,
    pub url: String,
    pub description: Option<String>,
    pub events: Option<String>,
    pub secret: String,
    pub former_secret: Option<String>,
    pub former_secret_expires_at_us: Option<i64>,
    pub disabled_at_us: Option<i64>,
    pub disabled_reason: Option<String>,
    pub failing_since_us: Option<i64>,
    pub created_at_us: i64,
    pub updated_at_us: i64,
    pub version: i64,
}

impl TryFrom<EndpointColumns> for Endpoint {
    type Error = StoreError;

    fn try_from(row: EndpointColumns) -> Result<Self, StoreError> {
        let id = EndpointId::from_uuid(row.id);
        let of = Place { table: "webhook_endpoints", row: &id };
        let disabled = match (row.disabled_at_us, row.disabled_reason) {
            (Some(at), Some(reason)) => {
                Some(Disabled { at: of.instant("disabled_at_us", at)?, reason: of.parsed("disabled_reason", &reason)? })
            }
            (Some(_) | None, Some(_) | None) => None,
        };
        Ok(Self {
            id,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            url: row.url,
            description: row.description,
            events: of.events(row.events.as_deref())?,
            secret: SigningSecret::stored(row.secret),
            former_secret: of.former_secret(row.former_secret, row.former_secret_expires_at_us)?,
            disabled,
            failing_since: row.failing_since_us.map(|at| of.instant("failing_since_us", at)).transpose()?,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            updated_at: of.instant("updated_at_us", row.updated_at_us)?,
            version: row.version,
        })
    }
}

/// The filter as it is stored: null for all, else a JSON list.
#[must_use]
pub fn events_column(filter: &EventFilter) -> Option<String> {
    match filter {
        EventFilter::All => None,
        EventFilter::Only(types) => {
            let names: Vec<&str> = types.iter().map(<&str>::from).collect();
            Some(serde_json::Value::from(names).to_string())
        }
    }
}

/// A row of `outbound_deliveries` with its event's type and its last attempt.
pub struct DeliveryColumns {
    pub event_id: Uuid,
    pub endpoint_id: Uuid,
    pub event_type: String,
    pub state: String,
    pub attempts: i32,
    pub next_attempt_at_us: Option<i64>,
    pub created_at_us: i64,
    pub attempt: Option<i32>,
    pub at_us: Option<i64>,
    pub duration_ms: Option<i64>,
    pub status: Option<i32>,
    pub response: Option<String>,
    pub error: Option<String>,
}

impl TryFrom<DeliveryColumns> for DeliveryRow {
    type Error = StoreError;

    fn try_from(row: DeliveryColumns) -> Result<Self, StoreError> {
        let event_id = EventId::from_uuid(row.event_id);
        let of = Place { table: "outbound_deliveries", row: &event_id };
        let last_attempt = match (row.attempt, row.at_us, row.duration_ms) {
            (Some(attempt), Some(at_us), Some(duration_ms)) => {
                let (status, response, error) = (row.status, row.response, row.error);
                Some(AttemptColumns { event_id: row.event_id, attempt, at_us, duration_ms, status, response, error })
            }
            _ => None,
        };
        Ok(Self {
            event_id,
            endpoint_id: EndpointId::from_uuid(row.endpoint_id),
            event_type: row.event_type,
            state: of.parsed("state", &row.state)?,
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at_us.map(|at| of.instant("next_attempt_at_us", at)).transpose()?,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            last_attempt: last_attempt.map(AttemptRow::try_from).transpose()?,
        })
    }
}

/// A row of `outbound_attempts`.
pub struct AttemptColumns {
    pub event_id: Uuid,
    pub attempt: i32,
    pub at_us: i64,
    pub duration_ms: i64,
    pub status: Option<i32>,
    pub response: Option<String>,
    pub error: Option<String>,
}

impl TryFrom<AttemptColumns> for AttemptRow {
    type Error = StoreError;

    fn try_from(row: AttemptColumns) -> Result<Self, StoreError> {
        let event_id = EventId::from_uuid(row.event_id);
        let of = Place { table: "outbound_attempts", row: &event_id };
        let status = row.status.map(|status| u16::try_from(status).map_err(|_| of.corrupt("status", status)));
        Ok(Self {
            attempt: row.attempt,
            at: of.instant("at_us", row.at_us)?,
            duration_ms: row.duration_ms,
            status: status.transpose()?,
            response: row.response,
            error: row.error,
        })
    }
}

/// A claimed row of `outbound_deliveries` with what is to be sent where.
pub struct DispatchColumns {
    pub event_id: Uuid,
    pub payment_id: Option<Uuid>,
    pub endpoint_id: Uuid,
    pub attempts: i32,
    pub tries: i32,
    pub since_us: i64,
    pub payload: String,
    pub url: String,
    pub secret: String,
    pub former_secret: Option<String>,
    pub former_secret_expires_at_us: Option<i64>,
    pub failing_since_us: Option<i64>,
}

impl TryFrom<DispatchColumns> for Dispatch {
    type Error = StoreError;

    fn try_from(row: DispatchColumns) -> Result<Self, StoreError> {
        let event_id = EventId::from_uuid(row.event_id);
        let of = Place { table: "outbound_deliveries", row: &event_id };
        Ok(Self {
            event_id,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            endpoint_id: EndpointId::from_uuid(row.endpoint_id),
            attempt: row.attempts,
            tries: row.tries,
            since: of.instant("since_us", row.since_us)?,
            payload: row.payload,
            url: row.url,
            secret: SigningSecret::stored(row.secret),
            former_secret: of.former_secret(row.former_secret, row.former_secret_expires_at_us)?,
            endpoint_fails: row.failing_since_us.is_some(),
        })
    }
}

/// What is still to be delivered.
pub struct BacklogColumns {
    pub pending: i64,
    pub due_since_us: Option<i64>,
}

impl TryFrom<BacklogColumns> for Backlog {
    type Error = StoreError;

    fn try_from(row: BacklogColumns) -> Result<Self, StoreError> {
        let of = Place { table: "outbound_deliveries", row: &"in some row" };
        let due_since = row.due_since_us.map(|at| of.instant("next_attempt_at_us", at)).transpose()?;
        Ok(Self { pending: row.pending, due_since })
    }
}

impl Place<'_> {
    /// Types that only a newer program knows are left out: this one sends none of them.
    fn events(&self, column: Option<&str>) -> Result<EventFilter, StoreError> {
        let Some(text) = column else { return Ok(EventFilter::All) };
        let names: Vec<String> = self.json("events", text)?;
        let known: BTreeSet<EventType> = names.iter().filter_map(|name| EventType::from_str(name).ok()).collect();
        Ok(EventFilter::Only(known))
    }

    fn former_secret(&self, secret: Option<String>, expires: Option<i64>) -> Result<Option<FormerSecret>, StoreError> {
        let (Some(secret), Some(expires)) = (secret, expires) else { return Ok(None) };
        let expires_at = self.instant("former_secret_expires_at_us", expires)?;
        Ok(Some(FormerSecret { secret: SigningSecret::stored(secret), expires_at }))
    }
}
