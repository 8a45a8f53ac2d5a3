//! The fields that clients may send: what each has to look like, how it is read, and how OpenAPI shows it.
//!
//! Every field has one sentence of what is expected. It is all that a refusal says, so a refusal never repeats what
//! was sent. Not here: which request has which fields; its route's file says.

pub(crate) mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use url::{Host, Url};
use workflow::payment::CaptureMethod;

/// Characters of a description. What fits a line or two of a dashboard.
pub(crate) const DESCRIPTION_MAX: usize = 500;
/// Characters of a payment method's token. PSPs use a few dozen.
pub(crate) const PAYMENT_METHOD_MAX: usize = 255;
/// Other PSP accounts one charge may be tried at. Each costs the customer a wait.
pub(crate) const FALLBACKS_MAX: usize = 4;
/// Characters that a customer brings back from a PSP's page: the longest known are a few thousand.
pub(crate) const ACTION_RESULT_MAX: usize = 8_192;
/// Characters of a URL to come back to. What every browser takes.
pub(crate) const RETURN_URL_MAX: usize = 2_048;
/// Entries of metadata, as at the PSPs that clients know.
pub(crate) const METADATA_ENTRIES_MAX: usize = 50;
/// Characters of a metadata key.
pub(crate) const METADATA_KEY_MAX: usize = 40;
/// Characters of a metadata value.
pub(crate) const METADATA_VALUE_MAX: usize = 500;

/// What a parameter has to look like, as a sentence's end.
pub(crate) fn expected(param: &str) -> &'static str {
    match param {
        "amount" => "a whole number of minor units (cents) from 1 to 999999999999, written as a number",
        "currency" => "a three-letter ISO 4217 currency code such as `eur`",
        "payment_method" => "the PSP's token: 1 to 255 letters, digits and `_-.:/`",
        "fallback_payment_methods" => {
            "an object of at most 4 tokens, each under the name of another PSP account that your charges may go to"
        }
        "result" => "what the customer came back with, unchanged: a text of at most 8192 characters",
        "capture_method" => "`automatic` or `manual`",
        "description" => "a text of at most 500 characters without control characters",
        "return_url" => "an https URL (or http to localhost) of at most 2048 characters, without credentials",
        "metadata" => {
            "an object of at most 50 different keys of 1 to 40 characters with texts of at most 500 characters, \
             without control characters"
        }
        "reason" => "`requested_by_customer`, `duplicate` or `fraudulent`, and for a cancellation also `abandoned`",
        "limit" => "a whole number from 1 to 100, once",
        "starting_after" => "the id of the last one of the page before, once",
        "ending_before" => "the id of the first one of the page behind, once, and not together with `starting_after`",
        "expand" => "`history`; repeat it for several",
        "status" => "one of the statuses that the documentation lists, once",
        "created" => "a time such as `2026-11-22T19:57:00Z` behind each of `[gte]`, `[gt]`, `[lt]` and `[lte]`",
        "amount[…]" => "a whole number of minor units, once for each of `[gte]`, `[gt]`, `[lt]` and `[lte]`",
        "psp_reference" => "a PSP's name for a charge: a text of 1 to 255 characters, once",
        "metadata[…]" => "entries as `metadata[key]=value`, at most 4, each key once",
        "Last-Event-ID" => "the id of an event of this charge, or 0",
        "wait" => "a whole number of seconds from 0 to 60, once",
        "url" => {
            "an https URL on the public internet, of at most 2048 characters, without credentials and fragment, with port \
             443 or a port from 1024 on"
        }
        "enabled_events" => "a list of types of event, or `[\"*\"]` for all",
        "disabled" => "`true` or `false`",
        "signature" => "`hmac` or `ed25519`",
        "overlap_seconds" => "a whole number of seconds from 0 to 604800",
        _ => "something else",
    }
}

/// Why a value was refused. Nobody reads it: the refusal says what is expected instead.
const REFUSED: &str = "refused";

pub(crate) fn payment_method<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let token = String::deserialize(from)?;
    if is_token(&token) { Ok(token) } else { Err(D::Error::custom(REFUSED)) }
}

pub(crate) fn fallbacks<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let tokens = Option::<BTreeMap<String, String>>::deserialize(from)?.unwrap_or_default();
    let fits = tokens.len() <= FALLBACKS_MAX && tokens.values().all(|token| is_token(token));
    if fits { Ok(tokens) } else { Err(D::Error::custom(REFUSED)) }
}

