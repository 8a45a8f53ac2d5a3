//! Every kind of answer and what it comes to, row by row.

use serde_json::{Value, json};
use workflow::event::Unknown;
use workflow::payment::NextAction;

use super::*;
use Operation::{Authorize, Capture, Complete, Inquire, Refund, Register, Void};

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, retry_after_ms: None, body: body.to_string().into_bytes() }
}

fn result(code: &str, more: &Value) -> Value {
    let mut result = json!({
        "pspReference": REFERENCE, "resultCode": code, "merchantReference": payment().id.to_string(),
        "amount": {"currency": "EUR", "value": 1234}, "refusalReason": "SENSITIVE words",
        "paymentMethod": {"brand": "visa", "type": "scheme"}, "fraudResult": {"accountScore": 1},
    });
    for (key, value) in more.as_object().unwrap() {
        result[key] = value.clone();
    }
    result
}

fn received(more: &Value) -> Value {
    let mut received = json!({"merchantAccount": MERCHANT_ACCOUNT, "paymentPspReference": REFERENCE,
        "pspReference": "QFQTPCQ8HXSKGK82", "reference": payment().id.to_string(), "status": "received"});
    for (key, value) in more.as_object().unwrap() {
        received[key] = value.clone();
    }
    received
}

fn error(code: &str, kind: &str) -> Value {
    json!({"status": 422, "errorCode": code, "message": "SENSITIVE words", "errorType": kind, "pspReference": REFERENCE})
}

/// An outcome in one line; nothing of the answer's free text may be in it.
fn line(outcome: &Outcome) -> String {
    let debug = format!("{outcome:?}");
    assert!(!debug.contains("SENSITIVE"), "{debug}");
    match outcome {
        Outcome::Approved(Standing::Authorized { psp_reference, money }) => {
            format!("authorized {psp_reference} {money}")
        }
        Outcome::Approved(other) => panic!("no answer of this PSP says {other:?}"),
        Outcome::ActionRequired { psp_reference, next_action: NextAction::RedirectToUrl { url } } => {
            format!("action {} {url}", psp_reference.as_deref().unwrap_or("-"))
        }
        Outcome::ActionRequired { next_action: NextAction::UseSdk {}, .. } => "action sdk".to_owned(),
        Outcome::Pending { psp_reference } => format!("pending {}", psp_reference.as_deref().unwrap_or("-")),
        Outcome::Declined(failure) => {
            format!("declined {} {} {}", failure.category, failure.code, failure.decline_code.as_deref().unwrap_or("-"))
        }
        Outcome::Rejected(failure) => format!("rejected {} {}", failure.category, failure.code),
        Outcome::Throttled { .. } => "throttled".to_owned(),
        Outcome::NotSent { .. } => "not sent".to_owned(),
        Outcome::Unknown { why, .. } => format!("unknown {why}"),
    }
}

fn read_as(operation: Operation, payment: &Payment, status: u16, body: &Value) -> String {
    line(&gateway().read(operation, payment, &answer(status, body)))
}

fn authorize(body: &Value) -> String {
    read_as(Authorize, &payment(), 200, body)
}

#[test]
fn every_result_of_an_authorization_means_something() {
    let none = json!({});
    for (code, expected) in [
        ("Authorised", "authorized 8835511210681234 12.34 EUR"),
        ("PartiallyAuthorised", "authorized 8835511210681234 12.34 EUR"),
        ("Refused", "declined soft_decline refused -"),
        ("Cancelled", "declined authentication cancelled -"),
        ("Pending", "pending 8835511210681234"),
        ("Received", "pending 8835511210681234"),
        ("RedirectShopper", "action sdk"),
        ("IdentifyShopper", "action sdk"),
        ("ChallengeShopper", "action sdk"),
        ("Error", "unknown server_error"),
        ("PresentToShopper", "unknown unreadable"),
        ("AuthenticationFinished", "unknown unreadable"),
        ("AuthenticationNotRequired", "unknown unreadable"),
        ("Success", "unknown unreadable"),
        ("BrandNew", "unknown unreadable"),
        ("authorised", "unknown unreadable"),
        ("", "unknown unreadable"),
    ] {
        assert_eq!(authorize(&result(code, &none)), expected, "{code}");
        assert_eq!(read_as(Complete, &payment(), 200, &result(code, &none)), expected, "{code}");
        // Repeated, after the webhook told the reference, it means the same.
        assert_eq!(read_as(Authorize, &authorized(), 200, &result(code, &none)), expected, "{code}");
    }
}

