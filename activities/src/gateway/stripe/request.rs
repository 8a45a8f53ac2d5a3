//! Requests to Stripe, as data: <https://docs.stripe.com/api/payment_intents>.
//!
//! Under one idempotency key a request must be the same on every attempt, byte for byte, or Stripe refuses it. So
//! only what cannot change while the key is in use goes into a body. In particular a cancellation gives no reason:
//! why the money is released may change between two attempts, and our history knows it better. Our reference
//! goes along with every call that takes metadata. A confirmation and a cancellation take none: they name the intent.

use url::form_urlencoded::Serializer;
use workflow::payment::Payment;
use workflow::port::gateway::{Call, Method, Operation, Request};

use super::{API_VERSION, amounts};

/// The request for a call. A call about an intent needs its id; without one the path leads nowhere and is refused.
pub(super) fn build(call: Call<'_>) -> Request {
    match call.operation {
        Operation::Register => post(call.key, "/v1/payment_intents".to_owned(), register(call.payment)),
        Operation::Authorize => post(call.key, intent_path(call.payment, "/confirm"), confirm(call.payment)),
        Operation::Capture => post(call.key, intent_path(call.payment, "/capture"), capture(call.payment)),
        Operation::Void => post(call.key, intent_path(call.payment, "/cancel"), String::new()),
        Operation::Refund => post(call.key, "/v1/refunds".to_owned(), refund(call.payment)),
        Operation::Inquire if call.payment.refund_of.is_some() => get(refund_path(call.payment)),
        // What the customer brings back goes to Stripe by itself; what came of it can be asked.
        Operation::Complete | Operation::Inquire => inquire(call.payment),
    }
}

fn register(payment: &Payment) -> String {
    let mut form = Serializer::new(String::with_capacity(384));
    form.append_pair("amount", &amounts::to_wire_text(payment.asked()));
    form.append_pair("currency", &payment.currency.to_string());
    form.append_pair("payment_method", &payment.payment_method);
    form.append_pair("payment_method_types[]", "card");
    // Always two calls: the capture is ours to make, whatever the client wants to come of the money.
    form.append_pair("capture_method", "manual");
    form.append_pair("metadata[fincore_payment]", &payment.id.to_string());
    form.append_pair("metadata[fincore_merchant]", &payment.merchant_id.to_string());
    if let Some(description) = &payment.description {
        form.append_pair("description", description);
    }
    form.finish()
}

fn confirm(payment: &Payment) -> String {
    let mut form = Serializer::new(String::new());
    if let Some(return_url) = &payment.return_url {
        form.append_pair("return_url", return_url);
    }
    form.finish()
}

fn capture(payment: &Payment) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("amount_to_capture", &amounts::to_wire_text(payment.to_capture()));
    form.append_pair("metadata[fincore_payment]", &payment.id.to_string());
    form.finish()
}

fn refund(payment: &Payment) -> String {
    let mut form = Serializer::new(String::with_capacity(128));
    form.append_pair("payment_intent", payment.charge_reference().unwrap_or_default());
    form.append_pair("amount", &amounts::to_wire_text(payment.to_refund()));
    if let Some(reason) = payment.refund_of.as_ref().and_then(|of| of.reason) {
        form.append_pair("reason", reason.into());
    }
    form.append_pair("metadata[fincore_payment]", &payment.id.to_string());
    form.finish()
}

/// Asks with the charge included: only the charge tells what was refunded.
fn inquire(payment: &Payment) -> Request {
    get(intent_path(payment, "?expand[]=latest_charge"))
}

/// A refund is asked for by its name, or, as long as we do not know it, looked for among those of its intent.
fn refund_path(payment: &Payment) -> String {
    match &payment.psp_reference {
        Some(name) => path("/v1/refunds/", name, ""),
        None => path("/v1/refunds?limit=100&payment_intent=", payment.charge_reference().unwrap_or("-"), ""),
    }
}

fn intent_path(payment: &Payment, rest: &str) -> String {
    path("/v1/payment_intents/", payment.psp_reference.as_deref().unwrap_or("-"), rest)
}

/// A path with a name of the PSP's in it. Ids are stored only after they were checked; any other character is written as
/// one that no id has, so that no reference can lead elsewhere.
fn path(before: &str, id: &str, rest: &str) -> String {
    let mut path = String::with_capacity(before.len() + id.len() + rest.len());
    path.push_str(before);
    path.extend(id.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' }));
    path.push_str(rest);
    path
}

fn get(path: String) -> Request {
    let headers = vec![("stripe-version", API_VERSION.to_owned())];
    Request { method: Method::Get, path, headers, body: String::new() }
}

fn post(key: &str, path: String, body: String) -> Request {
    let headers = vec![
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("idempotency-key", key.to_owned()),
        ("stripe-version", API_VERSION.to_owned()),
    ];
    Request { method: Method::Post, path, headers, body }
}
