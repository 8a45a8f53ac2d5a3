//! Card numbers are refused at the door, wherever in a request they stand: in JSON also behind escapes, in paths and queries
//! also percent-encoded. What looks like one, `workflow::card_data` says.
//!
//! Not here: bodies of webhooks. Their sender is a PSP, and its signature says so.

use serde_json::Value;
pub(crate) use workflow::card_data::found_in;

/// Whether something in a JSON body looks like a card number, also when it is hidden behind escapes. The body need
/// not be well-formed.
pub(crate) fn found_in_json(body: &[u8]) -> bool {
    if found_in(body) {
        return true;
    }
    // Without a backslash, strings stand in the body as they are.
    body.contains(&b'\\') && field_with(body).is_some()
}

/// The field of a JSON body that holds what looks like a card number, for the problem to name. A field whose own name
/// looks like one is not repeated: its parent is named.
pub(crate) fn field_with(body: &[u8]) -> Option<String> {
    found_in_value(&serde_json::from_slice(body).ok()?, "")
}

/// Whether something in a path or query looks like a card number, also when it is percent-encoded.
pub(crate) fn found_in_uri(uri: &http::Uri) -> bool {
    let Some(text) = uri.path_and_query().map(http::uri::PathAndQuery::as_str) else { return false };
    found_in(text.as_bytes()) || (text.contains(['%', '+']) && found_in(&percent_decoded(text.as_bytes())))
}

/// The path of the first value below `path` that looks like a card number.
fn found_in_value(value: &Value, path: &str) -> Option<String> {
    let here = |found: bool| found.then(|| path.to_owned());
    match value {
        Value::Null | Value::Bool(_) => None,
        Value::Number(number) => here(found_in(number.to_string().as_bytes())),
        Value::String(text) => here(found_in(text.as_bytes())),
        Value::Array(values) => values.iter().find_map(|value| found_in_value(value, path)),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            if found_in(name.as_bytes()) {
                return Some(path.to_owned());
            }
            let dot = if path.is_empty() { "" } else { "." };
            found_in_value(value, &format!("{path}{dot}{name}"))
        }),
    }
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let hex = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let escaped = (text[at] == b'%').then(|| hex(at + 1).zip(hex(at + 2))).flatten();
        if let Some((high, low)) = escaped {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
            at += 3;
        } else {
            decoded.push(if text[at] == b'+' { b' ' } else { text[at] });
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_hide_nothing() {
        assert!(found_in_json(br#"{"description":"\u0034242424242424242"}"#));
        assert!(found_in_json(br#"{"metadata":{"\u0034242424242424242":"x"}}"#));
        assert!(found_in_uri(&"/v1/charges?x=4242%204242%2D4242+4242".parse().unwrap()));
        assert!(found_in_uri(&"/v1/%34242424242424242".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text: String) {
            found_in_json(text.as_bytes());
            percent_decoded(&bytes);
        }
    }
}