#[test]
fn the_customer_is_sent_only_to_pages_that_an_address_opens() {
    let action = |action: Value| result("RedirectShopper", &json!({ "action": action }));
    let page = "https://checkoutshopper-test.adyen.com/threeDS/redirect?MD=x";
    for (shown, expected) in [
        (json!({"type": "redirect", "method": "GET", "url": page}), format!("action {REFERENCE} {page}")),
        (json!({"type": "redirect", "url": page}), format!("action {REFERENCE} {page}")),
        (json!({"type": "redirect", "method": "POST", "url": page, "data": {"MD": "x"}}), "action sdk".to_owned()),
        (json!({"type": "threeDS2", "subtype": "fingerprint", "token": "SENSITIVE"}), "action sdk".to_owned()),
        (json!({"type": "redirect", "url": "javascript:alert(1)"}), "action sdk".to_owned()),
        (
            json!({"type": "redirect", "url": format!("https://a.example/{}", "x".repeat(2_048))}),
            "action sdk".to_owned(),
        ),
        (json!(null), "action sdk".to_owned()),
    ] {
        assert_eq!(authorize(&action(shown.clone())), expected, "{shown}");
    }
}

#[test]
fn an_action_comes_before_the_payments_reference() {
    let unnamed = result("RedirectShopper", &json!({"pspReference": null, "action": {"url": "https://a.example/"}}));
    assert_eq!(authorize(&unnamed), "action - https://a.example/");
}

#[test]
fn money_is_read_in_our_units_or_not_at_all() {
    let isk = json!({"amount": {"currency": "ISK", "value": 500}});
    assert_eq!(authorize(&result("Authorised", &isk)), "authorized 8835511210681234 5 ISK");
    for bad in [
        json!({"currency": "ISK", "value": 550}),
        json!({"currency": "ZZZ", "value": 1234}),
        json!({"currency": "EUR", "value": -1}),
        json!({"currency": "EUR", "value": 12.5}),
        json!({"currency": "EUR", "value": "1234"}),
        json!({"currency": "EUR"}),
        json!({"value": 1234}),
    ] {
        assert_eq!(authorize(&result("Authorised", &json!({ "amount": bad }))), "unknown unreadable", "{bad}");
    }
    // Without an amount it is authorized by so much as the webhook will say.
    assert_eq!(authorize(&result("Authorised", &json!({"amount": null}))), "pending 8835511210681234");
}

#[test]
fn an_answer_about_another_payment_proves_nothing() {
    for other in [
        json!({"pspReference": ""}),
        json!({"pspReference": "88355/../x"}),
        json!({"pspReference": null}),
        json!({"merchantReference": "ch_00000000000070008000000000990002"}),
        json!({"merchantReference": ""}),
    ] {
        assert_eq!(authorize(&result("Authorised", &other)), "unknown unreadable", "{other}");
    }
    for code in ["Authorised", "Refused", "Pending"] {
        let other = result(code, &json!({"pspReference": "QFQTPCQ8HXSKGK82"}));
        assert_eq!(read_as(Authorize, &authorized(), 200, &other), "unknown unreadable", "{code}");
    }
}

