//! Requests to Adyen, as data: <https://docs.adyen.com/api-explorer/Checkout/71/overview>.
//!
//! Under one idempotency key a request is the same on every attempt, so only what cannot change while the key is in
//! use goes into a body. Which way a void goes depends on what the row knows by then; each way gives back this payment's
//! money and nothing else, so it does no harm when two attempts go different ways. `reference` is our payment's id on
//! every call, on modifications too: whichever of the two a webhook passes back as `merchantReference`, it is ours.
//!
//! A payment method is written `<shopperReference>/<storedPaymentMethodId>`, split at the last slash. One that does
//! not fit, and an amount that Adyen cannot count, are left out: both are required, so Adyen refuses the request
//! before it does anything, and nothing is guessed.

use serde::Serialize;
use workflow::money::Money;
use workflow::payment::Payment;
use workflow::port::gateway::{Call, Method, Operation, Request};

use super::amounts;

/// The return address of a charge without one. The field is required (error `14_030`); nobody is sent there, because
/// such a charge is made while the customer is away. The name can never exist (RFC 2606).
const NOWHERE: &str = "https://customer-not-present.invalid/";
/// The shortest and the longest shopper reference, in characters.
const SHOPPER_REFERENCE: std::ops::RangeInclusive<usize> = 3..=256;
/// The longest token. Adyen's have 16 characters.
const MAX_TOKEN: usize = 64;

/// The request for a call. A call about a payment needs its reference; without one the path leads nowhere and is
/// refused, except that a void can name the payment by our own reference.
pub(super) fn build(merchant_account: &str, call: Call<'_>) -> Request {
    let payment = call.payment;
    match call.operation {
        Operation::Authorize => post(call.key, "/payments".to_owned(), &authorize(merchant_account, payment)),
        Operation::Complete => post(call.key, "/payments/details".to_owned(), &Complete::of(payment)),
        Operation::Capture => {
            let body = Modification::of_money(merchant_account, payment, payment.to_capture());
            post(call.key, payment_path(payment, "captures"), &body)
        }
        Operation::Void => void(merchant_account, payment, call.key),
        Operation::Refund => {
            let body = Modification::of_money(merchant_account, payment, payment.to_refund());
            post(call.key, payment_path(payment, "refunds"), &body)
        }
        Operation::Register | Operation::Inquire => nothing(),
    }
}

/// The customer came back from the page that the authorization sent them to, with this result:
/// <https://docs.adyen.com/online-payments/build-your-integration/advanced-flow/> ("Submit additional payment details").
#[derive(Serialize)]
struct Complete<'a> {
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    redirect_result: &'a str,
}

impl<'a> Complete<'a> {
    /// Without a result there is nothing that could be completed, and Adyen says so.
    fn of(payment: &'a Payment) -> Self {
        Self { details: Details { redirect_result: payment.action_result.as_deref().unwrap_or_default() } }
    }
}

#[derive(Serialize)]
struct Amount {
    currency: String,
    value: i64,
}

