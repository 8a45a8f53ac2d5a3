//! How OpenAPI shows what is seen outside, taken from the workflow definition and the core's types.
//!
//! Not here: the document they stand in; that is the API's.

use serde_json::{Value, json};
use strum::{IntoEnumIterator, VariantArray};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::definition::{self, EventKind, Kind, State};
use crate::history::Verdict;
use crate::notification::EventType;
use crate::payment::{CaptureMethod, FailureCategory, RefundReason};

/// The names of schemas that requests and answers share: generated clients have one type of each.
pub const CAPTURE_METHOD: &str = "CaptureMethod";
/// Likewise.
pub const METADATA: &str = "Metadata";
/// Likewise.
pub const REFUND_REASON: &str = "RefundReason";

/// A schema of the document's by its name, or null.
#[must_use]
pub fn named_or_null(name: &str) -> OneOfBuilder {
    OneOfBuilder::new().item(Ref::from_schema_name(name)).item(ObjectBuilder::new().schema_type(Type::Null))
}

/// How answers show a capture method.
#[must_use]
pub fn named_capture_method() -> Ref {
    Ref::from_schema_name(CAPTURE_METHOD)
}

/// How answers show metadata.
#[must_use]
pub fn named_metadata() -> Ref {
    Ref::from_schema_name(METADATA)
}

/// A text that is one of these.
#[must_use]
pub fn one_of(words: impl Iterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// The schema of a charge's status: the states of the workflow definition, with what each waits for.
pub struct ChargeStatus;

impl PartialSchema for ChargeStatus {
    fn schema() -> RefOr<Schema> {
        status(Kind::Charge)
    }
}

impl ToSchema for ChargeStatus {
    fn name() -> std::borrow::Cow<'static, str> {
        "ChargeStatus".into()
    }
}

/// The schema of a refund's status, likewise.
pub struct RefundStatus;

impl PartialSchema for RefundStatus {
    fn schema() -> RefOr<Schema> {
        status(Kind::Refund)
    }
}

impl ToSchema for RefundStatus {
    fn name() -> std::borrow::Cow<'static, str> {
        "RefundStatus".into()
    }
}

/// The schema of any payment's status.
pub struct PaymentStatus;

impl PartialSchema for PaymentStatus {
    fn schema() -> RefOr<Schema> {
        one_of(State::VARIANTS.iter().map(<&str>::from))
            .description(Some("Where a charge or a refund stands; each kind has some of them."))
            .build()
            .into()
    }
}

impl ToSchema for PaymentStatus {
    fn name() -> std::borrow::Cow<'static, str> {
        "PaymentStatus".into()
    }
}

/// The states that payments of this kind come to.
fn status(kind: Kind) -> RefOr<Schema> {
    let definition = definition::current(kind);
    let words: Vec<_> = definition.reached().map(|row| format!("- `{}`: {}", row.state, row.operators)).collect();
    one_of(definition.reached().map(|row| row.state.into()))
        .description(Some(format!("Where a {kind} stands.\n\n{}", words.join("\n"))))
        .examples(["succeeded"])
        .build()
        .into()
}

/// The schema of the reason for a refund.
#[must_use]
pub fn refund_reason() -> Object {
    one_of(RefundReason::iter().map(<&str>::from)).description(Some("Why the money is given back.")).build()
}

/// The same by its name, where none need be given.
#[must_use]
pub fn refund_reason_or_null() -> Schema {
    named_or_null(REFUND_REASON).into()
}

/// The schema of the capture method.
#[must_use]
pub fn capture_method() -> Object {
    one_of(CaptureMethod::iter().map(<&str>::from))
        .description(Some("`automatic`: as soon as it is authorized. `manual`: when you ask for it."))
        .build()
}

/// The schema of what kind of no it was.
#[must_use]
pub fn failure_category() -> Object {
    one_of(FailureCategory::iter().map(<&str>::from))
        .description(Some(
            "What kind of no it was. `soft_decline`: the same card may work later. `hard_decline`: this card will not. \
             `authentication`: the customer had to identify themselves, and did not. `invalid_request`: the PSP refused the \
             request itself.",
        ))
        .build()
}