#[test]
fn refusals_have_a_category() {
    for (code, raw, advice, expected) in [
        ("2", "", "", "declined soft_decline refused -"),
        ("12", "51 : Insufficient funds", "", "declined soft_decline not_enough_balance 51"),
        ("27", "05 : Do not honor", "02 : Try again later", "declined soft_decline declined_non_generic 05"),
        ("27", "05 : Do not honor", "03 : Do not try again", "declined hard_decline declined_non_generic 05"),
        ("27", "", "21", "declined hard_decline declined_non_generic -"),
        ("6", "54 : Expired card", "", "declined hard_decline expired_card 54"),
        ("5", "43 : Stolen card, pick up", "", "declined hard_decline blocked_card 43"),
        ("20", "FRAUD", "", "declined hard_decline fraud FRAUD"),
        ("11", "", "", "declined authentication 3d_not_authenticated -"),
        ("38", "1A : SCA required", "", "declined authentication authentication_required 1A"),
        ("16", "", "", "declined authentication shopper_cancelled -"),
        ("997", "", "", "declined soft_decline refused_997 -"),
        ("4111111111111111", "4111111111111111", "", "declined soft_decline refused -"),
        ("SENSITIVE words", "SENSITIVE words", "SENSITIVE words", "declined soft_decline refused -"),
        ("", "", "", "declined soft_decline refused -"),
    ] {
        let body = result(
            "Refused",
            &json!({"refusalReasonCode": code,
            "additionalData": {"refusalReasonRaw": raw, "merchantAdviceCode": advice, "cardSummary": "SENSITIVE"}}),
        );
        assert_eq!(authorize(&body), expected);
    }
}

#[test]
fn a_refusal_for_fraud_tells_the_client_to_keep_quiet() {
    for code in ["5", "14", "20", "22", "25", "31"] {
        let body = result("Refused", &json!({ "refusalReasonCode": code }));
        let Outcome::Declined(failure) = gateway().read(Authorize, &payment(), &answer(200, &body)) else { panic!() };
        assert!(failure.advice.unwrap().contains("only that the card was declined"), "{code}");
    }
}

#[test]
fn a_modification_is_taken_when_it_is_ours_and_says_so() {
    for operation in [Capture, Void, Refund] {
        for (more, expected) in [
            (json!({}), "pending 8835511210681234"),
            (json!({"status": "refused"}), "unknown unreadable"),
            (json!({"status": null}), "unknown unreadable"),
            (json!({"paymentPspReference": "QFQTPCQ8HXSKGK82"}), "unknown unreadable"),
            (json!({"paymentPspReference": null}), "unknown unreadable"),
            (json!({"merchantAccount": "SomebodyElse"}), "unknown unreadable"),
        ] {
            assert_eq!(read_as(operation, &authorized(), 201, &received(&more)), expected, "{operation} {more}");
        }
    }
    // A payment's result is no modification, and a modification no result.
    assert_eq!(read_as(Capture, &authorized(), 200, &result("Authorised", &json!({}))), "unknown unreadable");
    assert_eq!(authorize(&received(&json!({}))), "unknown unreadable");
}

#[test]
fn a_refund_of_ours_is_known_by_the_name_of_its_own_call() {
    for (more, expected) in [
        (json!({"pspReference": "QFQTPCQ8HXSKGK82"}), "pending QFQTPCQ8HXSKGK82"),
        (json!({"pspReference": null}), "unknown unreadable"),
        (json!({"pspReference": "no reference"}), "unknown unreadable"),
        (json!({"pspReference": "QFQTPCQ8HXSKGK82", "paymentPspReference": "QFQTPCQ8HXSKGK82"}), "unknown unreadable"),
    ] {
        assert_eq!(read_as(Refund, &refund(), 201, &received(&more)), expected, "{more}");
    }
}

#[test]
fn a_void_by_our_reference_teaches_no_reference() {
    let named = |ours: &str| received(&json!({"paymentPspReference": null, "paymentReference": ours}));
    assert_eq!(read_as(Void, &payment(), 201, &named(&payment().id.to_string())), "pending -");
    assert_eq!(read_as(Void, &payment(), 201, &named("ch_1")), "unknown unreadable");
    assert_eq!(read_as(Void, &payment(), 201, &received(&json!({}))), "unknown unreadable");
    // The answer may be the repeated one of an attempt that was made before the reference was known.
    assert_eq!(read_as(Void, &authorized(), 201, &named(&payment().id.to_string())), "pending 8835511210681234");
    let both = |theirs: &str, ours: &str| received(&json!({"paymentPspReference": theirs, "paymentReference": ours}));
    let id = payment().id.to_string();
    assert_eq!(read_as(Void, &authorized(), 201, &both(REFERENCE, &id)), "pending 8835511210681234");
    assert_eq!(read_as(Void, &authorized(), 201, &both("QFQTPCQ8HXSKGK82", &id)), "unknown unreadable");
    assert_eq!(read_as(Void, &authorized(), 201, &both(REFERENCE, "ch_1")), "unknown unreadable");
}

