//! How OpenAPI shows what is seen outside, taken from the workflow definition and the core's types.
//!
//! Not here: the document they stand in; that is the API's.

use serde_json::{Value, json};
use strum::{IntoEnumIterator, VariantArray};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::definition::{self, State};
use crate::payment::CaptureMethod;

/// A text that is one of these.
#[must_use]
pub fn one_of(words: impl Iterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// The schema of a charge's status: the states of the workflow definition, with what each waits for.
pub struct ChargeStatus;

impl PartialSchema for ChargeStatus {
    fn schema() -> RefOr<Schema> {
        let definition = definition::current();
        let words: Vec<_> = State::VARIANTS
            .iter()
            .map(|state| format!("- `{state}`: {}", definition.state(*state).operators))
            .collect();
        one_of(State::VARIANTS.iter().map(<&str>::from))
            .description(Some(format!("Where a charge stands.\n\n{}", words.join("\n"))))
            .examples(["succeeded"])
            .build()
            .into()
    }
}

impl ToSchema for ChargeStatus {
    fn name() -> std::borrow::Cow<'static, str> {
        "ChargeStatus".into()
    }
}

/// The schema of the capture method.
#[must_use]
pub fn capture_method() -> Object {
    one_of(CaptureMethod::iter().map(<&str>::from))
        .description(Some("`automatic`: as soon as it is authorized. `manual`: when you ask for it."))
        .default(Some(json!(CaptureMethod::default())))
        .build()
}

/// The schema of the word for a charge.
#[must_use]
pub fn object_charge() -> Object {
    one_of(["charge"].into_iter()).build()
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
        "id": "ch_0197f3c2a1b47c6e8d5f00112233aabb",
        "object": "charge",
        "status": "created",
        "amount": 1999,
        "currency": "eur",
        "amount_authorized": 0,
        "amount_captured": 0,
        "amount_refunded": 0,
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
