//! Every kind of answer and what it comes to, row by row.

use serde_json::{Value, json};
use workflow::event::Unknown;
use workflow::payment::{FailureCategory, NextAction};

use super::*;
use Operation::{Authorize, Capture, Inquire, Refund, Register, Void};

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, retry_after_ms: None, body: body.to_string().into_bytes() }
}

fn intent(status: &str, more: &Value) -> Value {
    let mut intent = json!({
        "id": INTENT, "object": "payment_intent", "status": status, "currency": "eur", "amount": 1234,
        "amount_capturable": if status == "requires_capture" { 1234 } else { 0 },
        "amount_received": if status == "succeeded" { 1234 } else { 0 },
        "metadata": {"fincore_payment": payment().id.to_string(), "other": "1"},
        "latest_charge": "ch_1", "last_payment_error": null, "next_action": null,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
    });
    for (key, value) in more.as_object().unwrap() {
        intent[key] = value.clone();
    }
    intent
}

fn error(kind: &str, code: &str, more: &Value) -> Value {
    let mut error = json!({"type": kind, "code": code, "message": "SENSITIVE words", "param": "x"});
    for (key, value) in more.as_object().unwrap() {
        error[key] = value.clone();
    }
    json!({ "error": error })
}

/// An outcome in one line; nothing of the answer's free text may be in it.
fn line(outcome: &Outcome) -> String {
    let debug = format!("{outcome:?}");
    assert!(!debug.contains("SENSITIVE"), "{debug}");
    match outcome {
        Outcome::Approved(Standing::Registered { psp_reference }) => format!("registered {psp_reference}"),
        Outcome::Approved(Standing::Authorized { psp_reference, money }) => {
            format!("authorized {psp_reference} {money}")
        }
        Outcome::Approved(Standing::Captured { psp_reference, money }) => format!("captured {psp_reference} {money}"),
        Outcome::Approved(Standing::Voided { psp_reference }) => {
            format!("voided {}", psp_reference.as_deref().unwrap())
        }
        Outcome::Approved(Standing::Refunded { money, .. }) => format!("refunded {money}"),
        Outcome::Approved(Standing::Untouched { .. }) => "untouched".to_owned(),
        Outcome::ActionRequired { next_action: NextAction::RedirectToUrl { url }, .. } => format!("action {url}"),
        Outcome::ActionRequired { next_action: NextAction::UseSdk {}, .. } => "action sdk".to_owned(),
        Outcome::Pending { .. } => "pending".to_owned(),
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

fn read(operation: Operation, status: u16, body: &Value) -> String {
    read_as(operation, &payment(), status, body)
}

#[test]
fn an_intents_status_is_read_by_what_was_asked() {
    let none = json!({});
    let declined = json!({"last_payment_error": {"type": "card_error", "code": "card_declined", "decline_code": "do_not_honor", "message": "SENSITIVE"}});
    let statuses = [
        ("requires_confirmation", &none),
        ("requires_payment_method", &none),
        ("requires_payment_method", &declined),
        ("requires_action", &none),
        ("processing", &none),
        ("requires_capture", &none),
        ("succeeded", &none),
        ("canceled", &none),
        ("requires_magic", &none),
    ];
    let mut table = String::new();
    for operation in [Register, Authorize, Inquire, Capture, Void] {
        for (status, more) in statuses {
            let error = if more.get("last_payment_error").is_some() { " after a decline" } else { "" };
            let outcome = read(operation, 200, &intent(status, more));
            table.push_str(&format!("{operation}: {status}{error} -> {outcome}\n"));
        }
    }
    assert_eq!(table, include_str!("statuses.txt"));
}

#[test]
fn the_customer_is_sent_only_to_pages() {
    let action = |url: &str| json!({"next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": null}}});
    for (url, expected) in [
        ("https://hooks.example/3ds?x=1", "action https://hooks.example/3ds?x=1"),
        ("javascript:alert(1)", "action sdk"),
        ("not a url", "action sdk"),
        (&format!("https://a.example/{}", "x".repeat(2_048)), "action sdk"),
    ] {
        assert_eq!(read(Authorize, 200, &intent("requires_action", &action(url))), expected);
    }
}