#[test]
fn refused_requests_say_who_has_to_do_something() {
    let page = json!("<html>");
    for (operation, status, body, expected) in [
        (Authorize, 422, error("14_030", "validation"), "rejected invalid_request 14_030"),
        (Authorize, 422, error("100", "validation"), "rejected invalid_request 100"),
        (Authorize, 400, error("702", "validation"), "rejected invalid_request 702"),
        (Authorize, 422, error("905_1", "configuration"), "rejected invalid_request 905_1"),
        (Authorize, 422, json!({"errorCode": "00_422", "title": "x"}), "rejected invalid_request 00_422"),
        (Capture, 422, error("167", "validation"), "unknown unreadable"),
        (Refund, 404, error("00_404", "validation"), "unknown unreadable"),
        (Authorize, 404, error("00_404", "validation"), "rejected invalid_request 00_404"),
        (Authorize, 422, error("704", "validation"), "unknown server_error"),
        (Authorize, 409, error("704", "validation"), "unknown server_error"),
        (Complete, 422, error("704", "validation"), "unknown server_error"),
        (Complete, 422, error("14_012", "validation"), "rejected invalid_request 14_012"),
        (Authorize, 409, error("1", "validation"), "unknown server_error"),
        (Capture, 422, error("703", "internal"), "unknown server_error"),
        (Capture, 422, error("000", "internal"), "unknown server_error"),
        (Capture, 422, error("917", "internal"), "unknown server_error"),
        (Authorize, 401, error("000", "security"), "not sent"),
        (Authorize, 403, error("901", "security"), "not sent"),
        (Authorize, 403, page.clone(), "not sent"),
        (Authorize, 429, page.clone(), "throttled"),
        (Authorize, 400, page.clone(), "unknown unreadable"),
        (Authorize, 422, json!({"errorCode": 704}), "unknown unreadable"),
        (Authorize, 422, json!({"errorCode": "SENSITIVE words"}), "unknown unreadable"),
        (Authorize, 422, result("Refused", &json!({})), "unknown unreadable"),
        // A refusal to be paid comes with 200; anything else is not one.
        (Authorize, 500, error("905", "configuration"), "unknown server_error"),
        (Authorize, 500, result("Refused", &json!({})), "unknown server_error"),
        (Authorize, 503, page, "unknown server_error"),
    ] {
        assert_eq!(read_as(operation, &authorized(), status, &body), expected, "{operation} {status} {body}");
    }
}

#[test]
fn no_error_counts_as_the_end_of_an_operation() {
    // That would allow a new key, and a second authorization beside one that may have been made.
    for status in [500, 502, 503, 504, 599] {
        for operation in [Authorize, Complete, Capture, Void, Refund] {
            let outcome = gateway().read(operation, &authorized(), &answer(status, &error("905", "internal")));
            assert!(matches!(outcome, Outcome::Unknown { why: Unknown::ServerError, .. }), "{outcome:?}");
        }
    }
}

#[test]
fn whatever_else_comes_is_unknown() {
    for status in [0, 100, 302, 307, 600, 999] {
        assert_eq!(read_as(Authorize, &payment(), status, &result("Authorised", &json!({}))), "unknown unreadable");
    }
    let deep = format!("{{\"action\":{}", "[".repeat(100_000));
    let twice = r#"{"resultCode":"Refused","resultCode":"Authorised","pspReference":"1"}"#;
    for body in ["", "null", "[]", "<html>", "{\"pspReference\":\"1\"}", &deep, twice, "\u{0}"] {
        for operation in [Register, Authorize, Complete, Capture, Void, Refund, Inquire] {
            let answer = Answer { status: 200, retry_after_ms: None, body: body.as_bytes().to_vec() };
            assert_eq!(line(&gateway().read(operation, &authorized(), &answer)), "unknown unreadable", "{body:.40}");
        }
    }
}

#[test]
fn what_was_never_asked_has_no_answer_that_says_anything() {
    for operation in [Register, Inquire] {
        for status in [200, 201, 401, 404, 405, 422, 429, 500] {
            let body = result("Refused", &json!({"errorCode": "100"}));
            assert_eq!(read_as(operation, &authorized(), status, &body), "unknown unreadable", "{operation} {status}");
        }
    }
}
