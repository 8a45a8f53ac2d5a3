//! News that comes long after the capture: disputes (<https://docs.stripe.com/disputes/how-disputes-work>) and refunds that
//! somebody made or that failed (<https://docs.stripe.com/refunds#failed-refunds>).
//!
//! Both name the intent and not our payment, unless we made the refund ourselves. Not here: what it does to the payment.

use workflow::definition::Kind;
use workflow::event::DisputeVerdict;
use workflow::money::Money;
use workflow::port::gateway::{News, Notification, Outcome, Standing, Unreadable};

use super::super::amounts::UNITS;
use super::super::refunds;
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
    Ok(Notification { event_id, event_type, happened_at: None, payment_id: None, psp_reference, news })
}

/// A refund that somebody made at the PSP counts from its creation: money on its way to the customer is not ours any more.
/// One that we asked for is waited for. Several events tell of one refund; they are one event here, named by the refund and
/// by what became of it.
pub(super) fn about_refund(event_type: String, refund: &Refund<'_>) -> Result<Notification, Unreadable> {
    let id = refund.id.as_ref().and_then(Text::as_id).ok_or(Unreadable)?;
    let money = money(refund.amount, refund.currency.as_ref())?;
    let payment_id = super::payment_id(refund.metadata.as_ref());
    let is_refund_of_ours = payment_id.is_some_and(|id| id.kind() == Kind::Refund);
    let status = refund.status.as_ref().map(Text::as_str);
    let refunded = || News::Outcome(Outcome::Approved(Standing::Refunded { money, psp_refund: Some(id.to_owned()) }));
    let (event_id, news) = match status {
        Some("pending" | "requires_action") if is_refund_of_ours => {
            (format!("{id}-pending"), News::Outcome(Outcome::Pending { psp_reference: Some(id.to_owned()) }))
        }
        Some("succeeded" | "pending" | "requires_action") => (format!("{id}-refunded"), refunded()),
        Some(status @ ("failed" | "canceled")) => {
            let failure = refunds::failure(refund, status);
            (format!("{id}-failed"), News::RefundFailed { money, psp_refund: Some(id.to_owned()), failure })
        }
        Some(_) | None => return Err(Unreadable),
    };
    Ok(Notification {
        event_id,
        event_type,
        happened_at: None,
        payment_id,
        psp_reference: refund.payment_intent.as_ref().and_then(Text::as_id).map(str::to_owned),
        news: Some(news),
    })
}

fn money(amount: Option<i64>, currency: Option<&Text<'_>>) -> Result<Money, Unreadable> {
    let currency = currency.and_then(|currency| currency.as_str().parse().ok()).ok_or(Unreadable)?;
    amount.and_then(|amount| UNITS.read(amount, currency)).ok_or(Unreadable)
}
