//! What items say, and what they are not believed to say.

use serde_json::{Value, json};

use super::*;

const PAYMENT: &str = "ch_00000000000070008000000000010002";
const REFERENCE: &str = "8835511210681234";
const MODIFICATION: &str = "QFQTPCQ8HXSKGK82";

fn item(event: &str, success: &str, changes: &Value) -> Vec<u8> {
    let is_authorization = event == "AUTHORISATION";
    let mut item = json!({
        "amount": {"currency": "EUR", "value": 1234}, "eventCode": event, "success": success,
        "eventDate": "2026-01-01T01:00:00+01:00", "merchantAccountCode": "FinCoreTest", "merchantReference": PAYMENT,
        "originalReference": if is_authorization { "" } else { REFERENCE },
        "pspReference": if is_authorization { REFERENCE } else { MODIFICATION },
        "paymentMethod": "visa", "reason": "SENSITIVE:1111:03/2030", "additionalData": {"expiryDate": "SENSITIVE"},
    });
    for (key, value) in changes.as_object().unwrap() {
        item[key] = value.clone();
    }
    item.to_string().into_bytes()
}

fn news_of(event: &str, success: &str, changes: &Value) -> Option<News> {
    let notification = super::read(&item(event, success, changes)).unwrap();
    assert!(!format!("{notification:?}").contains("SENSITIVE"), "{notification:?}");
    notification.news
}

fn outcome_of(event: &str, success: &str, changes: &Value) -> Option<Outcome> {
    let news = news_of(event, success, changes)?;
    let News::Outcome(outcome) = news else { panic!("{news:?}") };
    Some(outcome)
}

fn money() -> Money {
    Money { amount_minor: 1_234, currency: "eur".parse().unwrap() }
}

#[test]
fn an_authorization_names_the_payment_by_its_own_reference() {
    let notification = super::read(&item("AUTHORISATION", "true", &json!({}))).unwrap();
    assert_eq!(notification.event_id, "AUTHORISATION:8835511210681234:true");
    assert_eq!(notification.event_type, "AUTHORISATION");
    assert_eq!(notification.payment_id, Some(PAYMENT.parse().unwrap()));
    assert_eq!(notification.psp_reference.as_deref(), Some(REFERENCE));
}

#[test]
fn a_modification_names_the_payment_by_the_original_reference_and_nothing_else() {
    for event in ["CAPTURE", "CANCELLATION", "REFUND", "CAPTURE_FAILED", "CHARGEBACK", "BRAND_NEW"] {
        let notification = super::read(&item(event, "true", &json!({}))).unwrap();
        assert_eq!(notification.psp_reference.as_deref(), Some(REFERENCE), "{event}");
        assert_eq!(notification.event_id, format!("{event}:{MODIFICATION}:true"));
    }
    for none in [json!(""), json!(null)] {
        let notification = super::read(&item("CHARGEBACK", "true", &json!({ "originalReference": none }))).unwrap();
        assert_eq!(notification.psp_reference, None);
    }
}

#[test]
fn deliveries_of_one_fact_share_a_name_and_different_facts_do_not() {
    let name =
        |event: &str, success: &str, changes: &Value| super::read(&item(event, success, changes)).unwrap().event_id;
    let none = json!({});
    let later =
        json!({"eventDate": "2026-01-01T02:00:00+01:00", "reason": "", "additionalData": {"hmacSignature": "x"}});
    assert_eq!(name("CAPTURE", "true", &none), name("CAPTURE", "true", &later));
    let names = [
        name("AUTHORISATION", "false", &none),
        name("AUTHORISATION", "true", &none),
        name("CAPTURE", "true", &none),
        name("CAPTURE", "false", &none),
        name("CAPTURE_FAILED", "true", &none),
        name("CAPTURE", "true", &json!({"pspReference": "QFQTPCQ8HXSKGK83"})),
        name("CHARGEBACK", "true", &none),
        name("CHARGEBACK", "true", &json!({"pspReference": "9915555555555555"})),
        name("CHARGEBACK_REVERSED", "true", &none),
        name("SECOND_CHARGEBACK", "true", &none),
    ];
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "{name}");
    }
}

