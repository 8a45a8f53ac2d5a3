//! The gateway's requests as golden texts, and the payment its other tests are about.

mod algebra;
mod over_http;
mod properties;
mod refunds;

use std::collections::BTreeMap;

use workflow::definition::{Goal, State};
use workflow::history::Hash;
use workflow::ids::{MerchantId, PaymentId};
use workflow::payment::{CaptureMethod, Refunds, Route};
use workflow::port::gateway::Method;

use super::*;

const INTENT: &str = "pi_1";
const KEY: &str = "ch-key-1";

/// A charge of 12.34 EUR that is registered as `pi_1`.
fn payment() -> Payment {
    Payment {
        id: PaymentId::new(Timestamp::UNIX_EPOCH, [1, 2]),
        merchant_id: MerchantId::new(Timestamp::UNIX_EPOCH, [3, 4]),
        psp: "psp".to_owned(),
        payment_method: "pm_card".to_owned(),
        amount_minor: 1_234,
        currency: "eur".parse().unwrap(),
        capture_method: CaptureMethod::Automatic,
        return_url: None,
        description: None,
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
        psp_reference: Some(INTENT.to_owned()),
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

fn gateway() -> Stripe {
    Stripe::new(StripeConfig::calls_only("psp").unwrap())
}

/// A request as a person would write it down.
fn written(operation: Operation, payment: &Payment) -> String {
    let request = gateway().request(Call { operation, payment, key: KEY });
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{method} {}\n{headers}\n{}", request.path, request.body.replace('&', "\n&"))
}

#[test]
fn register_says_what_is_to_be_paid_and_by_whom_it_was_asked() {
    let described = Payment { description: Some("Order 7 & more".to_owned()), ..payment() };
    assert_eq!(
        written(Operation::Register, &described),
        "POST /v1/payment_intents\n\
         content-type: application/x-www-form-urlencoded\n\
         idempotency-key: ch-key-1\n\
         stripe-version: 2026-02-25.clover\n\
         \n\
         amount=1234\n\
         &currency=eur\n\
         &payment_method=pm_card\n\
         &payment_method_types%5B%5D=card\n\
         &capture_method=manual\n\
         &metadata%5Bfincore_payment%5D=ch_00000000000070008000000000010000\n\
         &metadata%5Bfincore_merchant%5D=mer_00000000000070008000000000030000\n\
         &description=Order+7+%26+more"
    );
}

#[test]
fn the_other_calls_name_the_intent_and_little_else() {
    let head = "content-type: application/x-www-form-urlencoded\nidempotency-key: ch-key-1\nstripe-version: 2026-02-25.clover\n\n";
    let returning = Payment { return_url: Some("https://shop.example/back?a=1".to_owned()), ..payment() };
    let captured = Payment { amount_captured_minor: 1_234, amount_refunded_minor: 234, ..payment() };
    let partly = Payment { amount_to_capture_minor: Some(1_000), ..payment() };
    for (operation, payment, line, body) in [
        (Operation::Authorize, payment(), "POST /v1/payment_intents/pi_1/confirm", ""),
        (
            Operation::Authorize,
            returning,
            "POST /v1/payment_intents/pi_1/confirm",
            "return_url=https%3A%2F%2Fshop.example%2Fback%3Fa%3D1",
        ),
        (
            Operation::Capture,
            payment(),
            "POST /v1/payment_intents/pi_1/capture",
            "amount_to_capture=1234\n&metadata%5Bfincore_payment%5D=ch_00000000000070008000000000010000",
        ),
        (
            Operation::Capture,
            partly,
            "POST /v1/payment_intents/pi_1/capture",
            "amount_to_capture=1000\n&metadata%5Bfincore_payment%5D=ch_00000000000070008000000000010000",
        ),
        (Operation::Void, payment(), "POST /v1/payment_intents/pi_1/cancel", ""),
        (
            Operation::Refund,
            captured,
            "POST /v1/refunds",
            "payment_intent=pi_1\n&amount=1000\n&metadata%5Bfincore_payment%5D=ch_00000000000070008000000000010000",
        ),
    ] {
        assert_eq!(written(operation, &payment), format!("{line}\n{head}{body}"));
    }
}

#[test]
fn an_inquiry_has_no_idempotency_key() {
    assert_eq!(
        written(Operation::Inquire, &payment()),
        "GET /v1/payment_intents/pi_1?expand[]=latest_charge\nstripe-version: 2026-02-25.clover\n\n"
    );
}

#[test]
fn a_request_stays_the_same_whatever_changes_on_the_row_between_two_attempts() {
    let later = Payment { goal: Goal::Cancel, attempt: 9, fence: 9, seq: 9, state: State::Canceling, ..payment() };
    for operation in [Operation::Register, Operation::Authorize, Operation::Capture, Operation::Void] {
        assert_eq!(written(operation, &payment()), written(operation, &later));
    }
}

#[test]
fn special_currencies_are_written_in_their_own_units() {
    for (amount_minor, code, expected) in
        [(5, "isk", "amount=500\n"), (500, "jpy", "amount=500\n"), (5_124, "kwd", "amount=5124.00\n")]
    {
        let payment = Payment { amount_minor, currency: code.parse().unwrap(), ..payment() };
        assert!(written(Operation::Register, &payment).contains(expected), "{code}");
    }
    let money = |amount_minor, code: &str| Money { amount_minor, currency: code.parse().unwrap() };
    assert_eq!(
        gateway().supports(money(5_124, "kwd")),
        Err("this currency is charged in steps of 10 minor units".to_owned())
    );
    assert_eq!(gateway().supports(money(5_120, "kwd")), Ok(()));
}

#[test]
fn no_stored_reference_can_lead_elsewhere() {
    let odd = Payment { psp_reference: Some("../v1/x?y#z%2e\u{e9}\n".to_owned()), ..payment() };
    assert!(written(Operation::Void, &odd).starts_with("POST /v1/payment_intents/---v1-x-y-z-2e--/cancel\n"));
}

#[test]
fn without_a_reference_nothing_can_have_moved() {
    let fresh = Payment { psp_reference: None, ..payment() };
    assert!(gateway().needs_registration(&fresh));
    assert!(matches!(gateway().known_standing(&fresh), Some(Standing::Untouched { .. })));
    assert!(!gateway().needs_registration(&payment()));
    assert_eq!(gateway().known_standing(&payment()), None);
}

#[test]
fn configurations_that_cannot_be_right_are_refused() {
    for bad in ["", "Psp", "a b", "a/b", &"x".repeat(33)] {
        assert_eq!(StripeConfig::calls_only(bad).err(), Some(StripeConfigInvalid::Name), "{bad}");
    }
    let placeholder = StripeConfig::new("psp", vec!["whsec_...".into()]).err();
    assert_eq!(placeholder, Some(StripeConfigInvalid::WebhookSecret(SecretInvalid::Placeholder)));
}
