//! What Stripe's answers mean. Total: every status and every body has a meaning, and what cannot be read is unknown,
//! never a decline.
//!
//! Sources: <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-low-level>,
//! <https://docs.stripe.com/payments/paymentintents/lifecycle>.

use workflow::event::Unknown;
use workflow::money::Money;
use workflow::payment::{Failure, FailureCategory, NextAction, Payment};
use workflow::port::gateway::{Answer, Operation, Outcome, Standing};

use super::wire::{ApiError, ErrorDoc, Intent, LatestCharge, PaymentError, Status, Text};
use super::{amounts, declines, refunds};

pub(super) fn read(operation: Operation, payment: &Payment, answer: &Answer) -> Outcome {
    match answer.status {
        200..=299 if payment.refund_of.is_some() || operation == Operation::Refund => {
            refunds::read(operation, payment, &answer.body)
        }
        200..=299 => success(operation, payment, &answer.body),
        // Rate limits and object locks: turned away before anything began.
        429 => Outcome::Throttled { retry_after_ms: answer.retry_after_ms },
        401 | 403 => Outcome::NotSent {
            why: format!("{operation}: the PSP refuses our API key (HTTP {})", answer.status),
            retry_after_ms: answer.retry_after_ms,
        },
        400..=499 => refusal(operation, payment, answer),
        500..=599 => server_error(operation, answer),
        status => unreadable(operation, &format!("the HTTP status {status} is none the API gives")),
    }
}

fn success(operation: Operation, payment: &Payment, body: &[u8]) -> Outcome {
    let Ok(intent) = serde_json::from_slice::<Intent<'_>>(body) else {
        return unreadable(operation, "the answer is not an intent that can be read");
    };
    if intent.object.as_ref().map(Text::as_str) != Some("payment_intent") {
        return unreadable(operation, "the answer is not an intent");
    }
    if let Some(contradiction) = belongs_elsewhere(payment, &intent) {
        return unreadable(operation, contradiction);
    }
    if operation == Operation::Inquire
        && let Some(money) = refunded(payment, &intent)
    {
        return Outcome::Approved(Standing::Refunded { money, psp_refund: None });
    }
    standing(operation, &intent)
}