fn is_token(token: &str) -> bool {
    (1..=PAYMENT_METHOD_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte))
}

pub(crate) fn action_result<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let result = Option::<String>::deserialize(from)?.unwrap_or_default();
    if is_plain(&result, 0, ACTION_RESULT_MAX) { Ok(result) } else { Err(D::Error::custom(REFUSED)) }
}

pub(crate) fn description<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    if text.as_ref().is_none_or(|text| is_plain(text, 0, DESCRIPTION_MAX)) {
        Ok(text)
    } else {
        Err(D::Error::custom(REFUSED))
    }
}

pub(crate) fn return_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    if text.as_ref().is_none_or(|text| is_return_url(text)) { Ok(text) } else { Err(D::Error::custom(REFUSED)) }
}

pub(crate) fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let metadata = Option::<Metadata>::deserialize(from)?;
    Ok(metadata.map(|metadata| metadata.0).unwrap_or_default())
}

/// One word of a fixed list. (Asked for an enum, the JSON parser would call a number in its place bad syntax.)
pub(crate) fn word<'de, T: FromStr, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let word = Option::<String>::deserialize(from)?;
    word.map(|word| word.parse().map_err(|_| D::Error::custom(REFUSED))).transpose()
}

pub(crate) fn capture_method<'de, D: Deserializer<'de>>(from: D) -> Result<CaptureMethod, D::Error> {
    Ok(word(from)?.unwrap_or_default())
}

/// Whether the text has so many characters, none of which controls anything.
fn is_plain(text: &str, min: usize, max: usize) -> bool {
    // Bytes first: counting the characters of a long text takes time.
    text.len() <= 4 * max && (min..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_return_url(text: &str) -> bool {
    // The URL parser would silently drop line breaks and spaces.
    if text.len() > RETURN_URL_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return false;
    }
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    is_safe && url.username().is_empty() && url.password().is_none()
}

struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MetadataVisitor).map(Self)
    }
}

struct MetadataVisitor;

impl<'de> Visitor<'de> for MetadataVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut metadata = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            let fits = is_plain(&key, 1, METADATA_KEY_MAX) && is_plain(&value, 0, METADATA_VALUE_MAX);
            if !fits || metadata.len() == METADATA_ENTRIES_MAX || metadata.insert(key, value).is_some() {
                return Err(M::Error::custom(REFUSED));
            }
        }
        Ok(metadata)
    }
}

/// How OpenAPI shows the fields, from the same constants.
pub(crate) mod schema {
    use utoipa::openapi::schema::{
        AdditionalProperties, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
    };
    use workflow::money::MAX_AMOUNT_MINOR;
    use workflow::payment::CaptureMethod;
    use workflow::view::openapi::{self, CAPTURE_METHOD, METADATA, REFUND_REASON, named_or_null};

    use super::{
        ACTION_RESULT_MAX, DESCRIPTION_MAX, FALLBACKS_MAX, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX,
        PAYMENT_METHOD_MAX, RETURN_URL_MAX,
    };

    const FALLBACKS: &str = "FallbackPaymentMethods";

