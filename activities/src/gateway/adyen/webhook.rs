//! Reading webhook items: <https://docs.adyen.com/api-explorer/Webhooks/1/overview> (events),
//! <https://docs.adyen.com/development-resources/webhooks/handle-webhook-events> (deliveries), and the pages named at
//! each event.
//!
//! `success` says whether the event's wish came true, in words: the text `true` and nothing else. An item about a
//! modification names it as `pspReference` and the payment as `originalReference`. Items may come twice, late and in
//! any order, so none is read as the absence of another: a refusal never means that an earlier success was undone.
//!
//! Not here: signatures. What is read here must have been verified before. Which payment, what happened and how much is
//! read from what is signed; of the rest only which of the two a reversal was, and codes for people.

use serde::Deserialize;
use workflow::event::DisputeVerdict;
use workflow::ids::PaymentId;
use workflow::money::Money;
use workflow::payment::{Failure, FailureCategory};
use workflow::port::gateway::{News, Notification, Outcome, Standing, Unreadable};

use super::read;
use super::refusals::{self, Told};
use super::wire::{Amount, Text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    event_code: Text<'a>,
    #[serde(borrow)]
    event_date: Option<Text<'a>>,
    #[serde(borrow)]
    psp_reference: Text<'a>,
    #[serde(borrow)]
    original_reference: Option<Text<'a>>,
    #[serde(borrow)]
    merchant_reference: Option<Text<'a>>,
    #[serde(borrow)]
    success: Text<'a>,
    #[serde(borrow)]
    amount: Option<Amount<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    additional_data: Option<AdditionalData<'a>>,
}

#[derive(Deserialize)]
struct AdditionalData<'a> {
    #[serde(rename = "modification.action", borrow)]
    modification_action: Option<Text<'a>>,
    #[serde(rename = "refusalReasonRaw", borrow)]
    refusal_reason_raw: Option<Text<'a>>,
    #[serde(rename = "merchantAdviceCode", borrow)]
    merchant_advice_code: Option<Text<'a>>,
    #[serde(rename = "chargebackReasonCode", borrow)]
    chargeback_reason_code: Option<Text<'a>>,
}

/// What came of the event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Success {
    True,
    False,
}

/// What an authentic item says.
pub(super) fn read(item: &[u8]) -> Result<Notification, Unreadable> {
    let item: Item<'_> = serde_json::from_slice(item).map_err(|_| Unreadable)?;
    let event_type = item.event_code.as_code().ok_or(Unreadable)?.to_owned();
    let success = match item.success.as_str() {
        "true" => Success::True,
        "false" => Success::False,
        _neither => return Err(Unreadable),
    };
    let psp_reference = payment_reference(&item)?;
    Ok(Notification {
        event_id: event_id(&item, &event_type)?,
        payment_id: payment_id(&item),
        news: news(&event_type, success, &item, psp_reference.as_deref())?,
        psp_reference,
        event_type,
        happened_at: item.event_date.as_ref().and_then(|at| at.as_str().parse().ok()),
    })
}

/// Items have no id. What happened to what, and with which success, is the same on every delivery, and different for
/// different facts: a capture and its later failure, a refusal and a later authorization, the steps of a dispute, which
/// share one reference. The time is left out, because it may differ between deliveries of one item.
fn event_id(item: &Item<'_>, event_type: &str) -> Result<String, Unreadable> {
    let reference = item.psp_reference.as_event_name().ok_or(Unreadable)?;
    Ok(format!("{event_type}:{reference}:{}", item.success.as_str()))
}

/// Adyen's name for the payment. Only an authorization's own reference is one; where any other event does not say which
/// payment it is about, our reference has to.
fn payment_reference(item: &Item<'_>) -> Result<Option<String>, Unreadable> {
    let named = match item.event_code.as_str() {
        "AUTHORISATION" => Some(&item.psp_reference),
        _modification => item.original_reference.as_ref().filter(|reference| !reference.as_str().is_empty()),
    };
    named.map(|reference| reference.as_reference().map(str::to_owned).ok_or(Unreadable)).transpose()
}

/// Our reference, which every call of ours carries and which is signed. The copy in the metadata is not.
fn payment_id(item: &Item<'_>) -> Option<PaymentId> {
    item.merchant_reference.as_ref()?.as_str().parse().ok()
}

fn news(
    event_type: &str,
    success: Success,
    item: &Item<'_>,
    payment: Option<&str>,
) -> Result<Option<News>, Unreadable> {
    Ok(match (event_type, success) {
        ("AUTHORISATION", Success::True) => {
            approved(Standing::Authorized { psp_reference: named(payment)?, money: money(item)? })
        }
        ("AUTHORISATION", Success::False) => Some(News::Outcome(Outcome::Declined(refused(item)))),
        // The customer never took the offer up. Said as a decline and not as a release: should an authorization have
        // come all the same, a decline takes nothing from it.
        ("OFFER_CLOSED", Success::True) => Some(News::Outcome(Outcome::Declined(abandoned()))),
        ("CAPTURE", Success::True) => {
            approved(Standing::Captured { psp_reference: named(payment)?, money: money(item)? })
        }
        ("CANCELLATION" | "TECHNICAL_CANCEL" | "EXPIRE", Success::True) => approved(voided(payment)),
        ("CANCEL_OR_REFUND" | "REVERSAL", Success::True) => match modification_action(item) {
            Some("cancel") => approved(voided(payment)),
            Some("refund") => approved(Standing::Refunded { money: money(item)?, psp_refund: modification(item) }),
            Some(_) | None => None,
        },
        ("REFUND", Success::True) => {
            approved(Standing::Refunded { money: money(item)?, psp_refund: modification(item) })
        }
        _later => later_news(event_type, success, item)?,
    })
}

