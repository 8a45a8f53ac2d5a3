//! What holds for every answer and every webhook there can be.

use proptest::prelude::*;
use strum::IntoEnumIterator;

use super::*;

fn operation() -> impl Strategy<Value = Operation> {
    prop::sample::select(Operation::iter().collect::<Vec<_>>())
}

/// Pieces that answers and webhooks are made of, so that random bodies come near the real ones.
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
    "\"resultCode\":\"Authorised\"",
    "\"resultCode\":\"Refused\"",
    "\"resultCode\":\"Error\"",
    "\"resultCode\":\"RedirectShopper\"",
    "\"refusalReasonCode\":\"12\"",
    "\"amount\":{\"currency\":\"EUR\",\"value\":1234}",
    "\"pspReference\":\"8835511210681234\"",
    "\"paymentPspReference\":\"8835511210681234\"",
    "\"status\":\"received\"",
    "\"errorCode\":\"704\"",
    "\"errorCode\":\"14_030\"",
    "\"action\":{\"url\":\"https://a.example/\"}",
    "\"notificationItems\":[{\"NotificationRequestItem\":{",
    "\"eventCode\":\"AUTHORISATION\"",
    "\"eventCode\":\"CAPTURE\"",
    "\"success\":\"true\"",
    "\"success\":\"false\"",
    "\"merchantAccountCode\":\"FinCoreTest\"",
    "\"additionalData\":{\"hmacSignature\":\"Jb9q6ypDyrlXhg3+oB+nsxztPh10tlO7iPe+83ul10M=\"}",
];

fn body() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..24);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..256),
        pieces.clone().prop_map(|pieces| pieces.concat().into_bytes()),
        pieces.clone().prop_map(|pieces| format!("{{{}}}", pieces.join(",")).into_bytes()),
        pieces.prop_map(|pieces| {
            let item = format!("{{\"NotificationRequestItem\":{{{}}}}}", pieces.join(","));
            format!("{{\"notificationItems\":[{item}]}}").into_bytes()
        }),
    ]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![any::<u16>(), prop::sample::select(vec![200, 201, 302, 400, 401, 403, 404, 409, 422, 429, 500, 502])]
}

/// Whether a body says, in the one way there is, that the issuer said no.
fn tells_of_a_refusal(status: u16, body: &[u8]) -> bool {
    (200..=299).contains(&status)
        && serde_json::from_slice::<serde_json::Value>(body)
            .is_ok_and(|body| body["resultCode"] == "Refused" || body["resultCode"] == "Cancelled")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_answer_has_a_meaning_and_only_a_refusal_declines(
        operation in operation(),
        status in status(),
        body in body(),
        known: bool,
    ) {
        let payment = if known { authorized() } else { payment() };
        let answer = Answer { status, retry_after_ms: None, body };
        let is_for_money = matches!(operation, Operation::Authorize | Operation::Complete);
        match gateway().read(operation, &payment, &answer) {
            Outcome::Declined(_) => prop_assert!(is_for_money && tells_of_a_refusal(status, &answer.body)),
            Outcome::Approved(standing) => {
                let is_for_moneyd = matches!(standing, Standing::Authorized { .. });
                prop_assert!(is_for_money && is_for_moneyd && (200..=299).contains(&status));
            }
            Outcome::ActionRequired { .. } => prop_assert!(is_for_money && (200..=299).contains(&status)),
            Outcome::Pending { .. } => prop_assert!((200..=299).contains(&status)),
            Outcome::Rejected(_) => prop_assert!((400..=499).contains(&status)),
            Outcome::Throttled { .. } => prop_assert!(status == 429),
            Outcome::NotSent { .. } => prop_assert!(status == 401 || status == 403),
            Outcome::Unknown { .. } => {}
        }
    }

    #[test]
    fn a_truncated_answer_never_means_more_than_unknown(cut in 0_usize..200, refused: bool) {
        let whole: &[u8] = if refused {
            br#"{"pspReference":"8835511210681234","refusalReason":"FRAUD","resultCode":"Refused","refusalReasonCode":"20"}"#
        } else {
            br#"{"merchantAccount":"FinCoreTest","paymentPspReference":"8835511210681234","status":"received"}"#
        };
        let operation = if refused { Operation::Authorize } else { Operation::Capture };
        let cut = cut.min(whole.len() - 1);
        let answer = Answer { status: 200, retry_after_ms: None, body: whole[..cut].to_vec() };
        let outcome = gateway().read(operation, &authorized(), &answer);
        let is_unknown = matches!(outcome, Outcome::Unknown { .. });
        prop_assert!(is_unknown);
        let whole = Answer { status: 200, retry_after_ms: None, body: whole.to_vec() };
        let outcome = gateway().read(operation, &authorized(), &whole);
        let is_unknown = matches!(outcome, Outcome::Unknown { .. });
        prop_assert!(!is_unknown);
    }

    #[test]
    fn no_webhook_makes_it_panic_and_none_without_a_key_passes(body in body(), header in ".{0,200}") {
        let _read = gateway().notification(&body);
        let keys = vec![FIRST_KEY.into(), SECOND_KEY.into()];
        let basic = BasicAuth::new("adyen", &"secret".into()).unwrap();
        let with_credentials = Adyen::new(AdyenConfig::new("psp", MERCHANT_ACCOUNT, keys, Some(basic)).unwrap());
        for gateway in [gateway(), with_credentials] {
            prop_assert!(gateway.verify(&|_| Some(header.clone()), &body, Timestamp::UNIX_EPOCH).is_err());
        }
    }

    #[test]
    fn no_signature_but_the_right_one_passes(signature in prop::collection::vec(any::<u8>(), 0..64)) {
        let keys = Keys::new(vec![FIRST_KEY.into()]).unwrap();
        prop_assert!(!keys.fit("8835511210681234::FinCoreTest::1234:EUR:AUTHORISATION:true", &signature));
    }
}
