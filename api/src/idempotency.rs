//! What a repetition is known by: the `Idempotency-Key` header within a merchant and a route, and a fingerprint of
//! what was asked.
//!
//! Not here: keeping keys and answers. The store does, in the transaction that does the work.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Serialize;
use workflow::engine::client::Request;
use workflow::history::Hash;
use workflow::port::store::RequestScope;

use crate::App;
use crate::auth::Client;
use crate::card_data;
use crate::problem::{Code, Problem};

/// The header's name.
pub(crate) const HEADER: &str = "idempotency-key";

/// Characters of a key. Enough for any id with a prefix; what databases index well.
pub(crate) const KEY_MAX: usize = 255;

/// A client's name for its request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IdempotencyKey(String);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => read(value.as_bytes()),
            (Some(_), Some(_)) => Err(invalid("The header may be there only once.")),
            (None, _) => Err(Problem::new(
                Code::IdempotencyKeyMissing,
                "Send an `Idempotency-Key` header, for example a random UUID, and the same one when you try again.",
            )
            .about("Idempotency-Key")),
        }
    }
}

fn read(value: &[u8]) -> Result<IdempotencyKey, Problem> {
    if card_data::found_in(value) {
        return Err(Problem::new(Code::CardDataRefused, CARD_DATA_IN_KEY).about("Idempotency-Key"));
    }
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    text.map(|text| IdempotencyKey(text.to_owned()))
        .ok_or_else(|| invalid("The key has to be 1 to 255 printable ASCII characters."))
}

const CARD_DATA_IN_KEY: &str = "The idempotency key looks like a card number. Use another, and check what you send.";

fn invalid(detail: &'static str) -> Problem {
    Problem::new(Code::IdempotencyKeyInvalid, detail).about("Idempotency-Key")
}

impl IdempotencyKey {
    /// The request as the engine knows it. `route` is the method and the path, with the id of what it acts on;
    /// `asked` has to serialize with its fields in alphabetical order and without those that are not there.
    pub(crate) fn request<S>(self, client: Client<S>, route: String, asked: &impl Serialize) -> Request {
        Request {
            scope: RequestScope { merchant_id: client.merchant_id, route, key: self.0 },
            fingerprint: fingerprint(asked),
            actor: client.key_id.to_string(),
        }
    }
}

/// Hash of the canonical request: parsed, so that neither white space nor the order of fields nor a default that is
/// spelled out makes it another one.
fn fingerprint(asked: &impl Serialize) -> Hash {
    Hash::of(&serde_json::to_vec(asked).expect("a parsed request holds only texts and numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printable_and_bounded() {
        for good in ["a", "0197f3c2-a1b4-7c6e-8d5f-00112233aabb", "order 7/1", &"k".repeat(255)] {
            assert!(read(good.as_bytes()).is_ok(), "{good} was refused");
        }
        for bad in ["", &"k".repeat(256), "tab\there", "bell\u{7}", "ümlaut", "\u{7f}"] {
            assert_eq!(read(bad.as_bytes()).unwrap_err().code, Code::IdempotencyKeyInvalid, "{bad} was let in");
        }
        assert_eq!(read(&[0xff]).unwrap_err().code, Code::IdempotencyKeyInvalid);
    }

    #[test]
    fn a_card_number_is_no_key() {
        assert_eq!(read(b"order-4242 4242 4242 4242").unwrap_err().code, Code::CardDataRefused);
    }
}
