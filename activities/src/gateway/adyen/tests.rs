//! The gateway's requests as golden texts, and the payment its other tests are about.

mod algebra;
mod door;
mod over_http;
mod properties;

use std::collections::BTreeMap;

use workflow::definition::{Goal, State};
use workflow::history::Hash;
use workflow::ids::{MerchantId, PaymentId};
use workflow::payment::{CaptureMethod, Doubt, RefundOf, Refunds, Route};
use workflow::port::gateway::Method;

use super::*;

const MERCHANT_ACCOUNT: &str = "FinCoreTest";
const REFERENCE: &str = "8835511210681234";
const KEY: &str = "ch-key-1";
/// Keys made up for these tests.
const FIRST_KEY: &str = "9f3c1b7e5a2d4860c8e1f7035b9ad26413e8704bc95f2da6017b3e84d6a91c5f";
const SECOND_KEY: &str = "0b64c2f81d9e37a5f4186b03ce72d95a8831e6fd4029bc7715ac0fe3928d46b7";

/// A charge of 12.34 EUR whose authorization is under way.
fn payment() -> Payment {
    Payment {
        id: PaymentId::new(Timestamp::UNIX_EPOCH, [1, 2]),
        merchant_id: MerchantId::new(Timestamp::UNIX_EPOCH, [3, 4]),
        psp: "psp".to_owned(),
        payment_method: "shopper/1/M5N7TQ4TG5PFWR50".to_owned(),
        amount_minor: 1_234,
        currency: "eur".parse().unwrap(),
        capture_method: CaptureMethod::Automatic,
        return_url: None,
        description: Some("Order 7".to_owned()),
        metadata: BTreeMap::from([("theirs".to_owned(), "not ours to pass on".to_owned())]),
        definition_version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        refund_of: None,
        state: State::Authorizing,
        state_since: Timestamp::UNIX_EPOCH,
        goal: Goal::Capture,
        seq: 1,
        head_hash: Hash::ZERO,
        fence: 1,
        lease_until: None,
        next_wake_at: None,
        attempt: 1,
        claims: 1,
        operation: 1,
        psp_reference: None,
        amount_authorized_minor: 0,
        amount_to_capture_minor: None,
        amount_captured_minor: 0,
        amount_refunded_minor: 0,
        amount_refund_pending_minor: 0,
        refunds: Refunds::default(),
        proposal: None,
        failure: None,
        next_action: None,
        action_result: None,
        amount_charged_back_minor: 0,
        key_use: None,
        doubt: None,
        route: Route::default(),
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// The same charge, authorized.
fn authorized() -> Payment {
    Payment { psp_reference: Some(REFERENCE.to_owned()), amount_authorized_minor: 1_234, ..payment() }
}

fn gateway() -> Adyen {
    Adyen::new(AdyenConfig::calls_only("psp", MERCHANT_ACCOUNT).unwrap())
}

fn request(operation: Operation, payment: &Payment) -> Request {
    gateway().request(Call { operation, payment, key: KEY })
}

/// A request as a person would write it down.
fn written(request: &Request) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{method} {}\n{headers}\n{}", request.path, request.body)
}

const HEAD: &str = "content-type: application/json\nidempotency-key: ch-key-1\n\n";

#[test]
fn an_authorization_says_what_is_to_be_paid_and_with_which_stored_card() {
    assert_eq!(
        written(&request(Operation::Authorize, &payment())),
        format!(
            "POST /payments\n{HEAD}{}",
            concat!(
                r#"{"merchantAccount":"FinCoreTest","reference":"ch_00000000000070008000000000010000","#,
                r#""amount":{"currency":"EUR","value":1234},"#,
                r#""paymentMethod":{"type":"scheme","storedPaymentMethodId":"M5N7TQ4TG5PFWR50"},"#,
                r#""shopperReference":"shopper/1","shopperInteraction":"ContAuth","#,
                r#""recurringProcessingModel":"UnscheduledCardOnFile","#,
                r#""returnUrl":"https://customer-not-present.invalid/","#,
                r#""additionalData":{"manualCapture":"true"},"#,
                r#""metadata":{"fincore_payment":"ch_00000000000070008000000000010000","#,
                r#""fincore_merchant":"mer_00000000000070008000000000030000"}}"#,
            )
        )
    );
}

#[test]
fn with_a_return_address_the_customer_is_there_and_authenticates_by_redirect() {
    let present = Payment { return_url: Some("https://shop.example/back?a=\"1\"".to_owned()), ..payment() };
    let body = request(Operation::Authorize, &present).body;
    for part in [
        r#""recurringProcessingModel":"CardOnFile""#,
        r#""returnUrl":"https://shop.example/back?a=\"1\"""#,
        r#""authenticationData":{"threeDSRequestData":{"nativeThreeDS":"disabled"}}"#,
    ] {
        assert!(body.contains(part), "{body}");
    }
}

#[test]
fn the_other_calls_name_the_payment_and_little_else() {
    let ours = r#"{"merchantAccount":"FinCoreTest","reference":"ch_00000000000070008000000000010000""#;
    let partly = Payment { amount_to_capture_minor: Some(1_000), ..authorized() };
    let captured = Payment { amount_captured_minor: 1_234, amount_refunded_minor: 234, ..authorized() };
    for (operation, payment, line, rest) in [
        (Operation::Capture, authorized(), "captures", r#","amount":{"currency":"EUR","value":1234}}"#),
        (Operation::Capture, partly, "captures", r#","amount":{"currency":"EUR","value":1000}}"#),
        (Operation::Void, authorized(), "cancels", "}"),
        (Operation::Void, captured.clone(), "reversals", "}"),
        (Operation::Refund, captured, "refunds", r#","amount":{"currency":"EUR","value":1000}}"#),
    ] {
        let expected = format!("POST /payments/8835511210681234/{line}\n{HEAD}{ours}{rest}");
        assert_eq!(written(&request(operation, &payment)), expected);
    }
    assert_eq!(
        written(&request(Operation::Void, &payment())),
        format!("POST /cancels\n{HEAD}{ours},\"paymentReference\":\"ch_00000000000070008000000000010000\"}}")
    );
}

#[test]
fn what_the_customer_brought_back_is_handed_in() {
    let returned = Payment { action_result: Some("X6XtfGC3!Y\"".to_owned()), ..payment() };
    assert_eq!(
        written(&request(Operation::Complete, &returned)),
        format!("POST /payments/details\n{HEAD}{{\"details\":{{\"redirectResult\":\"X6XtfGC3!Y\\\"\"}}}}")
    );
}

#[test]
fn what_adyen_has_no_call_for_can_move_nothing() {
    for operation in [Operation::Register, Operation::Inquire] {
        assert_eq!(written(&request(operation, &authorized())), "GET /payments\n\n");
    }
}

#[test]
fn a_request_stays_the_same_whatever_changes_on_the_row_between_two_attempts() {
    let known = authorized();
    let later = |payment: Payment| Payment {
        goal: Goal::Cancel,
        attempt: 9,
        fence: 9,
        seq: 9,
        state: State::Reconciling,
        ..payment
    };
    // The webhook of an authorization may come before its answer.
    for operation in [Operation::Authorize, Operation::Complete] {
        assert_eq!(request(operation, &payment()), request(operation, &later(authorized())));
    }
    for operation in [Operation::Capture, Operation::Void] {
        assert_eq!(request(operation, &known), request(operation, &later(known.clone())));
    }
}

#[test]
fn a_payment_method_that_names_no_stored_card_is_left_out_so_that_the_request_is_refused() {
    for bad in ["", "pm_card", "/M5N7TQ4TG5PFWR50", "ab/M5N7TQ4TG5PFWR50", "shopper/", "shopper/a b", "sho\npper/M5N7"]
    {
        let odd = Payment { payment_method: bad.to_owned(), ..payment() };
        let body = request(Operation::Authorize, &odd).body;
        assert!(!body.contains("paymentMethod") && !body.contains("shopperReference"), "{body}");
    }
    let long = Payment { payment_method: format!("{}/M5N7", "x".repeat(257)), ..payment() };
    assert!(!request(Operation::Authorize, &long).body.contains("paymentMethod"));
}

#[test]
fn special_currencies_are_written_in_their_own_units() {
    for (amount_minor, code, expected) in [
        (10, "clp", r#"{"currency":"CLP","value":1000}"#),
        (1_000, "cve", r#"{"currency":"CVE","value":10}"#),
        (1_000, "idr", r#"{"currency":"IDR","value":10}"#),
        (10, "isk", r#"{"currency":"ISK","value":1000}"#),
        (500, "jpy", r#"{"currency":"JPY","value":500}"#),
        (5_124, "kwd", r#"{"currency":"KWD","value":5124}"#),
    ] {
        let payment = Payment { amount_minor, currency: code.parse().unwrap(), ..payment() };
        assert!(request(Operation::Authorize, &payment).body.contains(expected), "{code}");
    }
}

#[test]
fn an_amount_that_cannot_be_charged_is_not_rounded_but_left_out_so_that_the_request_is_refused() {
    let odd = Payment { amount_minor: 1_050, currency: "idr".parse().unwrap(), ..authorized() };
    for operation in [Operation::Authorize, Operation::Capture, Operation::Refund] {
        let odd = Payment { amount_captured_minor: 1_050, ..odd.clone() };
        assert!(!request(operation, &odd).body.contains("amount"), "{operation}");
    }
    assert_eq!(gateway().supports(odd.asked()), Err("this currency is charged in steps of 100 minor units".to_owned()));
    assert_eq!(gateway().supports(payment().asked()), Ok(()));
}

#[test]
fn no_stored_reference_can_lead_elsewhere() {
    let odd = Payment { psp_reference: Some("../v1/x?y#z%2e\u{e9}\n".to_owned()), ..payment() };
    assert_eq!(request(Operation::Void, &odd).path, "/payments/---v1-x-y-z-2e--/cancels");
    assert_eq!(request(Operation::Capture, &payment()).path, "/payments/-/captures");
}

#[test]
fn a_payment_without_a_reference_may_have_been_authorized_only_while_a_call_is_in_doubt() {
    assert!(!gateway().needs_registration(&payment()));
    let in_doubt = Payment { doubt: Some(Doubt::Unknown), ..payment() };
    assert_eq!(gateway().known_standing(&in_doubt), None);
    assert!(matches!(gateway().known_standing(&payment()), Some(Standing::Untouched { .. })));
    assert_eq!(gateway().known_standing(&authorized()), None);
}

#[test]
fn the_longest_key_that_the_engine_makes_fits() {
    assert!(workflow::port::gateway::LONGEST_KEY <= gateway().capabilities().key_max_bytes);
}

#[test]
fn configurations_that_cannot_be_right_are_refused() {
    for bad in ["", "Psp", "a b", "a/b", &"x".repeat(33)] {
        assert_eq!(AdyenConfig::calls_only(bad, MERCHANT_ACCOUNT).err(), Some(AdyenConfigInvalid::Name), "{bad}");
    }
    for bad in ["", "a b", "a:b", "YOUR_MERCHANT_ACCOUNT", "ADYEN_MERCHANT_ACCOUNT", &"x".repeat(81)] {
        assert_eq!(AdyenConfig::calls_only("psp", bad).err(), Some(AdyenConfigInvalid::MerchantAccount), "{bad}");
    }
    let short = AdyenConfig::new("psp", MERCHANT_ACCOUNT, vec!["00ff".into()], None).err();
    assert_eq!(short, Some(AdyenConfigInvalid::HmacKey(KeyInvalid::Form)));
    for (user, password) in [("", "x"), ("user", ""), ("us:er", "x"), ("user", "a\nb")] {
        assert!(BasicAuth::new(user, &password.into()).is_err(), "{user} {password:?}");
    }
}

/// A refund of 4.00 EUR of that charge.
fn refund() -> Payment {
    Payment {
        id: PaymentId::new_refund(Timestamp::UNIX_EPOCH, [5, 6]),
        amount_minor: 400,
        psp_reference: None,
        refund_of: Some(RefundOf { charge: payment().id, psp_reference: REFERENCE.to_owned(), reason: None }),
        ..authorized()
    }
}

#[test]
fn a_refund_of_ours_names_the_charge_and_itself() {
    let refund = refund();
    let expected = format!(
        r#"POST /payments/8835511210681234/refunds
{HEAD}{{"merchantAccount":"FinCoreTest","reference":"{}","amount":{{"currency":"EUR","value":400}}}}"#,
        refund.id
    );
    assert_eq!(written(&request(Operation::Refund, &refund)), expected);
}