#[test]
fn money_is_read_in_our_units_or_not_at_all() {
    let isk = json!({"currency": "isk", "amount_capturable": 500});
    assert_eq!(read(Authorize, 200, &intent("requires_capture", &isk)), "authorized pi_1 5 ISK");
    for bad in [
        json!({"currency": "isk", "amount_capturable": 550}),
        json!({"currency": "zzz"}),
        json!({"currency": null}),
        json!({"amount_capturable": null}),
        json!({"amount_capturable": -1}),
        json!({"amount_capturable": 12.5}),
        json!({"amount_capturable": "1234"}),
    ] {
        assert_eq!(read(Authorize, 200, &intent("requires_capture", &bad)), "unknown unreadable", "{bad}");
    }
}

#[test]
fn an_answer_about_another_payment_proves_nothing() {
    for other in [
        json!({"id": "pi_2"}),
        json!({"id": ""}),
        json!({"id": null}),
        json!({"id": "pi_1/../x"}),
        json!({"object": "charge"}),
        json!({"metadata": {"fincore_payment": "ch_00000000000070008000000000990002"}}),
    ] {
        assert_eq!(read(Authorize, 200, &intent("requires_capture", &other)), "unknown unreadable", "{other}");
    }
    // Before the reference is known any intent marked as ours is ours.
    let fresh = Payment { psp_reference: None, ..payment() };
    assert_eq!(
        read_as(Register, &fresh, 200, &intent("requires_confirmation", &json!({"id": "pi_2"}))),
        "registered pi_2"
    );
}

#[test]
fn declines_have_a_category() {
    for (code, decline_code, advice, expected) in [
        ("card_declined", "generic_decline", "", "declined soft_decline card_declined generic_decline"),
        ("card_declined", "insufficient_funds", "", "declined soft_decline card_declined insufficient_funds"),
        ("card_declined", "brand_new_code", "", "declined soft_decline card_declined brand_new_code"),
        ("card_declined", "generic_decline", "do_not_try_again", "declined hard_decline card_declined generic_decline"),
        ("card_declined", "lost_card", "", "declined hard_decline card_declined lost_card"),
        ("card_declined", "fraudulent", "", "declined hard_decline card_declined fraudulent"),
        ("expired_card", "", "", "declined hard_decline expired_card -"),
        ("incorrect_number", "", "", "declined hard_decline incorrect_number -"),
        (
            "authentication_required",
            "authentication_required",
            "",
            "declined authentication authentication_required authentication_required",
        ),
        ("card_declined", "4242424242424242", "", "declined soft_decline card_declined -"),
        ("SENSITIVE words with spaces", "", "", "declined soft_decline card_error -"),
    ] {
        let body = error(
            "card_error",
            code,
            &json!({"decline_code": decline_code, "advice_code": advice,
            "payment_intent": intent("requires_payment_method", &json!({}))}),
        );
        assert_eq!(read(Authorize, 402, &body), expected);
    }
}

#[test]
fn a_decline_of_a_stolen_card_tells_the_client_to_keep_quiet() {
    let body = error("card_error", "card_declined", &json!({"decline_code": "stolen_card"}));
    let Outcome::Declined(failure) = gateway().read(Authorize, &payment(), &answer(402, &body)) else { panic!() };
    assert!(failure.advice.unwrap().contains("only that the card was declined"));
}

#[test]
fn a_card_error_ends_the_payment_only_where_no_money_can_be_held() {
    let with =
        |status: &str| error("card_error", "card_declined", &json!({"payment_intent": intent(status, &json!({}))}));
    for (operation, status, expected) in [
        (Authorize, "requires_payment_method", "declined soft_decline card_declined -"),
        (Authorize, "requires_capture", "unknown unreadable"),
        (Authorize, "succeeded", "unknown unreadable"),
        (Authorize, "processing", "unknown unreadable"),
        (Capture, "requires_payment_method", "declined soft_decline card_declined -"),
        (Capture, "requires_capture", "rejected soft_decline card_declined"),
        (Void, "requires_capture", "rejected soft_decline card_declined"),
        (Refund, "succeeded", "rejected soft_decline card_declined"),
        (Inquire, "requires_payment_method", "unknown unreadable"),
    ] {
        assert_eq!(read(operation, 402, &with(status)), expected, "{operation} {status}");
    }
    let of_another = error(
        "card_error",
        "card_declined",
        &json!({"payment_intent": intent("requires_payment_method", &json!({"id": "pi_2"}))}),
    );
    assert_eq!(read(Authorize, 402, &of_another), "unknown unreadable");
}