    fn text(min: usize, max: usize) -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::String).min_length(Some(min)).max_length(Some(max))
    }

    /// Text without control characters.
    fn plain(min: usize, max: usize) -> ObjectBuilder {
        text(min, max).pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"))
    }

    fn or_null(of: Type) -> SchemaType {
        SchemaType::Array(vec![of, Type::Null])
    }

    pub(crate) fn amount() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1_i64))
            .maximum(Some(MAX_AMOUNT_MINOR))
            .description(Some(
                "Minor units of the currency: 1999 is 19.99 EUR, or 1999 JPY. Never with a decimal point.",
            ))
            .examples([1999])
            .build()
    }

    pub(crate) fn amount_or_null() -> Object {
        let mut amount = amount();
        amount.schema_type = or_null(Type::Integer);
        amount.description = Some("How much of the authorized amount to capture; without it, all of it.".into());
        amount
    }

    pub(crate) fn capture_method() -> Schema {
        named_or_null(CAPTURE_METHOD).default(Some(serde_json::json!(CaptureMethod::default()))).into()
    }

    pub(crate) fn currency() -> Object {
        text(3, 3)
            .pattern(Some("^[A-Za-z]{3}$"))
            .description(Some("ISO 4217 code, in lower or upper case; answers have lower case."))
            .examples(["eur"])
            .build()
    }

    pub(crate) fn payment_method() -> Object {
        text(1, PAYMENT_METHOD_MAX)
            .pattern(Some("^[A-Za-z0-9_.:/-]+$"))
            .description(Some("The PSP's token for the customer's means of payment. Never a card number."))
            .examples(["pm_card_visa"])
            .build()
    }

    pub(crate) fn description() -> Object {
        plain(0, DESCRIPTION_MAX)
            .schema_type(or_null(Type::String))
            .description(Some("Your words for it."))
            .examples(["Order 7"])
            .build()
    }

    pub(crate) fn return_url() -> Object {
        text(1, RETURN_URL_MAX)
            .format(Some(SchemaFormat::Custom("uri".into())))
            .pattern(Some(r"^(https://\S+|http://(localhost|127\.0\.0\.1|\[::1\])([:/?#]\S*)?)$"))
            .schema_type(or_null(Type::String))
            .description(Some("Where the customer comes back to after acting: https, or http to localhost."))
            .examples(["https://shop.example/return"])
            .build()
    }

    pub(crate) fn fallbacks() -> Schema {
        named_or_null(FALLBACKS).into()
    }

    pub(crate) fn metadata() -> Schema {
        named_or_null(METADATA).into()
    }

    /// What is described once, by name.
    pub(crate) fn named() -> [(&'static str, Object); 4] {
        [
            (CAPTURE_METHOD, openapi::capture_method()),
            (FALLBACKS, fallback_payment_methods()),
            (METADATA, any_metadata()),
            (REFUND_REASON, openapi::refund_reason()),
        ]
    }

    fn fallback_payment_methods() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::RefOr(payment_method().into())))
            .max_properties(Some(FALLBACKS_MAX))
            .description(Some(
                "Tokens of the customer's means of payment at other PSP accounts of yours, by account. They are tried in your \
                 configured order, and only when it is certain that the account before did not take the money: it \
                 could not be reached, or declined softly.",
            ))
            .build()
    }

    pub(crate) fn action_result() -> Object {
        plain(0, ACTION_RESULT_MAX)
            .schema_type(or_null(Type::String))
            .description(Some("What the PSP's page gave the customer to bring back, where it gives anything."))
            .build()
    }

    pub(crate) fn metadata_filter(entries_max: usize) -> Object {
        let mut filter = any_metadata();
        filter.schema_type = Type::Object.into();
        filter.max_properties = Some(entries_max);
        filter.description = None;
        filter
    }

    fn any_metadata() -> Object {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .property_names(Some(plain(1, METADATA_KEY_MAX).build()))
            .additional_properties(Some(AdditionalProperties::RefOr(plain(0, METADATA_VALUE_MAX).build().into())))
            .max_properties(Some(METADATA_ENTRIES_MAX))
            .description(Some("Your data: kept, shown, and not looked into."))
            .examples([serde_json::json!({"order": "7"})])
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_come_back_only_to_safe_places() {
        for good in [
            "https://shop.example/return?order=7",
            "http://localhost:3000/return",
            "http://127.0.0.1/",
            "http://[::1]:8080/x",
        ] {
            assert!(is_return_url(good), "{good} was refused");
        }
        for bad in [
            "",
            "/return",
            "http://shop.example/",
            "http://localhost.evil.example/",
            "ftp://shop.example/",
            "javascript:alert(1)",
            "https://user:secret@shop.example/",
            "https://shop.example/\n",
            "https:// shop.example/",
            &format!("https://shop.example/{}", "x".repeat(RETURN_URL_MAX)),
        ] {
            assert!(!is_return_url(bad), "{bad} was let in");
        }
    }

    #[test]
    fn the_sentences_name_the_limits() {
        let names = |param: &str, limit: usize| expected(param).contains(&limit.to_string());
        assert!(names("description", DESCRIPTION_MAX));
        assert!(names("payment_method", PAYMENT_METHOD_MAX));
        assert!(names("return_url", RETURN_URL_MAX));
        assert!(names("metadata", METADATA_ENTRIES_MAX));
        assert!(names("metadata", METADATA_KEY_MAX));
        assert!(names("metadata", METADATA_VALUE_MAX));
        assert!(expected("amount").contains(&workflow::money::MAX_AMOUNT_MINOR.to_string()));
    }
}
