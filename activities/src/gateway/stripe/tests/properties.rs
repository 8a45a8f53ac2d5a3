//! What holds for every answer there can be.

use proptest::prelude::*;
use strum::IntoEnumIterator;

use super::*;

fn operation() -> impl Strategy<Value = Operation> {
    prop::sample::select(Operation::iter().collect::<Vec<_>>())
}

/// Pieces that answers are made of, so that random bodies come near the real ones.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "null",
    "1234",
    "-1",
    "\"error\":{",
    "\"type\":\"card_error\"",
    "\"type\":\"api_error\"",
    "\"code\":\"card_declined\"",
    "\"id\":\"pi_1\"",
    "\"object\":\"payment_intent\"",
    "\"object\":\"refund\"",
    "\"status\":\"succeeded\"",
    "\"status\":\"requires_payment_method\"",
    "\"status\":\"requires_capture\"",
    "\"last_payment_error\":{",
    "\"payment_intent\":{",
    "\"currency\":\"eur\"",
    "\"amount_capturable\":1234",
    "\"latest_charge\":{\"amount_refunded\":1}",
];

fn body() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..24);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..256),
        pieces.clone().prop_map(|pieces| pieces.concat().into_bytes()),
        pieces.prop_map(|pieces| format!("{{{}}}", pieces.join(",")).into_bytes()),
    ]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![
        any::<u16>(),
        prop::sample::select(vec![200, 201, 302, 400, 401, 402, 403, 404, 409, 424, 429, 500, 502])
    ]
}

/// Whether a body says, in one of the two ways there are, that the issuer said no.
fn tells_of_a_decline(status: u16, body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
    match status {
        200..=299 => body["last_payment_error"].is_object() && body["status"] == "requires_payment_method",
        400..=499 => body["error"]["type"] == "card_error",
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_answer_has_a_meaning_and_only_a_decline_declines(
        operation in operation(),
        status in status(),
        body in body(),
        registered: bool,
    ) {
        let payment = Payment { psp_reference: registered.then(|| INTENT.to_owned()), ..payment() };
        let answer = Answer { status, retry_after_ms: None, body };
        let outcome = gateway().read(operation, &payment, &answer);
        match &outcome {
            Outcome::Declined(_) => prop_assert!(tells_of_a_decline(status, &answer.body)),
            Outcome::Approved(_) | Outcome::Pending { .. } | Outcome::ActionRequired { .. } => {
                // A refusal may carry the intent as evidence; nothing else than an API answer approves.
                prop_assert!((200..=299).contains(&status) || (400..=499).contains(&status));
            }
            Outcome::Rejected(_) => prop_assert!((200..=499).contains(&status)),
            Outcome::Throttled { .. } => prop_assert!((400..=499).contains(&status)),
            Outcome::NotSent { .. } => prop_assert!(status == 401 || status == 403),
            Outcome::Unknown { .. } => {}
        }
    }

    #[test]
    fn a_truncated_answer_never_means_more_than_unknown(cut in 0_usize..200) {
        let whole = br#"{"id":"pi_1","object":"payment_intent","status":"requires_payment_method","currency":"eur","last_payment_error":{"code":"card_declined","decline_code":"lost_card"},"metadata":{}}"#;
        let cut = cut.min(whole.len() - 1);
        let answer = Answer { status: 200, retry_after_ms: None, body: whole[..cut].to_vec() };
        let outcome = gateway().read(Operation::Authorize, &payment(), &answer);
        let is_unknown = matches!(outcome, Outcome::Unknown { .. });
        prop_assert!(is_unknown);
    }

    #[test]
    fn no_webhook_body_and_no_header_makes_it_panic(body in body(), header in ".{0,200}") {
        let _read = gateway().notification(&body);
        let _refused = gateway().verify(&|_| Some(header.clone()), &body, Timestamp::UNIX_EPOCH);
    }
}