impl Amount {
    fn of(money: Money) -> Option<Self> {
        amounts::to_wire(money).map(|value| Self { currency: money.currency.to_string().to_ascii_uppercase(), value })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authorize<'a> {
    merchant_account: &'a str,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<PaymentMethod<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shopper_reference: Option<&'a str>,
    shopper_interaction: &'static str,
    recurring_processing_model: &'static str,
    return_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_data: Option<AuthenticationData>,
    additional_data: AdditionalData,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentMethod<'a> {
    r#type: &'static str,
    stored_payment_method_id: &'a str,
}

#[derive(Serialize)]
struct AuthenticationData {
    #[serde(rename = "threeDSRequestData")]
    request_data: ThreeDsRequestData,
}

#[derive(Serialize)]
struct ThreeDsRequestData {
    #[serde(rename = "nativeThreeDS")]
    native: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdditionalData {
    manual_capture: &'static str,
}

/// At most 20 characters in a key and 80 in a value.
#[derive(Serialize)]
struct Metadata {
    fincore_payment: String,
    fincore_merchant: String,
}

/// A stored card, as <https://docs.adyen.com/online-payments/tokenization/make-token-payments> has it: with a return
/// address the customer is there and chose the card (`CardOnFile`, and 3-D Secure by redirect, the only way that needs
/// nothing but a browser); without one the merchant charges it while the customer is away (`UnscheduledCardOnFile`).
fn authorize<'a>(merchant_account: &'a str, payment: &'a Payment) -> Authorize<'a> {
    let token = token(&payment.payment_method);
    let model = if payment.return_url.is_some() { "CardOnFile" } else { "UnscheduledCardOnFile" };
    Authorize {
        merchant_account,
        reference: payment.id.to_string(),
        amount: Amount::of(payment.asked()),
        payment_method: token.map(|(_, id)| PaymentMethod { r#type: "scheme", stored_payment_method_id: id }),
        shopper_reference: token.map(|(shopper, _)| shopper),
        shopper_interaction: "ContAuth",
        recurring_processing_model: model,
        return_url: payment.return_url.as_deref().unwrap_or(NOWHERE),
        authentication_data: payment
            .return_url
            .as_ref()
            .map(|_| AuthenticationData { request_data: ThreeDsRequestData { native: "disabled" } }),
        // Always two calls: the capture is ours to make, whatever the client wants to come of the money.
        additional_data: AdditionalData { manual_capture: "true" },
        metadata: Metadata {
            fincore_payment: payment.id.to_string(),
            fincore_merchant: payment.merchant_id.to_string(),
        },
    }
}

/// Shopper and stored payment method; none when the text cannot name them.
fn token(payment_method: &str) -> Option<(&str, &str)> {
    let (shopper, id) = payment_method.rsplit_once('/')?;
    let fits = SHOPPER_REFERENCE.contains(&shopper.chars().count())
        && !shopper.chars().any(char::is_control)
        && (1..=MAX_TOKEN).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some((shopper, id))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Modification<'a> {
    merchant_account: &'a str,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_reference: Option<String>,
}

impl<'a> Modification<'a> {
    fn of_whole(merchant_account: &'a str, payment: &Payment) -> Self {
        Self { merchant_account, reference: payment.id.to_string(), amount: None, payment_reference: None }
    }

    fn of_money(merchant_account: &'a str, payment: &Payment, money: Money) -> Self {
        Self { amount: Amount::of(money), ..Self::of_whole(merchant_account, payment) }
    }
}

/// <https://docs.adyen.com/online-payments/cancel> and <https://docs.adyen.com/online-payments/reversal>: a payment
/// without a known reference is named by ours, one that was captured cannot be cancelled and is reversed.
fn void(merchant_account: &str, payment: &Payment, key: &str) -> Request {
    let whole = Modification::of_whole(merchant_account, payment);
    if payment.psp_reference.is_none() {
        let named = Modification { payment_reference: Some(payment.id.to_string()), ..whole };
        post(key, "/cancels".to_owned(), &named)
    } else if payment.amount_captured_minor > 0 {
        post(key, payment_path(payment, "reversals"), &whole)
    } else {
        post(key, payment_path(payment, "cancels"), &whole)
    }
}

/// There is no call that makes a payment known, and none that asks for one. Neither is ever wanted here; should it be,
/// this can do no harm: nothing is behind it.
fn nothing() -> Request {
    Request { method: Method::Get, path: "/payments".to_owned(), headers: Vec::new(), body: String::new() }
}

/// A path below the payment. References are stored only after they were checked; any other character is written as
/// one that no reference has, so that none can lead elsewhere.
fn payment_path(payment: &Payment, rest: &str) -> String {
    const PAYMENTS: &str = "/payments/";
    let reference = payment.charge_reference().unwrap_or("-");
    let mut path = String::with_capacity(PAYMENTS.len() + reference.len() + 1 + rest.len());
    path.push_str(PAYMENTS);
    path.extend(reference.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }));
    path.push('/');
    path.push_str(rest);
    path
}

fn post(key: &str, path: String, body: &impl Serialize) -> Request {
    let headers = vec![("content-type", "application/json".to_owned()), ("idempotency-key", key.to_owned())];
    let body = serde_json::to_string(body).expect("texts and whole numbers in structs can always be written");
    Request { method: Method::Post, path, headers, body }
}