#[test]
fn successes_are_read_with_the_items_money() {
    let psp_reference = REFERENCE.to_owned();
    let none = json!({});
    assert_eq!(
        outcome_of("AUTHORISATION", "true", &none),
        Some(Outcome::Approved(Standing::Authorized { psp_reference: psp_reference.clone(), money: money() }))
    );
    assert_eq!(
        outcome_of("CAPTURE", "true", &none),
        Some(Outcome::Approved(Standing::Captured { psp_reference: psp_reference.clone(), money: money() }))
    );
    assert_eq!(
        outcome_of("REFUND", "true", &none),
        Some(Outcome::Approved(Standing::Refunded { money: money(), psp_refund: Some(MODIFICATION.into()) }))
    );
    for event in ["CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE"] {
        let voided = Standing::Voided { psp_reference: Some(psp_reference.clone()) };
        assert_eq!(outcome_of(event, "true", &none), Some(Outcome::Approved(voided)), "{event}");
    }
    let in_kronur = json!({"amount": {"currency": "ISK", "value": 500}});
    let five = Money { amount_minor: 5, currency: "isk".parse().unwrap() };
    assert_eq!(
        outcome_of("REFUND", "true", &in_kronur),
        Some(Outcome::Approved(Standing::Refunded { money: five, psp_refund: Some(MODIFICATION.into()) }))
    );
}

#[test]
fn a_reversal_says_which_of_the_two_it_was() {
    for event in ["CANCEL_OR_REFUND", "REVERSAL"] {
        let of = |action: &str| json!({"additionalData": {"modification.action": action}});
        let voided = Standing::Voided { psp_reference: Some(REFERENCE.to_owned()) };
        assert_eq!(outcome_of(event, "true", &of("cancel")), Some(Outcome::Approved(voided)));
        let refunded = Standing::Refunded { money: money(), psp_refund: Some(MODIFICATION.into()) };
        assert_eq!(outcome_of(event, "true", &of("refund")), Some(Outcome::Approved(refunded)));
        assert_eq!(outcome_of(event, "true", &of("something else")), None);
        assert_eq!(outcome_of(event, "true", &json!({"additionalData": null})), None);
    }
}

