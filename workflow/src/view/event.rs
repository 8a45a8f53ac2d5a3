//! Events as merchants receive them: the envelope of the Standard Webhooks specification around the view of what it is
//! about, with the fields by which those who know other payment APIs look for it.
//!
//! Not here: when there is an event ([`crate::notification`]).

use jiff::Timestamp;
use serde::Serialize;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use super::openapi;
use super::{ChargeView, RefundView};
use crate::ids::{EndpointId, EventId};
use crate::notification::EventType;
use crate::payment::Payment;

/// An event: the body of a webhook.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = Event))]
pub struct EventView<'a> {
    /// Its name, also in the header `webhook-id`: the same on every attempt. Leave out events whose name you know.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^evt_[0-9a-f]{32}$"))]
    id: EventId,
    /// Always `event`.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::object_event))]
    object: &'static str,
    /// What happened.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::EventTypeName))]
    event_type: &'static str,
    /// When it happened (RFC 3339). Each attempt's own time is in the header `webhook-timestamp`.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::instant))]
    timestamp: Timestamp,
    /// Grows with each event of one charge or refund, with gaps: an event with a lower number than one you know is old news. None
    /// when it is about neither.
    #[cfg_attr(feature = "openapi", schema(required))]
    sequence: Option<i64>,
    /// What it is about.
    data: EventData<'a>,
}

/// What an event is about.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = EventData))]
pub struct EventData<'a> {
    /// As it stood right after what happened.
    object: EventObject<'a>,
}

/// What an event is about, as it stood right after what happened.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = EventObject))]
#[serde(untagged)]
enum EventObject<'a> {
    /// A charge.
    Charge(Box<ChargeView<'a>>),
    /// A refund.
    Refund(Box<RefundView<'a>>),
    /// The endpoint that a test was asked of.
    Endpoint(EndpointName),
}

/// An endpoint, by its name.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = WebhookEndpointName))]
struct EndpointName {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^we_[0-9a-f]{32}$"))]
    id: EndpointId,
    /// Always `webhook_endpoint`.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::object_webhook_endpoint))]
    object: &'static str,
}

impl<'a> EventView<'a> {
    /// About a payment, as it stood right after history row `sequence`.
    #[must_use]
    pub fn of_payment(
        id: EventId,
        event_type: EventType,
        timestamp: Timestamp,
        sequence: i64,
        payment: &'a Payment,
    ) -> Self {
        let object = match &payment.refund_of {
            Some(of) => EventObject::Refund(Box::new(RefundView::of(payment, of))),
            None => EventObject::Charge(Box::new(ChargeView::of(payment))),
        };
        Self::new(id, event_type, timestamp, Some(sequence), object)
    }

    /// About an endpoint.
    #[must_use]
    pub fn of_endpoint(id: EventId, event_type: EventType, timestamp: Timestamp, endpoint_id: EndpointId) -> Self {
        let object = EventObject::Endpoint(EndpointName { id: endpoint_id, object: "webhook_endpoint" });
        Self::new(id, event_type, timestamp, None, object)
    }

    fn new(
        id: EventId,
        event_type: EventType,
        timestamp: Timestamp,
        sequence: Option<i64>,
        object: EventObject<'a>,
    ) -> Self {
        let event_type = event_type.into();
        Self { id, object: "event", event_type, timestamp, sequence, data: EventData { object } }
    }
}
