//! Stripe's objects as JSON, as far as a gateway may read them.

use serde_json::{Value, json};
use workflow::money::Money;
use workflow::payment::FailureCategory;

use super::super::{Account, Decline, Dialect, Stands};
use super::Stripe;

/// A PaymentIntent.
pub(super) fn intent(account: &Account) -> Value {
    let status = match account.stands {
        Stands::Registered => "requires_confirmation",
        Stands::ActionRequired => "requires_action",
        Stands::Pending(_) => "processing",
        Stands::Declined => "requires_payment_method",
        Stands::Authorized => "requires_capture",
        Stands::Captured => "succeeded",
        Stands::Voided => "canceled",
    };
    let capturable = if account.stands == Stands::Authorized { account.authorized_minor } else { 0 };
    let next_action = (account.stands == Stands::ActionRequired).then(|| {
        let url = format!("https://psp.example/authenticate/{}", account.psp_reference);
        json!({"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": null}})
    });
    let last_error = account.decline.as_ref().filter(|_| account.stands == Stands::Declined).map(|decline| {
        let (code, decline_code) = codes(decline);
        json!({"type": "card_error", "code": code, "decline_code": decline_code, "message": "Told by the mock PSP."})
    });
    json!({
        "id": account.psp_reference, "object": "payment_intent", "status": status, "livemode": false,
        "amount": wire(account, account.asked.amount_minor), "currency": account.asked.currency.to_string(),
        "amount_capturable": wire(account, capturable), "amount_received": wire(account, account.captured_minor),
        "capture_method": "manual", "payment_method": account.payment_method, "payment_method_types": ["card"],
        "metadata": account.merchant_reference.as_ref().map_or(json!({}), |ours| json!({"fincore_payment": ours})),
        "last_payment_error": last_error, "next_action": next_action,
        "latest_charge": (account.authorized_minor > 0).then(|| charge_id(account)),
    })
}

/// A PaymentIntent with its charge.
pub(super) fn expanded(account: &Account) -> Value {
    let mut intent = intent(account);
    if !intent["latest_charge"].is_null() {
        intent["latest_charge"] = charge(account);
    }
    intent
}

/// A charge.
pub(super) fn charge(account: &Account) -> Value {
    json!({
        "id": charge_id(account), "object": "charge", "payment_intent": account.psp_reference,
        "amount": wire(account, account.authorized_minor), "amount_captured": wire(account, account.captured_minor),
        "amount_refunded": wire(account, account.refunded_minor), "currency": account.asked.currency.to_string(),
        "captured": account.captured_minor > 0,
        "refunded": account.captured_minor > 0 && account.refunded_minor == account.captured_minor,
        "metadata": account.merchant_reference.as_ref().map_or(json!({}), |ours| json!({"fincore_payment": ours})),
    })
}

/// A refund.
pub(super) fn refund(account: &Account, id: &str, money: Money) -> Value {
    json!({
        "id": id, "object": "refund", "status": "succeeded", "amount": wire(account, money.amount_minor),
        "currency": money.currency.to_string(), "payment_intent": account.psp_reference, "charge": charge_id(account),
    })
}

/// `code` and `decline_code` of a decline.
pub(super) fn codes(decline: &Decline) -> (&str, &str) {
    match (decline.code.as_str(), decline.category) {
        (code, FailureCategory::Authentication) => (code, code),
        (code @ ("expired_card" | "incorrect_number" | "processing_error"), _) => (code, code),
        (code, _) => ("card_declined", code),
    }
}

/// Amounts that Stripe could not write are not in its books: it refused them.
fn wire(account: &Account, minor: i64) -> i64 {
    Stripe.write_amount(account.money(minor)).unwrap_or(minor)
}

fn charge_id(account: &Account) -> String {
    account.psp_reference.replacen("pi_", "ch_", 1)
}