/// Why an intent is not this payment's, if it is not.
fn belongs_elsewhere(payment: &Payment, intent: &Intent<'_>) -> Option<&'static str> {
    let id = intent.id.as_ref().and_then(Text::as_id);
    let ours = intent.metadata.as_ref().and_then(|metadata| metadata.fincore_payment.as_ref());
    if id.is_none() {
        return Some("the intent has no id that can be one");
    }
    if payment.charge_reference().is_some_and(|asked| Some(asked) != id) {
        return Some("the answer is about another intent than we asked about");
    }
    if ours.is_some_and(|ours| ours.as_str() != payment.charge_id().to_string()) {
        return Some("the intent is marked as another payment's");
    }
    None
}

/// How an intent stands, as the answer to `operation`. The caller has checked whose it is. Where the status says that
/// the operation did not do what its success promises, nothing is proven.
pub(super) fn standing(operation: Operation, intent: &Intent<'_>) -> Outcome {
    use Operation::{Authorize, Capture, Complete, Inquire, Refund, Register, Void};

    let (Some(id), Some(status)) = (intent.id.as_ref().and_then(Text::as_id), intent.status) else {
        return unreadable(operation, "the intent lacks an id or a status");
    };
    let psp_reference = id.to_owned();
    match (status, operation) {
        (Status::Succeeded, _) => match money(intent, intent.amount_received) {
            Some(money) => Outcome::Approved(Standing::Captured { psp_reference, money }),
            None => unreadable(operation, "the intent lacks the amount that was captured"),
        },
        (Status::Canceled, _) => Outcome::Approved(Standing::Voided { psp_reference: Some(psp_reference) }),
        (Status::Processing, _) => Outcome::Pending { psp_reference: Some(psp_reference) },
        (Status::RequiresCapture, Register | Authorize | Complete | Inquire) => {
            match money(intent, intent.amount_capturable) {
                Some(money) => Outcome::Approved(Standing::Authorized { psp_reference, money }),
                None => unreadable(operation, "the intent lacks the amount that is reserved"),
            }
        }
        (Status::RequiresAction, Register | Authorize | Complete | Inquire) => {
            Outcome::ActionRequired { psp_reference: Some(psp_reference), next_action: next_action(intent) }
        }
        (Status::RequiresConfirmation | Status::RequiresPaymentMethod, Register) => {
            Outcome::Approved(Standing::Registered { psp_reference })
        }
        (Status::RequiresPaymentMethod, Authorize | Complete | Inquire) if intent.last_payment_error.is_some() => {
            Outcome::Declined(last_failure(intent.last_payment_error.as_ref()))
        }
        (Status::RequiresConfirmation | Status::RequiresPaymentMethod, Complete | Inquire) => {
            let evidence = "the intent was never confirmed".to_owned();
            Outcome::Approved(Standing::Untouched { evidence })
        }
        (Status::Unheard, _) => unreadable(operation, "the intent has a status that is not known here"),
        (Status::RequiresCapture | Status::RequiresAction, Capture | Void | Refund)
        | (Status::RequiresConfirmation | Status::RequiresPaymentMethod, Authorize | Capture | Void | Refund) => {
            unreadable(operation, "the intent stands as if the request had not been made")
        }
    }
}

/// Money that was given back although no answer told us, seen on the charge. Only once we know of the capture: a
/// refund of money that we never counted is news about the capture first.
fn refunded(payment: &Payment, intent: &Intent<'_>) -> Option<Money> {
    let Some(LatestCharge::Expanded { amount, amount_captured, amount_refunded }) = intent.latest_charge else {
        return None;
    };
    // What a partial capture left is released, and counted as refunded too.
    let released = amount.saturating_sub(amount_captured).max(0);
    let total = money(intent, Some(amount_refunded.saturating_sub(released).max(0)))?;
    let kept = payment.kept_minor();
    let all_is_back = kept > 0 && total.amount_minor - payment.amount_refunded_minor >= kept;
    (intent.status == Some(Status::Succeeded) && all_is_back && total.currency == payment.currency)
        .then_some(Money { amount_minor: kept, currency: payment.currency })
}

fn money(intent: &Intent<'_>, amount: Option<i64>) -> Option<Money> {
    let currency = intent.currency.as_ref()?.as_str().parse().ok()?;
    amounts::UNITS.read(amount?, currency)
}

fn next_action(intent: &Intent<'_>) -> NextAction {
    let redirect = intent.next_action.as_ref().and_then(|action| action.redirect_to_url.as_ref());
    redirect
        .and_then(|redirect| redirect.url.as_ref())
        .and_then(Text::as_page_url)
        .map_or(NextAction::UseSdk {}, |url| NextAction::RedirectToUrl { url: url.to_owned() })
}

fn last_failure(error: Option<&PaymentError<'_>>) -> Failure {
    declines::failure(
        error.and_then(|error| error.code.as_ref()),
        error.and_then(|error| error.decline_code.as_ref()),
        error.and_then(|error| error.advice_code.as_ref()),
    )
}

fn refusal(operation: Operation, payment: &Payment, answer: &Answer) -> Outcome {
    let status = answer.status;
    let Ok(ErrorDoc { error }) = serde_json::from_slice::<ErrorDoc<'_>>(&answer.body) else {
        // Something on the way may have said this; what it means for the request is not known.
        return unreadable(operation, &format!("HTTP {status} without the API's error document"));
    };
    let code = error.code.as_ref().and_then(Text::as_code).unwrap_or_default();
    if code == "lock_timeout" {
        return Outcome::Throttled { retry_after_ms: answer.retry_after_ms };
    }
    // 409: another request with our key is under way, and it decides. 424: something behind the PSP failed.
    if matches!(status, 409 | 424) {
        let detail = format!("{operation}: HTTP {status} {code}: what came of the payment is decided elsewhere");
        return Outcome::Unknown { why: Unknown::ServerError, detail };
    }
    if let Some(contradiction) = error.payment_intent.as_ref().and_then(|intent| belongs_elsewhere(payment, intent)) {
        return unreadable(operation, contradiction);
    }
    match error.kind.as_str() {
        "card_error" => card_error(operation, &error),
        "idempotency_error" => key_reused(operation),
        _other => invalid_request(operation, payment, status, code, &error),
    }
}