#[test]
fn an_unexpected_state_is_read_from_the_intent_that_comes_with_it() {
    let with = |status: &str| {
        error(
            "invalid_request_error",
            "payment_intent_unexpected_state",
            &json!({"payment_intent": intent(status, &json!({}))}),
        )
    };
    for (operation, status, expected) in [
        (Authorize, "requires_capture", "authorized pi_1 12.34 EUR"),
        (Authorize, "succeeded", "captured pi_1 12.34 EUR"),
        (Authorize, "canceled", "voided pi_1"),
        (Authorize, "requires_action", "action sdk"),
        (Authorize, "requires_confirmation", "unknown unreadable"),
        (Capture, "succeeded", "captured pi_1 12.34 EUR"),
        (Capture, "canceled", "voided pi_1"),
        (Capture, "requires_payment_method", "unknown unreadable"),
        (Void, "canceled", "voided pi_1"),
        (Void, "succeeded", "captured pi_1 12.34 EUR"),
        (Void, "processing", "pending"),
        (Void, "requires_capture", "unknown unreadable"),
    ] {
        assert_eq!(read(operation, 400, &with(status)), expected, "{operation} {status}");
    }
    let alone = error("invalid_request_error", "payment_intent_unexpected_state", &json!({}));
    assert_eq!(read(Authorize, 400, &alone), "unknown unreadable");
    let captured = error(
        "invalid_request_error",
        "charge_already_captured",
        &json!({"payment_intent": intent("succeeded", &json!({}))}),
    );
    assert_eq!(read(Capture, 400, &captured), "captured pi_1 12.34 EUR");
}

#[test]
fn refusals_say_who_has_to_do_something() {
    let none = json!({});
    let invalid = |code: &str| error("invalid_request_error", code, &none);
    for (operation, status, body, expected) in [
        (Authorize, 400, invalid("parameter_missing"), "rejected invalid_request parameter_missing"),
        (Authorize, 400, invalid(""), "rejected invalid_request invalid_request_error"),
        (Register, 404, invalid("resource_missing"), "rejected invalid_request resource_missing"),
        (Authorize, 404, invalid("resource_missing"), "unknown unreadable"),
        (Inquire, 404, invalid("resource_missing"), "unknown unreadable"),
        (Inquire, 400, invalid("parameter_unknown"), "rejected invalid_request parameter_unknown"),
        (Authorize, 401, none.clone(), "not sent"),
        (Authorize, 403, invalid("secret_key_required"), "not sent"),
        (Authorize, 429, json!("<html>"), "throttled"),
        (Authorize, 429, invalid("lock_timeout"), "throttled"),
        (Authorize, 409, invalid("lock_timeout"), "throttled"),
        (Authorize, 409, error("idempotency_error", "idempotency_key_in_use", &none), "unknown server_error"),
        (Authorize, 424, invalid(""), "unknown server_error"),
        (Register, 400, error("idempotency_error", "", &none), "rejected invalid_request idempotency_error"),
        (Capture, 400, error("idempotency_error", "", &none), "rejected invalid_request idempotency_error"),
        (Authorize, 400, error("idempotency_error", "", &none), "unknown unreadable"),
        (Authorize, 400, json!("<html>"), "unknown unreadable"),
        (Authorize, 402, json!({"error": "card_error"}), "unknown unreadable"),
    ] {
        assert_eq!(read(operation, status, &body), expected, "{operation} {status} {body}");
    }
}

#[test]
fn server_errors_are_unknown_and_only_a_stored_one_is_final() {
    let api_error = error("api_error", "", &json!({}));
    for (operation, status, body, expected) in [
        (Authorize, 500, &api_error, "unknown ended_in_error"),
        // An inquiry has no key under which an error could be stored.
        (Inquire, 500, &api_error, "unknown server_error"),
        (Authorize, 502, &api_error, "unknown server_error"),
        (Authorize, 500, &json!("<html>"), "unknown server_error"),
        (Authorize, 503, &json!({}), "unknown server_error"),
        (Authorize, 599, &json!({}), "unknown server_error"),
    ] {
        assert_eq!(read(operation, status, body), expected, "{operation} {status}");
    }
}

