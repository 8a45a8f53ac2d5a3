//! The fields of webhook endpoints.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error};
use strum::{EnumIter, EnumString, IntoStaticStr};
use workflow::notification::{EventFilter, EventType};

use super::REFUSED;

/// Stands for all events.
const ALL: &str = "*";

/// Types of event that one list may name; there are fewer.
const MAX_EVENTS: usize = 64;

/// Seconds that the secret before signs as well, after a rotation: at most, and when nobody says.
pub(crate) const OVERLAP_MAX: u32 = 7 * 24 * 3_600;
pub(crate) const OVERLAP_DEFAULT: u32 = 24 * 3_600;

/// How events are signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Signature {
    /// HMAC-SHA256 with a shared secret: what every receiver's library knows.
    #[default]
    Hmac,
    /// ed25519 with a key that only we have.
    Ed25519,
}

/// A filter as clients write it: types, or all where `*` is among them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Events(pub(crate) EventFilter);

impl Serialize for Events {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            EventFilter::All => [ALL].serialize(to),
            EventFilter::Only(types) => types.iter().map(<&str>::from).collect::<Vec<_>>().serialize(to),
        }
    }
}

pub(crate) fn events<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Events>, D::Error> {
    let Some(names) = Option::<Vec<String>>::deserialize(from)? else { return Ok(None) };
    let known = |name: &String| name.parse::<EventType>().ok().filter(|known| known.can_be_chosen());
    let types: Option<BTreeSet<EventType>> = names.iter().filter(|name| *name != ALL).map(known).collect();
    match types {
        Some(types) if (1..=MAX_EVENTS).contains(&names.len()) => {
            let is_all = names.iter().any(|name| name == ALL);
            Ok(Some(Events(if is_all { EventFilter::All } else { EventFilter::Only(types) })))
        }
        Some(_) | None => Err(D::Error::custom(REFUSED)),
    }
}

pub(crate) fn overlap<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let seconds = Option::<u32>::deserialize(from)?.unwrap_or(OVERLAP_DEFAULT);
    if seconds <= OVERLAP_MAX { Ok(seconds) } else { Err(D::Error::custom(REFUSED)) }
}

/// How OpenAPI shows the fields, from the same constants.
pub(crate) mod schema {
    use strum::IntoEnumIterator;
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
    use workflow::endpoint_url::MAX_LENGTH;
    use workflow::notification::EventType;
    use workflow::port::outbound::DeliveryState;
    use workflow::view::openapi::{instant, one_of};

    use super::{ALL, MAX_EVENTS, OVERLAP_DEFAULT, OVERLAP_MAX, Signature};

    pub(crate) fn instant_or_null() -> Object {
        let mut schema = instant();
        schema.schema_type = SchemaType::Array(vec![Type::String, Type::Null]);
        schema
    }

    pub(crate) fn url() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uri".into())))
            .pattern(Some(r"^https?://[^\s#]+$"))
            .min_length(Some(1))
            .max_length(Some(MAX_LENGTH))
            .description(Some(
                "Where events are sent: an https URL on the public internet, without credentials and fragment.",
            ))
            .examples(["https://shop.example.com/webhooks"])
            .build()
    }

    pub(crate) fn url_or_null() -> Object {
        let mut schema = url();
        schema.schema_type = SchemaType::Array(vec![Type::String, Type::Null]);
        schema
    }

    pub(crate) fn events() -> RefOr<Schema> {
        let names = EventType::iter().filter(|known| known.can_be_chosen()).map(<&str>::from).chain([ALL]);
        ArrayBuilder::new()
            .schema_type(SchemaType::Array(vec![Type::Array, Type::Null]))
            .items(one_of(names))
            .min_items(Some(1))
            .max_items(Some(MAX_EVENTS))
            .description(Some("Which events; with `*` among them all, those of later versions included."))
            .examples([serde_json::json!(["charge.succeeded", "charge.failed"])])
            .build()
            .into()
    }

    pub(crate) fn signature() -> Object {
        one_of(Signature::iter().map(<&str>::from))
            .description(Some(
                "`hmac`: HMAC-SHA256 with a secret that we share. `ed25519`: a key that only we have signs, and the public \
                 one verifies.",
            ))
            .build()
    }

    pub(crate) fn signature_or_null() -> Object {
        let mut schema = signature();
        schema.schema_type = SchemaType::Array(vec![Type::String, Type::Null]);
        schema.enum_values.get_or_insert_default().push(serde_json::Value::Null);
        schema.default = Some(serde_json::json!(Signature::default()));
        schema
    }

    pub(crate) fn overlap() -> Object {
        ObjectBuilder::new()
            .schema_type(SchemaType::Array(vec![Type::Integer, Type::Null]))
            .minimum(Some(0))
            .maximum(Some(OVERLAP_MAX))
            .default(Some(serde_json::json!(OVERLAP_DEFAULT)))
            .description(Some("Seconds for which the secret or key before signs as well; 0 when it has leaked."))
            .build()
    }

    pub(crate) fn endpoint_status() -> Object {
        one_of(["enabled", "disabled"].into_iter()).build()
    }

    pub(crate) fn delivery_status() -> Object {
        one_of(DeliveryState::iter().map(<&str>::from)).build()
    }

    pub(crate) fn object_delivery() -> Object {
        one_of(["webhook_delivery"].into_iter()).build()
    }
}
