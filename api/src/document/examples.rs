//! Charges as they are answered, one for each way they can stand that a client has to act on.

use serde_json::{Value, json};
use workflow::view::openapi::{example_charge, example_history_row};

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

/// With its history beside it.
pub(crate) fn expanded() -> Value {
    let mut charge = example_charge();
    let url = "/v1/charges/ch_0197f3c2a1b47c6e8d5f00112233aaba/history";
    charge["history"] = json!({"object": "list", "data": [example_history_row()], "has_more": false, "url": url});
    charge
}