#[test]
fn a_refused_authorization_says_why_as_far_as_words_are_known() {
    for (reason, category, code) in [
        ("Not enough balance", FailureCategory::SoftDecline, "not_enough_balance"),
        ("FRAUD", FailureCategory::HardDecline, "fraud"),
        ("Fraud cancelled", FailureCategory::HardDecline, "fraud_cancelled"),
        ("3D Not Authenticated", FailureCategory::Authentication, "3d_not_authenticated"),
        ("SENSITIVE words", FailureCategory::SoftDecline, "refused"),
        ("", FailureCategory::SoftDecline, "refused"),
    ] {
        match outcome_of("AUTHORISATION", "false", &json!({ "reason": reason })) {
            Some(Outcome::Declined(failure)) => assert_eq!((failure.category, failure.code.as_str()), (category, code)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_abandoned_offer_is_a_decline_which_takes_nothing_from_an_authorization() {
    let outcome = outcome_of("OFFER_CLOSED", "true", &json!({"originalReference": null}));
    assert!(matches!(&outcome, Some(Outcome::Declined(failure)) if failure.code == "offer_closed"), "{outcome:?}");
}

#[test]
fn what_did_not_come_true_undoes_nothing() {
    for event in [
        "EXPIRE",
        "OFFER_CLOSED",
        "CAPTURE_FAILED",
        "REFUND_FAILED",
        "REFUNDED_REVERSED",
        "NOTIFICATION_OF_CHARGEBACK",
        "CHARGEBACK",
        "SECOND_CHARGEBACK",
        "CHARGEBACK_REVERSED",
    ] {
        assert_eq!(news_of(event, "false", &json!({})), None, "{event}");
    }
}

#[test]
fn a_void_that_was_taken_on_may_come_to_nothing() {
    for event in ["CANCELLATION", "TECHNICAL_CANCEL", "CANCEL_OR_REFUND", "REVERSAL"] {
        let news = news_of(event, "false", &json!({}));
        assert!(matches!(&news, Some(News::VoidFailed { failure }) if failure.code == "cancel_refused"), "{news:?}");
    }
}

#[test]
fn a_capture_fails_at_once_or_later() {
    for (event, success, code) in
        [("CAPTURE", "false", "capture_refused"), ("CAPTURE_FAILED", "true", "capture_failed")]
    {
        match news_of(event, success, &json!({})) {
            Some(News::CaptureFailed { failure }) => assert_eq!(failure.code, code),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refund_fails_at_once_later_or_on_its_way_back() {
    for (event, success, code) in [
        ("REFUND", "false", "refund_refused"),
        ("REFUND_FAILED", "true", "refund_failed"),
        ("REFUNDED_REVERSED", "true", "refund_returned"),
    ] {
        match news_of(event, success, &json!({})) {
            Some(News::RefundFailed { money: failed, failure, .. }) => {
                assert_eq!((failed, failure.code.as_str()), (money(), code));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_dispute_takes_money_when_it_says_so() {
    let coded = json!({"additionalData": {"chargebackReasonCode": " 4853", "disputeStatus": "Undefended"}});
    let opened = |reason: Option<&str>| Some(News::DisputeOpened { reason: reason.map(str::to_owned) });
    assert_eq!(news_of("NOTIFICATION_OF_CHARGEBACK", "true", &coded), opened(Some("4853")));
    let worded = json!({"additionalData": {"chargebackReasonCode": "SENSITIVE words"}});
    assert_eq!(news_of("NOTIFICATION_OF_CHARGEBACK", "true", &worded), opened(None));
    assert_eq!(news_of("NOTIFICATION_OF_CHARGEBACK", "true", &json!({"additionalData": null})), opened(None));
    for event in ["CHARGEBACK", "SECOND_CHARGEBACK"] {
        assert_eq!(news_of(event, "true", &json!({})), Some(News::ChargedBack { money: money() }));
    }
    for (event, verdict) in [("PREARBITRATION_WON", DisputeVerdict::Won), ("PREARBITRATION_LOST", DisputeVerdict::Lost)]
    {
        assert_eq!(news_of(event, "true", &json!({"amount": null})), Some(News::DisputeClosed { verdict }));
    }
    let reversed = Some(News::ChargebackReversed { money: money() });
    assert_eq!(news_of("CHARGEBACK_REVERSED", "true", &json!({})), reversed);
}

#[test]
fn other_events_are_matched_but_mean_nothing_to_the_workflow() {
    for event in ["NOTIFICATION_OF_FRAUD", "REPORT_AVAILABLE", "BRAND_NEW"] {
        for success in ["true", "false"] {
            assert_eq!(news_of(event, success, &json!({"amount": null})), None, "{event}");
        }
    }
    let report = json!({"pspReference": "payments_accounting_report_2026_01_01.csv", "merchantReference": "",
        "originalReference": null, "additionalData": null});
    let notification = super::read(&item("REPORT_AVAILABLE", "true", &report)).unwrap();
    assert_eq!(notification.event_id, "REPORT_AVAILABLE:payments_accounting_report_2026_01_01.csv:true");
    assert_eq!((notification.payment_id, notification.psp_reference), (None, None));
}

#[test]
fn a_payment_id_comes_from_the_signed_reference_and_from_nowhere_else() {
    let in_metadata = json!({"metadata.fincore_payment": PAYMENT});
    for odd in [json!("ch_x"), json!("their-order-7"), json!(""), json!(null)] {
        let changes = json!({ "merchantReference": odd, "additionalData": in_metadata });
        assert_eq!(super::read(&item("CAPTURE", "true", &changes)).unwrap().payment_id, None);
    }
}

#[test]
fn only_the_text_true_is_a_success() {
    for odd in [json!("TRUE"), json!("True"), json!("1"), json!("yes"), json!(""), json!(true), json!(1), json!(null)] {
        assert_eq!(super::read(&item("CAPTURE", "true", &json!({ "success": odd }))), Err(Unreadable), "{odd}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_and_not_guessed() {
    for body in [
        b"".to_vec(),
        b"null".to_vec(),
        b"{\"eventCode\":\"CAPTURE\"}".to_vec(),
        item("AUTHORISATION", "true", &json!({"pspReference": "../x"})),
        item("AUTHORISATION", "true", &json!({"amount": null})),
        item("AUTHORISATION", "true", &json!({"amount": {"currency": "ZZZ", "value": 1234}})),
        item("AUTHORISATION", "true", &json!({"amount": {"currency": "EUR", "value": -1}})),
        item("CAPTURE", "true", &json!({"originalReference": ""})),
        item("CAPTURE", "true", &json!({"originalReference": "../x"})),
        item("CAPTURE", "true", &json!({"amount": {"currency": "ISK", "value": 550}})),
        item("CAPTURE", "true", &json!({"pspReference": "a:b"})),
        item("REFUND", "false", &json!({"amount": null})),
        item("CHARGEBACK", "true", &json!({"amount": {"currency": "ZZZ", "value": 1234}})),
        item("a b", "true", &json!({})),
    ] {
        assert_eq!(super::read(&body), Err(Unreadable), "{}", String::from_utf8_lossy(&body));
    }
}
