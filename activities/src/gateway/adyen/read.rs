//! What Adyen's answers mean. Total: every status and every body has a meaning, and what cannot be read is unknown,
//! never a decline.
//!
//! Sources: <https://docs.adyen.com/online-payments/build-your-integration/payment-result-codes>,
//! <https://docs.adyen.com/development-resources/error-codes>,
//! <https://docs.adyen.com/development-resources/response-handling> and
//! <https://docs.adyen.com/development-resources/api-idempotency>.
//!
//! An unknown outcome is cleared up by making the same call again, and Adyen repeats its first answer: so nothing here
//! may depend on when an answer comes. A first answer that was an error stays one, and only a webhook tells more.

use workflow::event::Unknown;
use workflow::money::Money;
use workflow::payment::{Failure, FailureCategory, NextAction, Payment};
use workflow::port::gateway::{Answer, Operation, Outcome, Standing};

use super::amounts;
use super::refusals::{self, Told};
use super::wire::{Action, Amount, ErrorDoc, ModificationDoc, PaymentDoc, ResultCode, Text};

/// Error codes that leave open what happened. 000 stands for several causes, unknown ones among them. 703 and 704
/// belong to idempotency: something was unavailable for the moment, or another request with our key was or is being
/// worked on (HTTP 409 or 422). The same call, made again later, is answered.
const UNDECIDED: &[&str] = &["000", "703", "704"];
/// "Original pspReference required". What we stored the reference of existed, so this is no evidence.
const NO_SUCH_PAYMENT: &str = "167";

pub(super) fn read(merchant_account: &str, operation: Operation, payment: &Payment, answer: &Answer) -> Outcome {
    if matches!(operation, Operation::Register | Operation::Inquire) {
        return unreadable(operation, "this PSP has no such call, so no answer to it says anything");
    }
    match answer.status {
        200..=299 if is_for_money(operation) => result(operation, payment, &answer.body),
        200..=299 => received(merchant_account, operation, payment, &answer.body),
        429 => Outcome::Throttled { retry_after_ms: answer.retry_after_ms },
        401 | 403 => Outcome::NotSent {
            why: format!("{operation}: the PSP refuses our API key or merchant account (HTTP {})", answer.status),
            retry_after_ms: answer.retry_after_ms,
        },
        400..=499 => refusal(operation, answer),
        // The documentation does not say whether an error is kept under the key and repeated; and a new key after an
        // authorization that may have been made would be a second one. So it never counts as an end.
        500..=599 => server_error(operation, &format!("HTTP {}", answer.status)),
        status => unreadable(operation, &format!("the HTTP status {status} is none the API gives")),
    }
}

/// Whether a call asks for a reservation: such an answer is a payment's result.
fn is_for_money(operation: Operation) -> bool {
    match operation {
        Operation::Authorize | Operation::Complete => true,
        Operation::Register | Operation::Capture | Operation::Void | Operation::Refund | Operation::Inquire => false,
    }
}

/// The answer to a payment request, or to the details that complete one.
fn result(operation: Operation, payment: &Payment, body: &[u8]) -> Outcome {
    let Ok(document) = serde_json::from_slice::<PaymentDoc<'_>>(body) else {
        return unreadable(operation, "the answer is not a payment's result that can be read");
    };
    if let Some(contradiction) = belongs_elsewhere(payment, &document) {
        return unreadable(operation, contradiction);
    }
    let psp_reference = document.psp_reference.as_ref().and_then(Text::as_reference).map(str::to_owned);
    match document.result_code {
        ResultCode::Authorised | ResultCode::PartiallyAuthorised => {
            authorized(operation, psp_reference, document.amount.as_ref())
        }
        ResultCode::Refused => Outcome::Declined(refused(&document, "2")),
        ResultCode::Cancelled => Outcome::Declined(refused(&document, "15")),
        ResultCode::Pending | ResultCode::Received => Outcome::Pending { psp_reference },
        ResultCode::RedirectShopper | ResultCode::IdentifyShopper | ResultCode::ChallengeShopper => {
            // Such an answer usually names no payment yet: that comes with the result.
            Outcome::ActionRequired { psp_reference, next_action: next_action(document.action.as_ref()) }
        }
        // Not a decline: the acquirer or Adyen failed, and the authorization's webhook tells what came of it.
        ResultCode::Error => server_error(operation, "the payment ended in an error at the PSP"),
        ResultCode::Unheard => unreadable(operation, "the payment has a result that is not known here"),
    }
}

