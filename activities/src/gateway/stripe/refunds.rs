//! What Stripe's answers about refunds mean: <https://docs.stripe.com/api/refunds/object>,
//! <https://docs.stripe.com/refunds#failed-refunds>.
//!
//! Not here: errors, which look alike for every call (`read.rs`), and webhooks (`webhook/later.rs`).

use workflow::payment::{Failure, FailureCategory, Payment};
use workflow::port::gateway::{Operation, Outcome, Standing};

use super::amounts;
use super::read::unreadable;
use super::wire::{Refund, RefundList, Text};

/// The answer to a refund, or to a question about one.
pub(super) fn read(operation: Operation, payment: &Payment, body: &[u8]) -> Outcome {
    if operation == Operation::Inquire && payment.psp_reference.is_none() {
        return look_for(payment, body);
    }
    match serde_json::from_slice::<Refund<'_>>(body) {
        Ok(refund) => standing(operation, payment, &refund),
        Err(_) => unreadable(operation, "the answer is not a refund that can be read"),
    }
}

/// Our refund among all that were made of the intent. That it is not among them is the evidence that it was not made.
fn look_for(payment: &Payment, body: &[u8]) -> Outcome {
    let operation = Operation::Inquire;
    let Ok(list) = serde_json::from_slice::<RefundList<'_>>(body) else {
        return unreadable(operation, "the answer is not a list of refunds that can be read");
    };
    if list.object.as_ref().map(Text::as_str) != Some("list") {
        return unreadable(operation, "the answer is not a list of refunds");
    }
    let id = payment.id.to_string();
    let is_ours = |refund: &&Refund<'_>| marked(refund) == Some(&id);
    match (list.data.iter().find(is_ours), list.has_more) {
        (Some(refund), _) => standing(operation, payment, refund),
        (None, Some(false)) => Outcome::Approved(Standing::Untouched {
            evidence: "no refund of the intent carries our reference".to_owned(),
        }),
        (None, Some(true) | None) => unreadable(operation, "the intent has more refunds than one page shows"),
    }
}

/// How a refund stands. The caller has checked nothing yet.
fn standing(operation: Operation, payment: &Payment, refund: &Refund<'_>) -> Outcome {
    let id = refund.id.as_ref().and_then(Text::as_id);
    let intent = refund.payment_intent.as_ref().map(Text::as_str);
    let is_marked_otherwise = marked(refund).is_some_and(|mark| *mark != payment.id.to_string());
    if refund.object.as_ref().map(Text::as_str) != Some("refund")
        || intent != payment.charge_reference()
        || is_marked_otherwise
    {
        return unreadable(operation, "the answer is not a refund of this payment");
    }
    let status = refund.status.as_ref().map(Text::as_str);
    match (status, id) {
        (Some("succeeded"), Some(id)) => money(refund).map_or_else(
            || unreadable(operation, "the refund lacks its amount"),
            |money| Outcome::Approved(Standing::Refunded { money, psp_refund: Some(id.to_owned()) }),
        ),
        (Some("pending" | "requires_action"), Some(id)) => {
            // Of a charge that is undone, the name of the charge is the one to keep.
            let name = if payment.refund_of.is_some() { Some(id) } else { payment.psp_reference.as_deref() };
            Outcome::Pending { psp_reference: name.map(str::to_owned) }
        }
        (Some(status @ ("failed" | "canceled")), Some(_)) => gone(payment, refund, status),
        (_, None) => unreadable(operation, "the refund has no id that can be one"),
        (Some(_) | None, Some(_)) => unreadable(operation, "the refund has a status that is not known here"),
    }
}

/// It came to nothing. For a refund that is its end; for a charge that is undone it is the refusal of one call.
fn gone(payment: &Payment, refund: &Refund<'_>, status: &str) -> Outcome {
    let failure = failure(refund, status);
    if payment.refund_of.is_some() { Outcome::Declined(failure) } else { Outcome::Rejected(failure) }
}

/// Why a refund came to nothing.
pub(super) fn failure(refund: &Refund<'_>, status: &str) -> Failure {
    Failure {
        category: FailureCategory::InvalidRequest,
        code: format!("refund_{status}"),
        decline_code: refund.failure_reason.as_ref().and_then(Text::as_code).map(str::to_owned),
        advice: Some("The money is back with the merchant: pay the customer in another way.".to_owned()),
    }
}

fn money(refund: &Refund<'_>) -> Option<workflow::money::Money> {
    let currency = refund.currency.as_ref().and_then(|currency| currency.as_str().parse().ok());
    currency.zip(refund.amount).and_then(|(currency, amount)| amounts::UNITS.read(amount, currency))
}

fn marked<'a>(refund: &'a Refund<'_>) -> Option<&'a str> {
    refund.metadata.as_ref()?.fincore_payment.as_ref().map(Text::as_str)
}