/// The issuer said no. It ends the payment only where that proves that no money is held.
fn card_error(operation: Operation, error: &ApiError<'_>) -> Outcome {
    let failure = declines::failure(error.code.as_ref(), error.decline_code.as_ref(), error.advice_code.as_ref());
    let status = error.payment_intent.as_ref().and_then(|intent| intent.status);
    match operation {
        Operation::Register | Operation::Authorize => match status {
            Some(Status::RequiresCapture | Status::Succeeded | Status::Processing) => {
                unreadable(operation, "a card error about an intent that is not declined")
            }
            Some(_) | None => Outcome::Declined(failure),
        },
        Operation::Capture if status == Some(Status::RequiresPaymentMethod) => Outcome::Declined(failure),
        // The authorization may still stand: an inquiry will tell.
        Operation::Capture | Operation::Void | Operation::Refund => Outcome::Rejected(failure),
        Operation::Complete | Operation::Inquire => unreadable(operation, "a card error in answer to an inquiry"),
    }
}

/// Our key came with other parameters before. That first request may have moved money, unless it could not.
fn key_reused(operation: Operation) -> Outcome {
    match operation {
        Operation::Authorize | Operation::Complete | Operation::Inquire => {
            unreadable(operation, "the idempotency key was used before with other parameters")
        }
        Operation::Register | Operation::Capture | Operation::Void | Operation::Refund => Outcome::Rejected(Failure {
            category: FailureCategory::InvalidRequest,
            code: "idempotency_error".to_owned(),
            decline_code: None,
            advice: Some("The idempotency key was used before with other parameters; nothing was done.".to_owned()),
        }),
    }
}

fn invalid_request(operation: Operation, payment: &Payment, status: u16, code: &str, error: &ApiError<'_>) -> Outcome {
    if matches!(operation, Operation::Authorize | Operation::Capture | Operation::Void) {
        // The refusal shows how the intent stands: that is better evidence than the refusal itself.
        if let Some(intent) = &error.payment_intent
            && (code == "payment_intent_unexpected_state" || is_conclusive(operation, intent.status))
        {
            return standing(operation, intent);
        }
        if code == "payment_intent_unexpected_state" {
            return unreadable(operation, "the intent is in another state than expected, and which one is not said");
        }
    }
    // What we stored the id of existed. That it cannot be found (another account's key, say) is no evidence.
    if status == 404 && operation != Operation::Register && payment.charge_reference().is_some() {
        return unreadable(operation, "the PSP does not find the intent that it gave us");
    }
    let code = [code, error.kind.as_code().unwrap_or_default()].into_iter().find(|text| !text.is_empty());
    Outcome::Rejected(Failure {
        category: FailureCategory::InvalidRequest,
        code: code.unwrap_or("invalid_request").to_owned(),
        decline_code: None,
        advice: Some(format!("The PSP refused the request itself (HTTP {status}): nothing moved.")),
    })
}

fn is_conclusive(operation: Operation, status: Option<Status>) -> bool {
    match status {
        Some(Status::Succeeded | Status::Canceled | Status::Processing) => true,
        Some(Status::RequiresCapture) => operation == Operation::Authorize,
        Some(
            Status::RequiresAction | Status::RequiresConfirmation | Status::RequiresPaymentMethod | Status::Unheard,
        )
        | None => false,
    }
}

/// A 500 with the API's own error document is stored under the key and replayed: this request will not end
/// otherwise. An inquiry has no key; asked again, it may well be answered.
fn server_error(operation: Operation, answer: &Answer) -> Outcome {
    let status = answer.status;
    let is_final = status == 500
        && operation != Operation::Inquire
        && serde_json::from_slice::<ErrorDoc<'_>>(&answer.body)
            .is_ok_and(|document| document.error.kind.as_str() == "api_error");
    let why = if is_final { Unknown::EndedInError } else { Unknown::ServerError };
    Outcome::Unknown { why, detail: format!("{operation}: HTTP {status}") }
}

pub(super) fn unreadable(operation: Operation, words: &str) -> Outcome {
    Outcome::Unknown { why: Unknown::Unreadable, detail: format!("{operation}: {words}") }
}