/// What went wrong with money that was on its way or had arrived: <https://docs.adyen.com/online-payments/capture>
/// ("Failed capture"), <https://docs.adyen.com/online-payments/refund> ("Failed refund") and
/// <https://docs.adyen.com/risk-management/disputes-api/dispute-notifications>.
fn later_news(event_type: &str, success: Success, item: &Item<'_>) -> Result<Option<News>, Unreadable> {
    Ok(match (event_type, success) {
        ("CAPTURE", Success::False) => Some(News::CaptureFailed { failure: failed("capture_refused") }),
        ("CAPTURE_FAILED", Success::True) => Some(News::CaptureFailed { failure: failed("capture_failed") }),
        ("CANCELLATION" | "TECHNICAL_CANCEL" | "CANCEL_OR_REFUND" | "REVERSAL", Success::False) => {
            Some(News::VoidFailed { failure: failed("cancel_refused") })
        }
        ("REFUND", Success::False) => Some(News::RefundFailed {
            money: money(item)?,
            psp_refund: modification(item),
            failure: failed("refund_refused"),
        }),
        ("REFUND_FAILED", Success::True) => Some(News::RefundFailed {
            money: money(item)?,
            psp_refund: modification(item),
            failure: failed("refund_failed"),
        }),
        ("REFUNDED_REVERSED", Success::True) => Some(News::RefundFailed {
            money: money(item)?,
            psp_refund: modification(item),
            failure: failed("refund_returned"),
        }),
        ("NOTIFICATION_OF_CHARGEBACK", Success::True) => Some(News::DisputeOpened { reason: dispute_reason(item) }),
        ("CHARGEBACK" | "SECOND_CHARGEBACK", Success::True) => Some(News::ChargedBack { money: money(item)? }),
        ("CHARGEBACK_REVERSED", Success::True) => Some(News::ChargebackReversed { money: money(item)? }),
        ("PREARBITRATION_WON", Success::True) => Some(News::DisputeClosed { verdict: DisputeVerdict::Won }),
        ("PREARBITRATION_LOST", Success::True) => Some(News::DisputeClosed { verdict: DisputeVerdict::Lost }),
        _other => None,
    })
}

fn approved(standing: Standing) -> Option<News> {
    Some(News::Outcome(Outcome::Approved(standing)))
}

fn voided(payment: Option<&str>) -> Standing {
    Standing::Voided { psp_reference: payment.map(str::to_owned) }
}

fn named(payment: Option<&str>) -> Result<String, Unreadable> {
    payment.map(str::to_owned).ok_or(Unreadable)
}

/// A no to a capture or a refund. Adyen's words for why are for people, and they find them in the Customer Area.
fn failed(code: &str) -> Failure {
    Failure {
        category: FailureCategory::InvalidRequest,
        code: code.to_owned(),
        decline_code: None,
        advice: Some("The PSP or the card scheme refused it: look the payment up in the Customer Area.".to_owned()),
    }
}

/// The scheme's code for why; the words beside it are free.
fn dispute_reason(item: &Item<'_>) -> Option<String> {
    item.additional_data.as_ref()?.chargeback_reason_code.as_ref()?.as_code().map(str::to_owned)
}

/// The item's own name, which news of one refund has in common.
fn modification(item: &Item<'_>) -> Option<String> {
    item.psp_reference.as_reference().map(str::to_owned)
}

fn modification_action<'a>(item: &'a Item<'_>) -> Option<&'a str> {
    item.additional_data.as_ref()?.modification_action.as_ref().map(Text::as_str)
}

fn money(item: &Item<'_>) -> Result<Money, Unreadable> {
    item.amount.as_ref().and_then(read::money).ok_or(Unreadable)
}

fn refused(item: &Item<'_>) -> Failure {
    let additional = item.additional_data.as_ref();
    refusals::failure(&Told {
        otherwise: "2",
        reason_code: None,
        reason: item.reason.as_ref(),
        raw: additional.and_then(|data| data.refusal_reason_raw.as_ref()),
        advice: additional.and_then(|data| data.merchant_advice_code.as_ref()),
    })
}

fn abandoned() -> Failure {
    Failure {
        category: FailureCategory::Authentication,
        code: "offer_closed".to_owned(),
        decline_code: None,
        advice: Some(
            "The customer did not finish in time: start another charge while the customer is present.".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests;
