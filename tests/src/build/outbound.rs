//! Endpoints, events and what came of deliveries.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use workflow::history::Hash;
use workflow::ids::{EndpointId, EventId, MerchantId};
use workflow::notification::{EventFilter, EventType, Notification};
use workflow::port::outbound::{
    AttemptRow, DeliveryClaim, DeliveryOutcome, DeliveryResult, Dispatch, Endpoint, EndpointWrite,
};
use workflow::port::store::{RequestRecord, RequestScope, Update};
use workflow::signing::SigningSecret;

use super::at;

/// An endpoint of this number, of this merchant, that listens to everything.
#[must_use]
pub fn endpoint(number: u64, merchant_id: MerchantId) -> Endpoint {
    Endpoint {
        id: EndpointId::new(at(i64::try_from(number).expect("tests count low")), [number, 4]),
        merchant_id,
        url: format!("https://shop.example.com/{number}?ü=1"),
        description: None,
        events: EventFilter::All,
        secret: SigningSecret::shared([7; 32]),
        former_secret: None,
        disabled: None,
        failing_since: None,
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    }
}

/// The same, listening to these.
#[must_use]
pub fn listening_to(endpoint: Endpoint, types: &[EventType]) -> Endpoint {
    Endpoint { events: EventFilter::Only(BTreeSet::from_iter(types.iter().copied())), ..endpoint }
}

/// A request of this merchant with this key, that is about no payment.
#[must_use]
pub fn request_of(merchant_id: MerchantId, key: &str) -> RequestRecord {
    RequestRecord {
        scope: RequestScope { merchant_id, route: "POST /v1/webhook_endpoints".to_owned(), key: key.to_owned() },
        fingerprint: Hash::of(key.as_bytes()),
        payment_id: None,
        status: 201,
        body: Some(format!("{{\"key\": \"{key}\"}}")),
        created_at: at(0),
    }
}

/// What creates this endpoint.
#[must_use]
pub fn creation(endpoint: &Endpoint) -> EndpointWrite {
    let request = request_of(endpoint.merchant_id, &endpoint.id.to_string());
    EndpointWrite { endpoint: endpoint.clone(), expected_version: None, request }
}

/// What changes this endpoint, under this key.
#[must_use]
pub fn change(before: &Endpoint, key: &str, change: impl FnOnce(&mut Endpoint)) -> EndpointWrite {
    let mut endpoint = Endpoint { version: before.version + 1, ..before.clone() };
    change(&mut endpoint);
    let request = request_of(before.merchant_id, key);
    EndpointWrite { endpoint, expected_version: Some(before.version), request }
}

/// An event that this update tells the payment's merchant. Later ones sort later.
#[must_use]
pub fn notification(update: &Update, event_type: EventType) -> Notification {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let (payment, row) = (&update.payment, &update.rows[0]);
    Notification {
        id: EventId::new(payment.updated_at, [NUMBER.fetch_add(1, Ordering::Relaxed), 5]),
        merchant_id: payment.merchant_id,
        payment_id: Some(payment.id),
        event_type,
        sequence: Some(row.seq),
        at: payment.updated_at,
        payload: format!("{{\"id\": \"{}\", \"note\": \"byte for byte\\u0000  ü\"}}", payment.id),
    }
}

/// The same update, telling this.
#[must_use]
pub fn telling(update: Update, event_type: EventType) -> Update {
    let notifications = vec![notification(&update, event_type)];
    Update { notifications, ..update }
}

/// A claim of what is due, for a minute.
#[must_use]
pub fn delivery_claim(now: Timestamp) -> DeliveryClaim<'static> {
    let lease_until = now + SignedDuration::from_mins(1);
    DeliveryClaim { now, lease_until, limit: 100, limit_per_endpoint: 10, busy: &[] }
}

/// What came of an attempt that was answered with this status.
#[must_use]
pub fn delivered(dispatch: &Dispatch, at: Timestamp, status: u16, outcome: DeliveryOutcome) -> DeliveryResult {
    let attempt = AttemptRow {
        attempt: dispatch.attempt,
        at,
        duration_ms: 12,
        status: Some(status),
        response: Some("thänks".to_owned()),
        error: None,
    };
    DeliveryResult { event_id: dispatch.event_id, endpoint_id: dispatch.endpoint_id, attempt, outcome }
}

/// It is tried again at this time.
#[must_use]
pub fn again(next_at: Timestamp) -> DeliveryOutcome {
    DeliveryOutcome::Again { next_at, endpoint_rests_until: None }
}