/// Why an answer is not this payment's, if it is not.
fn belongs_elsewhere(payment: &Payment, document: &PaymentDoc<'_>) -> Option<&'static str> {
    let theirs = document.psp_reference.as_ref();
    let ours = document.merchant_reference.as_ref();
    if theirs.is_some_and(|reference| reference.as_reference().is_none()) {
        return Some("the payment's reference cannot be one");
    }
    if ours.is_some_and(|ours| ours.as_str() != payment.id.to_string()) {
        return Some("the answer is about another payment of ours");
    }
    match (&payment.psp_reference, theirs) {
        (Some(known), Some(theirs)) if theirs.as_str() != known => {
            Some("the answer is about another payment than the one we know")
        }
        (Some(_) | None, Some(_) | None) => None,
    }
}

fn authorized(operation: Operation, psp_reference: Option<String>, amount: Option<&Amount<'_>>) -> Outcome {
    match (psp_reference, amount) {
        (Some(psp_reference), Some(amount)) => match money(amount) {
            Some(money) => Outcome::Approved(Standing::Authorized { psp_reference, money }),
            None => unreadable(operation, "the amount that is reserved cannot be read"),
        },
        // How much it is, the webhook says.
        (Some(psp_reference), None) => Outcome::Pending { psp_reference: Some(psp_reference) },
        (None, Some(_) | None) => unreadable(operation, "the authorization has no reference"),
    }
}

pub(super) fn money(amount: &Amount<'_>) -> Option<Money> {
    let currency = amount.currency.as_str().parse().ok()?;
    amounts::UNITS.read(amount.value, currency)
}

/// `otherwise` is the reason by its code when the answer gives none.
fn refused(document: &PaymentDoc<'_>, otherwise: &'static str) -> Failure {
    let additional = document.additional_data.as_ref();
    refusals::failure(&Told {
        otherwise,
        reason_code: document.refusal_reason_code.as_ref(),
        reason: document.refusal_reason.as_ref(),
        raw: additional.and_then(|data| data.refusal_reason_raw.as_ref()),
        advice: additional.and_then(|data| data.merchant_advice_code.as_ref()),
    })
}

/// A page that is opened by `POST` with a form is nothing that an address alone can do.
fn next_action(action: Option<&Action<'_>>) -> NextAction {
    action
        .filter(|action| action.method.as_ref().is_none_or(|method| method.as_str().eq_ignore_ascii_case("GET")))
        .and_then(|action| action.url.as_ref()?.as_page_url())
        .map_or(NextAction::UseSdk {}, |url| NextAction::RedirectToUrl { url: url.to_owned() })
}

/// The answer to a modification: it was taken, and its webhook tells what came of it.
fn received(merchant_account: &str, operation: Operation, payment: &Payment, body: &[u8]) -> Outcome {
    let Ok(document) = serde_json::from_slice::<ModificationDoc<'_>>(body) else {
        return unreadable(operation, "the answer is not a modification that can be read");
    };
    let account_fits = document.merchant_account.as_ref().is_none_or(|account| account.as_str() == merchant_account);
    let ours = document.payment_reference.as_ref().map(|ours| ours.as_str() == payment.id.to_string());
    let known =
        document.payment_psp_reference.as_ref().map(|theirs| payment.charge_reference() == Some(theirs.as_str()));
    // Whatever it is named by has to be this payment's name, and it has to be named.
    let is_ours = (ours.is_some() || known.is_some()) && ours != Some(false) && known != Some(false);
    if !account_fits || !is_ours {
        return unreadable(operation, "the answer is not about a modification of this payment");
    }
    match document.status.as_ref().map(Text::as_str) {
        // A refund that the client asked for is known by the name of this call.
        Some("received") if payment.refund_of.is_some() => {
            let name = document.psp_reference.as_ref().and_then(Text::as_reference);
            name.map_or_else(
                || unreadable(operation, "the refund has no reference that can be one"),
                |name| Outcome::Pending { psp_reference: Some(name.to_owned()) },
            )
        }
        Some("received") => Outcome::Pending { psp_reference: payment.psp_reference.clone() },
        Some(_) | None => unreadable(operation, "the modification has a status that is not known here"),
    }
}

/// Adyen answers a request that it refuses before it does anything with it.
fn refusal(operation: Operation, answer: &Answer) -> Outcome {
    let status = answer.status;
    let Ok(error) = serde_json::from_slice::<ErrorDoc<'_>>(&answer.body) else {
        // Something on the way may have said this; what it means for the request is not known.
        return unreadable(operation, &format!("HTTP {status} without an error document"));
    };
    let Some(code) = error.error_code.as_code() else {
        return unreadable(operation, &format!("HTTP {status} with an error code that cannot be one"));
    };
    let is_internal = error.error_type.as_ref().is_some_and(|kind| kind.as_str() == "internal");
    if UNDECIDED.contains(&code) || is_internal || status == 409 {
        return server_error(operation, &format!("HTTP {status}, error {code}: what came of it is decided elsewhere"));
    }
    if !is_for_money(operation) && (code == NO_SUCH_PAYMENT || status == 404) {
        return unreadable(operation, "the PSP does not find the payment, which is no evidence");
    }
    Outcome::Rejected(Failure {
        category: FailureCategory::InvalidRequest,
        code: code.to_owned(),
        decline_code: None,
        advice: Some(format!("The PSP refused the request itself (HTTP {status}): nothing moved.")),
    })
}

fn server_error(operation: Operation, words: &str) -> Outcome {
    Outcome::Unknown { why: Unknown::ServerError, detail: format!("{operation}: {words}") }
}

fn unreadable(operation: Operation, words: &str) -> Outcome {
    Outcome::Unknown { why: Unknown::Unreadable, detail: format!("{operation}: {words}") }
}