/// The schema of the word for a charge.
#[must_use]
pub fn object_charge() -> Object {
    one_of(["charge"].into_iter()).build()
}

/// The schema of the word for a refund.
#[must_use]
pub fn object_refund() -> Object {
    one_of(["refund"].into_iter()).build()
}

/// The schema of the word for an event.
#[must_use]
pub fn object_event() -> Object {
    one_of(["event"].into_iter()).build()
}

/// The schema of the word for a webhook endpoint.
#[must_use]
pub fn object_webhook_endpoint() -> Object {
    one_of(["webhook_endpoint"].into_iter()).build()
}

/// The schema of an event's type: those that there are.
pub struct EventTypeName;

impl PartialSchema for EventTypeName {
    fn schema() -> RefOr<Schema> {
        one_of(EventType::VARIANTS.iter().map(<&str>::from))
            .description(Some("What happened. Later versions may know more: ignore those you do not know."))
            .examples(["charge.succeeded"])
            .build()
            .into()
    }
}

impl ToSchema for EventTypeName {
    fn name() -> std::borrow::Cow<'static, str> {
        "EventType".into()
    }
}

/// The schema of an instant.
#[must_use]
pub fn instant() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-11-22T19:57:00.123456Z"])
        .build()
}

/// A charge as it is answered at once.
#[must_use]
pub fn example_charge() -> Value {
    json!({
        "id": "ch_0197f3c2a1b47c6e8d5f00112233aaba",
        "object": "charge",
        "status": "created",
        "amount": 1999,
        "currency": "eur",
        "amount_authorized": 0,
        "amount_captured": 0,
        "amount_refunded": 0,
        "amount_refund_pending": 0,
        "amount_charged_back": 0,
        "capture_method": "automatic",
        "payment_method": "pm_card_visa",
        "psp": "sandbox",
        "psp_reference": null,
        "next_action": null,
        "failure": null,
        "return_url": null,
        "description": "Order 7",
        "metadata": {"order": "7"},
        "created": "2026-11-22T19:57:00.123456Z",
        "updated": "2026-11-22T19:57:00.123456Z"
    })
}

/// A refund as it is answered at once.
#[must_use]
pub fn example_refund() -> Value {
    json!({
        "id": "re_0197f3c2a1b47c6e8d5f00112233aabb",
        "object": "refund",
        "charge": "ch_0197f3c2a1b47c6e8d5f00112233aaba",
        "status": "created",
        "amount": 500,
        "currency": "eur",
        "reason": "requested_by_customer",
        "psp": "sandbox",
        "psp_reference": null,
        "failure": null,
        "metadata": {},
        "created": "2026-11-22T19:59:00.123456Z",
        "updated": "2026-11-22T19:59:00.123456Z"
    })
}

/// The schema of what happened.
#[must_use]
pub fn event_kind() -> Object {
    one_of(EventKind::VARIANTS.iter().map(<&str>::from)).description(Some("What happened.")).build()
}

/// The schema of whether it changed anything.
#[must_use]
pub fn verdict() -> Object {
    one_of(Verdict::iter().map(<&str>::from))
        .description(Some("`applied`, or `stale` for old news that changed nothing."))
        .build()
}

/// The schema of the word for a list.
#[must_use]
pub fn object_list() -> Object {
    one_of(["list"].into_iter()).build()
}

/// The first row of a history.
#[must_use]
pub fn example_history_row() -> Value {
    json!({
        "seq": 1,
        "at": "2026-11-22T19:57:00.123456Z",
        "event": "started",
        "actor": "key_0197f3c2a1b47c6e8d5f00112233aaba",
        "from": null,
        "to": "created",
        "attempt": 0,
        "verdict": "applied",
        "data": {"amount_minor": 1999, "currency": "eur"},
        "payload_hash": null,
        "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    })
}
