//! A refund of ours at Stripe: what is asked, and what each answer means.

use jiff::Timestamp;
use serde_json::{Value, json};
use workflow::event::Unknown;
use workflow::ids::PaymentId;
use workflow::money::Money;
use workflow::payment::{Payment, RefundOf, RefundReason};
use workflow::port::gateway::{Answer, Call, Gateway, Method, Operation, Outcome, Standing};

use super::{gateway, payment};

const INTENT: &str = "pi_1";

fn refund() -> Payment {
    let charge = payment();
    Payment {
        id: PaymentId::new_refund(Timestamp::UNIX_EPOCH, [3, 4]),
        amount_minor: 400,
        psp_reference: None,
        refund_of: Some(RefundOf {
            charge: charge.id,
            psp_reference: INTENT.to_owned(),
            reason: Some(RefundReason::Duplicate),
        }),
        ..charge
    }
}

fn document(status: &str) -> Value {
    json!({
        "id": "re_1", "object": "refund", "status": status, "amount": 400, "currency": "eur", "payment_intent": INTENT,
        "failure_reason": if status == "failed" { json!("lost_or_stolen_card") } else { Value::Null },
        "metadata": {"fincore_payment": refund().id.to_string()},
    })
}

fn read(operation: Operation, payment: &Payment, body: &Value) -> Outcome {
    let answer = Answer { status: 200, retry_after_ms: None, body: body.to_string().into_bytes() };
    gateway().read(operation, payment, &answer)
}

fn refunded() -> Outcome {
    let money = Money { amount_minor: 400, currency: "eur".parse().unwrap() };
    Outcome::Approved(Standing::Refunded { money, psp_refund: Some("re_1".to_owned()) })
}

#[test]
fn the_part_that_was_asked_for_is_given_back_under_our_name() {
    let refund = refund();
    let request = gateway().request(Call { operation: Operation::Refund, payment: &refund, key: "k" });
    assert_eq!((request.method, request.path.as_str()), (Method::Post, "/v1/refunds"));
    assert_eq!(
        request.body,
        format!("payment_intent=pi_1&amount=400&reason=duplicate&metadata%5Bfincore_payment%5D={}", refund.id)
    );
}

#[test]
fn it_is_asked_for_by_its_name_and_looked_for_without_one() {
    let path = |payment: &Payment| gateway().request(Call { operation: Operation::Inquire, payment, key: "k" }).path;
    assert_eq!(path(&refund()), "/v1/refunds?limit=100&payment_intent=pi_1");
    let named = |name: &str| Payment { psp_reference: Some(name.to_owned()), ..refund() };
    assert_eq!(path(&named("re_1")), "/v1/refunds/re_1");
    assert_eq!(path(&named("../charges?x")), "/v1/refunds/---charges-x");
}

#[test]
fn each_status_means_one_thing_in_answer_to_the_call_and_to_a_question() {
    let known = Payment { psp_reference: Some("re_1".to_owned()), ..refund() };
    for (operation, payment) in [(Operation::Refund, refund()), (Operation::Inquire, known)] {
        assert_eq!(read(operation, &payment, &document("succeeded")), refunded());
        for status in ["pending", "requires_action"] {
            let pending = Outcome::Pending { psp_reference: Some("re_1".to_owned()) };
            assert_eq!(read(operation, &payment, &document(status)), pending);
        }
        for (status, reason) in [("failed", Some("lost_or_stolen_card")), ("canceled", None)] {
            let Outcome::Declined(failure) = read(operation, &payment, &document(status)) else { panic!("{status}") };
            assert_eq!(failure.code, format!("refund_{status}"));
            assert_eq!(failure.decline_code.as_deref(), reason);
        }
        assert!(matches!(read(operation, &payment, &document("new")), Outcome::Unknown { .. }));
    }
}

#[test]
fn among_the_refunds_of_the_charge_only_the_one_that_carries_our_name_is_ours() {
    let page = |data: Value, has_more: Value| json!({"object": "list", "data": data, "has_more": has_more});
    let mut other = document("succeeded");
    other["metadata"] = json!({"fincore_payment": payment().id.to_string()});
    let by_hand =
        json!({"id": "re_0", "object": "refund", "payment_intent": INTENT, "status": "succeeded", "metadata": {}});
    let found = page(json!([by_hand, other, document("succeeded")]), json!(true));
    assert_eq!(read(Operation::Inquire, &refund(), &found), refunded());
    let missing = page(json!([by_hand, other]), json!(false));
    let Outcome::Approved(Standing::Untouched { .. }) = read(Operation::Inquire, &refund(), &missing) else {
        panic!("nothing there is ours");
    };
    for unproven in [
        page(json!([other]), json!(true)),
        page(json!([]), Value::Null),
        json!({"object": "search_result", "data": [], "has_more": false}),
        json!({"object": "list"}),
        document("succeeded"),
    ] {
        let outcome = read(Operation::Inquire, &refund(), &unproven);
        assert!(matches!(outcome, Outcome::Unknown { why: Unknown::Unreadable, .. }), "{unproven}: {outcome:?}");
    }
}

#[test]
fn an_answer_about_anything_else_proves_nothing() {
    for (field, value) in [
        ("object", json!("charge")),
        ("payment_intent", json!("pi_2")),
        ("metadata", json!({"fincore_payment": payment().id.to_string()})),
        ("id", json!("re 1")),
        ("amount", Value::Null),
        ("currency", json!("xxx")),
    ] {
        let mut body = document("succeeded");
        body[field] = value;
        let outcome = read(Operation::Refund, &refund(), &body);
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{field}: {outcome:?}");
    }
}
