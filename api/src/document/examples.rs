//! Charges as they are answered, one for each way they can stand that a client has to act on.

use serde_json::{Value, json};
use workflow::view::openapi::example_charge;

/// The same charge, later.
fn later(changes: Value) -> Value {
    let mut charge = example_charge();
    charge["psp_reference"] = json!("pi_YnqG0c3f");
    charge["updated"] = json!("2026-11-22T19:57:01.456789Z");
    if let Value::Object(changes) = changes {
        for (field, value) in changes {
            charge[field] = value;
        }
    }
    charge
}

/// When the money is there.
pub(crate) fn succeeded() -> Value {
    later(json!({"status": "succeeded", "amount_authorized": 1999, "amount_captured": 1999}))
}

/// When it waits to be captured.
pub(crate) fn authorized() -> Value {
    later(json!({"status": "authorized", "amount_authorized": 1999, "capture_method": "manual"}))
}

/// When the customer has to act.
pub(crate) fn requires_action() -> Value {
    let (page, back) = ("https://psp.example/3ds/YnqG0c3f", "https://shop.example/return");
    later(json!({
        "status": "requires_action",
        "payment_method": "pm_card_authenticationRequired",
        "return_url": back,
        "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": back}}
    }))
}

/// When the answer was no.
pub(crate) fn failed() -> Value {
    later(json!({
        "status": "failed",
        "payment_method": "pm_card_chargeDeclined",
        "failure": {
            "category": "soft_decline", "code": "card_declined", "decline_code": "generic_decline",
            "advice": "try_again_later"
        }
    }))
}

/// The first row of a history.
pub(crate) fn started() -> Value {
    json!({
        "seq": 1,
        "at": "2026-11-22T19:57:00.123456Z",
        "event": "started",
        "actor": "key_0197f3c2a1b47c6e8d5f00112233aaba",
        "from": null,
        "to": "created",
        "attempt": 0,
        "verdict": "applied",
        "data": {"amount_minor": 1999, "currency": "eur"},
        "payload_hash": null,
        "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    })
}
