//! What events say, and what they are not believed to say.

use serde_json::{Value, json};
use workflow::payment::NextAction;
use workflow::port::gateway::Standing;

use super::*;

const PAYMENT: &str = "ch_00000000000070008000000000010002";

fn event(kind: &str, status: &str, more: &Value) -> Vec<u8> {
    let mut object = json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "currency": "eur", "amount": 1234,
        "amount_capturable": 1234, "amount_received": 1234, "metadata": {"fincore_payment": PAYMENT},
    });
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    json!({"id": "evt_1", "object": "event", "type": kind, "api_version": "2026-02-25.clover",
        "data": {"object": object, "previous_attributes": {}}})
    .to_string()
    .into_bytes()
}

fn outcome_of(kind: &str, status: &str, more: &Value) -> Option<Outcome> {
    let news = read(&event(kind, status, more)).unwrap().news?;
    let News::Outcome(outcome) = news else { panic!("{news:?}") };
    Some(outcome)
}

#[test]
fn an_event_names_the_payment_and_the_intent() {
    let notification = read(&event("payment_intent.succeeded", "succeeded", &json!({}))).unwrap();
    assert_eq!(notification.event_id, "evt_1");
    assert_eq!(notification.event_type, "payment_intent.succeeded");
    assert_eq!(notification.payment_id, Some(PAYMENT.parse().unwrap()));
    assert_eq!(notification.psp_reference.as_deref(), Some("pi_1"));
}

#[test]
fn intent_events_are_read_from_their_snapshot() {
    let money = workflow::money::Money { amount_minor: 1_234, currency: "eur".parse().unwrap() };
    let psp_reference = "pi_1".to_owned();
    let none = json!({});
    assert_eq!(
        outcome_of("payment_intent.amount_capturable_updated", "requires_capture", &none),
        Some(Outcome::Approved(Standing::Authorized { psp_reference: psp_reference.clone(), money }))
    );
    assert_eq!(
        outcome_of("payment_intent.succeeded", "succeeded", &none),
        Some(Outcome::Approved(Standing::Captured { psp_reference: psp_reference.clone(), money }))
    );
    assert_eq!(
        outcome_of("payment_intent.canceled", "canceled", &none),
        Some(Outcome::Approved(Standing::Voided { psp_reference: Some(psp_reference.clone()) }))
    );
    assert_eq!(outcome_of("payment_intent.processing", "processing", &none), None);
    assert_eq!(
        outcome_of("payment_intent.requires_action", "requires_action", &none),
        Some(Outcome::ActionRequired { psp_reference: Some(psp_reference), next_action: NextAction::UseSdk {} })
    );
}

#[test]
fn a_failed_payment_is_a_decline_with_or_without_a_reason() {
    let reason =
        json!({"last_payment_error": {"type": "card_error", "code": "card_declined", "decline_code": "expired_card"}});
    for (more, code) in [(reason, "card_declined"), (json!({}), "card_error")] {
        match outcome_of("payment_intent.payment_failed", "requires_payment_method", &more) {
            Some(Outcome::Declined(failure)) => assert_eq!(failure.code, code),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_event_whose_snapshot_says_otherwise_moves_nothing() {
    for (kind, status) in [
        ("payment_intent.succeeded", "requires_capture"),
        ("payment_intent.payment_failed", "succeeded"),
        ("payment_intent.amount_capturable_updated", "succeeded"),
        ("payment_intent.canceled", "brand_new_status"),
        ("payment_intent.created", "requires_confirmation"),
        ("payment_intent.brand_new", "succeeded"),
    ] {
        assert_eq!(outcome_of(kind, status, &json!({})), None, "{kind} {status}");
    }
}

#[test]
fn other_events_are_matched_but_mean_nothing_to_the_workflow() {
    let body =
        |object: Value| json!({"id": "evt_2", "type": "charge.refunded", "data": {"object": object}}).to_string();
    let charge = json!({"id": "ch_1", "object": "charge", "status": {"odd": 1}, "payment_intent": "pi_1",
        "metadata": {"fincore_payment": PAYMENT}});
    let notification = read(body(charge).as_bytes()).unwrap();
    assert_eq!((notification.psp_reference.as_deref(), notification.news), (Some("pi_1"), None));
    assert_eq!(notification.payment_id, Some(PAYMENT.parse().unwrap()));
    for odd in [json!(null), json!([1]), json!({"metadata": [], "payment_intent": {"id": "pi_1"}})] {
        let notification = read(body(odd).as_bytes()).unwrap();
        assert_eq!((notification.psp_reference, notification.payment_id), (None, None));
    }
}

#[test]
fn a_payment_id_that_is_none_is_not_made_up() {
    for metadata in [json!({}), json!(null), json!({"fincore_payment": "ch_x"}), json!({"fincore_payment": null})] {
        let body = event("payment_intent.succeeded", "succeeded", &json!({ "metadata": metadata }));
        assert_eq!(read(&body).unwrap().payment_id, None);
    }
}

#[test]
fn what_cannot_be_read_is_refused_and_not_guessed() {
    for body in [
        b"".to_vec(),
        b"null".to_vec(),
        b"{\"id\":\"evt_1\"}".to_vec(),
        b"{\"id\":\"evt 1\",\"type\":\"a\"}".to_vec(),
        b"{\"id\":\"evt_1\",\"type\":\"payment_intent.succeeded\"}".to_vec(),
        event("payment_intent.succeeded", "succeeded", &json!({"id": "../x"})),
        event("payment_intent.succeeded", "succeeded", &json!({"amount_received": null})),
        event("payment_intent.succeeded", "succeeded", &json!({"currency": "zzz"})),
    ] {
        assert_eq!(read(&body), Err(Unreadable), "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn a_refund_of_ours_is_told_of_step_by_step_and_one_made_at_the_psp_counts_at_once() {
    let refund = |status: &str, id: &str| {
        let object = json!({"id": "re_1", "object": "refund", "status": status, "amount": 400, "currency": "eur",
            "payment_intent": "pi_1", "failure_reason": "expired_or_canceled_card", "metadata": {"fincore_payment": id}});
        read(json!({"id": "evt_1", "type": "refund.updated", "data": {"object": object}}).to_string().as_bytes())
            .unwrap()
    };
    let ours = "re_0197f3c2a1b47c6e8d5f00112233aabb";
    let pending = refund("pending", ours);
    assert_eq!(pending.payment_id, Some(ours.parse().unwrap()));
    assert_eq!((pending.psp_reference.as_deref(), pending.event_id.as_str()), (Some("pi_1"), "re_1-pending"));
    assert_eq!(pending.news, Some(News::Outcome(Outcome::Pending { psp_reference: Some("re_1".to_owned()) })));
    let done = refund("succeeded", ours);
    assert_eq!(
        (done.event_id.as_str(), done.news.as_ref().and_then(News::psp_refund)),
        ("re_1-refunded", Some("re_1"))
    );
    assert!(matches!(refund("failed", ours).news, Some(News::RefundFailed { .. })));
    // Under a charge's name, or under nobody's, it is the charge that is told, and pending money is not its any more.
    for other in [PAYMENT, ""] {
        let pending = refund("pending", other);
        assert_eq!(pending.event_id, "re_1-refunded");
        assert_eq!(pending.news.as_ref().and_then(News::psp_refund), Some("re_1"));
    }
}
