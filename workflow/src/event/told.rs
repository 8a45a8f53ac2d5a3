//! What PSPs tell, as events: money and reference have to be the ones we asked for, anything else is for a person to judge.
//!
//! Not here: reading what they tell; their gateways do.

use super::{Event, EventKind, Unknown};
use crate::definition::{Goal, State};
use crate::money::Money;
use crate::payment::Payment;
use crate::port::gateway::{News, Outcome, Standing};

impl Event {
    /// What the outcome of a call, or the news of a webhook, means for this payment. Money and reference have to be
    /// the ones we asked for; anything else is for a person to judge.
    #[must_use]
    pub fn of(payment: &Payment, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Approved(standing) => Self::of_standing(payment, standing),
            Outcome::ActionRequired { psp_reference, next_action } => {
                Self::ActionRequired { psp_reference, next_action }
            }
            Outcome::Pending { psp_reference } => Self::Accepted { psp_reference },
            // What was taken cannot be declined any more: it was given up again.
            Outcome::Declined(failure) if payment.state == State::Reconciling && payment.amount_captured_minor > 0 => {
                Self::CaptureFailed { failure }
            }
            Outcome::Declined(failure) => Self::Declined { failure },
            Outcome::Rejected(failure) => Self::Rejected { failure },
            Outcome::Throttled { retry_after_ms } => Self::Throttled { retry_after_ms },
            Outcome::NotSent { why, retry_after_ms } => Self::NotSent { why, retry_after_ms },
            Outcome::Unknown { why, detail } => Self::Unknown { why, detail },
        }
    }

    /// What the news of a webhook means for this payment.
    #[must_use]
    pub fn of_news(payment: &Payment, news: News) -> Self {
        match news {
            News::Outcome(outcome) => Self::of(payment, outcome),
            News::CaptureFailed { failure } => Self::CaptureFailed { failure },
            News::VoidFailed { failure } => Self::VoidFailed { failure },
            News::RefundFailed { money, psp_refund, failure } => Self::RefundFailed { money, psp_refund, failure },
            News::DisputeOpened { reason } => Self::DisputeOpened { reason },
            News::DisputeClosed { verdict } => Self::DisputeClosed { verdict },
            News::ChargedBack { money } => Self::ChargedBack { money },
            News::ChargebackReversed { money } => Self::ChargebackReversed { money },
        }
    }

    /// What news means that comes from a PSP account to which this payment no longer goes. Only money counts: it would be
    /// a second payment of ours, for a person to judge.
    #[must_use]
    pub fn of_former(payment: &Payment, news: &News) -> Option<Self> {
        let event = Self::of_news(payment, news.clone()).at_former(payment);
        (event.kind() == EventKind::AmountsDisagree).then_some(event)
    }

    /// The same event, told by a PSP account to which this payment no longer goes.
    #[must_use]
    pub fn at_former(self, payment: &Payment) -> Self {
        let expected = payment.asked();
        let captured = self.kind() == EventKind::Captured;
        if let Self::Authorized { psp_reference, money: seen } | Self::Captured { psp_reference, money: seen } = self {
            return Self::AmountsDisagree { psp_reference, expected, seen, captured };
        }
        self
    }

    /// How long the PSP, or our circuit breaker, asks to wait before the next attempt.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        if let Self::NotSent { retry_after_ms, .. } | Self::Throttled { retry_after_ms } = self {
            *retry_after_ms
        } else {
            None
        }
    }

    fn of_standing(payment: &Payment, standing: Standing) -> Self {
        let is_ours = |reference: &String| payment.psp_reference.as_ref().is_none_or(|ours| ours == reference);
        match standing {
            Standing::Registered { psp_reference } => Self::Registered { psp_reference },
            Standing::Authorized { psp_reference, money } => {
                let expected = payment.asked();
                if money == expected && is_ours(&psp_reference) {
                    Self::Authorized { psp_reference, money }
                } else {
                    Self::AmountsDisagree { psp_reference, expected, seen: money, captured: false }
                }
            }
            Standing::Captured { psp_reference, money } => {
                let expected = payment.to_capture();
                if money == expected && is_ours(&psp_reference) {
                    Self::Captured { psp_reference, money }
                } else {
                    Self::AmountsDisagree { psp_reference, expected, seen: money, captured: true }
                }
            }
            Standing::Voided { psp_reference } => Self::Voided { psp_reference },
            Standing::Refunded { money, psp_refund } if payment.refund_of.is_some() => {
                let expected = payment.asked();
                match psp_refund {
                    None if money == expected => Self::Refunded { money, psp_refund },
                    Some(name) if money == expected && is_ours(&name) => {
                        Self::Refunded { money, psp_refund: Some(name) }
                    }
                    Some(psp_reference) => {
                        Self::AmountsDisagree { psp_reference, expected, seen: money, captured: false }
                    }
                    None => Self::Unknown {
                        why: Unknown::Unreadable,
                        detail: format!("a refund of {money} without a name, where {expected} was asked"),
                    },
                }
            }
            // Whatever it says, it was said before: the table need not look at its amount again.
            Standing::Refunded { money, psp_refund } if payment.refunds.know(psp_refund.as_deref()) => {
                Self::Refunded { money, psp_refund }
            }
            Standing::Refunded { money, psp_refund } => {
                let expected = Money { amount_minor: payment.kept_minor(), currency: payment.currency };
                // What is to be undone is undone as a whole; what somebody gave back at the PSP may be a part.
                let part = payment.goal != Goal::Reverse
                    && money.currency == expected.currency
                    && money.amount_minor < expected.amount_minor;
                match &payment.psp_reference {
                    Some(psp_reference) if money != expected && !part => {
                        let psp_reference = psp_reference.clone();
                        Self::AmountsDisagree { psp_reference, expected, seen: money, captured: true }
                    }
                    Some(_) | None => Self::Refunded { money, psp_refund },
                }
            }
            Standing::Untouched { evidence } => Self::Untouched { evidence },
        }
    }
}
