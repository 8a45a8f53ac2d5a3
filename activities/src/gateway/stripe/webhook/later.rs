//! News that comes long after the capture: disputes (<https://docs.stripe.com/disputes/how-disputes-work>) and refunds that
//! somebody made or that failed (<https://docs.stripe.com/refunds#failed-refunds>).
//!
//! Both name the intent and not our payment, unless we made the refund ourselves. Not here: what it does to the payment.

use workflow::event::DisputeVerdict;
use workflow::money::Money;
use workflow::payment::{Failure, FailureCategory};
use workflow::port::gateway::{News, Notification, Outcome, Standing, Unreadable};

use super::super::amounts::UNITS;
use super::super::wire::{Dispute, Refund, Text};

pub(super) fn about_dispute(
    event_id: String,
    event_type: String,
    dispute: &Dispute<'_>,
) -> Result<Notification, Unreadable> {
    let amount = || money(dispute.amount, dispute.currency.as_ref());
    let status = dispute.status.as_ref().map(Text::as_str).unwrap_or_default();
    let news = match event_type.as_str() {
        "charge.dispute.created" => {
            let reason = dispute.reason.as_ref().and_then(Text::as_code).map(str::to_owned);
            Some(News::DisputeOpened { reason })
        }
        "charge.dispute.funds_withdrawn" => Some(News::ChargedBack { money: amount()? }),
        "charge.dispute.funds_reinstated" => Some(News::ChargebackReversed { money: amount()? }),
        "charge.dispute.closed" => match status {
            "won" => Some(News::DisputeClosed { verdict: DisputeVerdict::Won }),
            "lost" => Some(News::DisputeClosed { verdict: DisputeVerdict::Lost }),
            "warning_closed" | "prevented" => Some(News::DisputeClosed { verdict: DisputeVerdict::Dropped }),
            _unheard => return Err(Unreadable),
        },
        _other => None,
    };
    let psp_reference = dispute.payment_intent.as_ref().and_then(Text::as_id).map(str::to_owned);
    Ok(Notification { event_id, event_type, payment_id: None, psp_reference, news })
}

/// A refund counts from its creation: money on its way to the customer is not ours any more. Several events tell of
/// one refund; they are one event here, named by the refund and by whether it failed.
pub(super) fn about_refund(event_type: String, refund: &Refund<'_>) -> Result<Notification, Unreadable> {
    let id = refund.id.as_ref().and_then(Text::as_id).ok_or(Unreadable)?;
    let money = money(refund.amount, refund.currency.as_ref())?;
    let (event_id, news) = match refund.status.as_ref().map(Text::as_str) {
        Some("succeeded" | "pending" | "requires_action") => (
            format!("{id}-refunded"),
            News::Outcome(Outcome::Approved(Standing::Refunded { money, psp_refund: Some(id.to_owned()) })),
        ),
        Some(status @ ("failed" | "canceled")) => {
            let code = refund.failure_reason.as_ref().and_then(Text::as_code).unwrap_or("unknown");
            let failure = Failure {
                category: FailureCategory::InvalidRequest,
                code: format!("refund_{status}"),
                decline_code: Some(code.to_owned()),
                advice: Some("The money is back with the merchant: pay the customer in another way.".to_owned()),
            };
            (format!("{id}-failed"), News::RefundFailed { money, psp_refund: Some(id.to_owned()), failure })
        }
        Some(_) | None => return Err(Unreadable),
    };
    Ok(Notification {
        event_id,
        event_type,
        payment_id: super::payment_id(refund.metadata.as_ref()),
        psp_reference: refund.payment_intent.as_ref().and_then(Text::as_id).map(str::to_owned),
        news: Some(news),
    })
}

fn money(amount: Option<i64>, currency: Option<&Text<'_>>) -> Result<Money, Unreadable> {
    let currency = currency.and_then(|currency| currency.as_str().parse().ok()).ok_or(Unreadable)?;
    amount.and_then(|amount| UNITS.read(amount, currency)).ok_or(Unreadable)
}