#[test]
fn whatever_else_comes_is_unknown() {
    for status in [0, 100, 302, 307, 600, 999] {
        assert_eq!(read(Authorize, status, &intent("requires_capture", &json!({}))), "unknown unreadable");
    }
    let deep = format!("{{\"id\":{}", "[".repeat(100_000));
    let twice = r#"{"id":"pi_1","id":"pi_1","object":"payment_intent","status":"canceled"}"#;
    for body in ["", "null", "[]", "<html>", "{\"id\":\"pi_1\"}", &deep, twice, "\u{0}"] {
        for operation in [Register, Authorize, Capture, Void, Refund, Inquire] {
            let answer = Answer { status: 200, retry_after_ms: None, body: body.as_bytes().to_vec() };
            assert_eq!(line(&gateway().read(operation, &payment(), &answer)), "unknown unreadable");
        }
    }
}

#[test]
fn a_refund_is_done_when_it_says_so() {
    let refund = |status: &str, intent: &str| json!({"id": "re_1", "object": "refund", "status": status, "amount": 1234, "currency": "eur", "payment_intent": intent});
    for (body, expected) in [
        (refund("succeeded", INTENT), "refunded 12.34 EUR"),
        (refund("pending", INTENT), "pending"),
        (refund("requires_action", INTENT), "pending"),
        (refund("failed", INTENT), "rejected invalid_request refund_failed"),
        (refund("canceled", INTENT), "rejected invalid_request refund_canceled"),
        (refund("brand_new", INTENT), "unknown unreadable"),
        (refund("succeeded", "pi_2"), "unknown unreadable"),
        (intent("succeeded", &json!({})), "unknown unreadable"),
    ] {
        assert_eq!(read(Refund, 200, &body), expected, "{body}");
    }
}

#[test]
fn an_inquiry_sees_that_counted_money_was_given_back_and_never_takes_it_for_a_capture() {
    let charge = |amount_captured: i64, amount_refunded: i64| {
        let charge = json!({
            "id": "ch_1", "object": "charge", "amount": 1_234, "amount_captured": amount_captured, "amount_refunded": amount_refunded,
        });
        intent("succeeded", &json!({"latest_charge": charge}))
    };
    let charged = |amount_refunded: i64| charge(1_234, amount_refunded);
    let counted = Payment { amount_captured_minor: 1_234, goal: Goal::Reverse, ..payment() };
    assert_eq!(read_as(Inquire, &counted, 200, &charged(1_234)), "refunded 12.34 EUR");
    assert_eq!(read_as(Inquire, &counted, 200, &charged(1_000)), "captured pi_1 12.34 EUR");
    assert_eq!(read_as(Inquire, &counted, 200, &charged(0)), "captured pi_1 12.34 EUR");
    // What a partial capture left was never taken, so it was not given back either.
    let partly = Payment { amount_captured_minor: 234, ..counted };
    assert_eq!(read_as(Inquire, &partly, 200, &charge(234, 1_000)), "captured pi_1 12.34 EUR");
    assert_eq!(read_as(Inquire, &partly, 200, &charge(234, 1_234)), "refunded 2.34 EUR");
    // Money that was never counted is counted first.
    assert_eq!(read_as(Inquire, &payment(), 200, &charged(1_234)), "captured pi_1 12.34 EUR");
}

#[test]
fn unknowns_are_told_apart_for_people() {
    let Outcome::Unknown { why, detail } = gateway().read(Capture, &payment(), &answer(302, &json!({}))) else {
        panic!()
    };
    assert_eq!((why, detail.as_str()), (Unknown::Unreadable, "capture: the HTTP status 302 is none the API gives"));
    let Outcome::Rejected(failure) =
        gateway().read(Register, &payment(), &answer(400, &error("invalid_request_error", "x", &json!({}))))
    else {
        panic!()
    };
    assert_eq!(failure.category, FailureCategory::InvalidRequest);
}
