//! Events that merchants are told of: which moves are one, and what is said. An event is written in the transaction of the
//! move it tells of, so there is none without the other.
//!
//! Not here: who wants to hear of it (the store knows the endpoints), and telling (`activities::outbound`).

use std::collections::BTreeSet;

use jiff::Timestamp;
use strum::{Display, EnumIter, EnumString, IntoStaticStr, VariantArray};

use crate::decide::Step;
use crate::definition::{EventKind, Goal, State};
use crate::history::Verdict;
use crate::ids::{EndpointId, EventId, MerchantId, PaymentId};
use crate::payment::Payment;
use crate::view::event::EventView;
use crate::view::{self};

/// What happened, as receivers know it. New kinds may be added; those that are there keep their names.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Display, EnumIter, EnumString, IntoStaticStr, VariantArray,
)]
pub enum EventType {
    /// The customer has to act; `next_action` says how.
    #[strum(serialize = "charge.requires_action")]
    ChargeRequiresAction,
    /// The money is reserved and waits for your capture.
    #[strum(serialize = "charge.authorized")]
    ChargeAuthorized,
    /// The money was captured.
    #[strum(serialize = "charge.succeeded")]
    ChargeSucceeded,
    /// The PSP refused; no money moved. `failure` says why.
    #[strum(serialize = "charge.failed")]
    ChargeFailed,
    /// Canceled on request; no money is held.
    #[strum(serialize = "charge.canceled")]
    ChargeCanceled,
    /// Nobody acted in time; no money is held.
    #[strum(serialize = "charge.expired")]
    ChargeExpired,
    /// A person at your operator has to look. Another event tells how it went on.
    #[strum(serialize = "charge.in_review")]
    ChargeInReview,
    /// A capture came to nothing: `amount_captured` is lower than before, or you may capture again.
    #[strum(serialize = "charge.capture_failed")]
    ChargeCaptureFailed,
    /// Captured money was given back: see `amount_refunded`.
    #[strum(serialize = "charge.refunded")]
    ChargeRefunded,
    /// Money that was given back did not arrive: `amount_refunded` is lower than before.
    #[strum(serialize = "charge.refund_failed")]
    ChargeRefundFailed,
    /// The customer disputes the charge; no money has moved for it yet.
    #[strum(serialize = "charge.dispute_opened")]
    ChargeDisputeOpened,
    /// A dispute took money back: see `amount_charged_back`.
    #[strum(serialize = "charge.charged_back")]
    ChargeChargedBack,
    /// A dispute was won: money that it took came back.
    #[strum(serialize = "charge.chargeback_reversed")]
    ChargeChargebackReversed,
    /// A dispute is decided. What money moved for it is told apart.
    #[strum(serialize = "charge.dispute_closed")]
    ChargeDisputeClosed,
    /// A refund was given back.
    #[strum(serialize = "refund.succeeded")]
    RefundSucceeded,
    /// A refund came to nothing, perhaps after it had succeeded: its money can be given back by another one.
    #[strum(serialize = "refund.failed")]
    RefundFailed,
    /// A person at your operator has to look at a refund. Another event tells how it went on.
    #[strum(serialize = "refund.in_review")]
    RefundInReview,
    /// You asked for a test of this endpoint. Sent to that endpoint only, whatever it listens to.
    #[strum(serialize = "webhook_endpoint.test")]
    EndpointTest,
}

impl EventType {
    /// Whether endpoints can choose it: all but the test, which is sent when it is asked for.
    #[must_use]
    pub fn can_be_chosen(self) -> bool {
        self != Self::EndpointTest
    }

    /// What this step tells the merchant, if anything. At most one event a step: where a move changes the state and an
    /// amount, it is named after the state, and its payload shows the amount.
    #[must_use]
    pub fn of(before: &Payment, step: &Step) -> Option<Self> {
        match step.row.fact.verdict {
            Verdict::Stale => None,
            Verdict::Applied if step.payment.refund_of.is_some() => of_refund(before.state, step.payment.state),
            Verdict::Applied => {
                let after = &step.payment;
                of_state(before, after).or_else(|| of_amounts(before, after)).or_else(|| of_kind(step.row.fact.event))
            }
        }
    }
}

/// What it means that a refund came here from elsewhere. Its charge's event tells what that did to the amounts.
fn of_refund(before: State, after: State) -> Option<EventType> {
    if before == after {
        return None;
    }
    match after {
        State::Succeeded => Some(EventType::RefundSucceeded),
        State::Failed => Some(EventType::RefundFailed),
        State::InReview => Some(EventType::RefundInReview),
        State::Created
        | State::Authorizing
        | State::RequiresAction
        | State::AwaitingWebhook
        | State::Reconciling
        | State::Authorized
        | State::Finalizing
        | State::AwaitingCapture
        | State::Canceling
        | State::Refunding
        | State::Canceled
        | State::Expired => None,
    }
}

/// What it means that the payment came here from elsewhere.
fn of_state(before: &Payment, after: &Payment) -> Option<EventType> {
    if before.state == after.state {
        return None;
    }
    match after.state {
        State::RequiresAction => Some(EventType::ChargeRequiresAction),
        // It was to be captured, and that was refused: it waits for another capture.
        State::Authorized if before.goal == Goal::Capture => Some(EventType::ChargeCaptureFailed),
        State::Authorized => Some(EventType::ChargeAuthorized),
        State::Succeeded => Some(EventType::ChargeSucceeded),
        State::Failed => Some(EventType::ChargeFailed),
        State::Canceled => Some(EventType::ChargeCanceled),
        State::Expired => Some(EventType::ChargeExpired),
        State::InReview => Some(EventType::ChargeInReview),
        State::Created
        | State::Authorizing
        | State::AwaitingWebhook
        | State::Reconciling
        | State::Finalizing
        | State::AwaitingCapture
        | State::Canceling
        | State::Refunding => None,
    }
}

/// What it means that money moved.
fn of_amounts(before: &Payment, after: &Payment) -> Option<EventType> {
    let moved = [
        (
            before.amount_refunded_minor,
            after.amount_refunded_minor,
            EventType::ChargeRefunded,
            EventType::ChargeRefundFailed,
        ),
        (
            before.amount_charged_back_minor,
            after.amount_charged_back_minor,
            EventType::ChargeChargedBack,
            EventType::ChargeChargebackReversed,
        ),
    ];
    let moved = moved.into_iter().find(|(was, is, ..)| was != is);
    let moved = moved.map(|(was, is, grew, shrank)| if is > was { grew } else { shrank });
    let lost = after.amount_captured_minor < before.amount_captured_minor;
    moved.or_else(|| lost.then_some(EventType::ChargeCaptureFailed))
}

/// What an event means that neither moved the payment nor its money.
fn of_kind(event: EventKind) -> Option<EventType> {
    match event {
        EventKind::DisputeOpened => Some(EventType::ChargeDisputeOpened),
        EventKind::DisputeClosed => Some(EventType::ChargeDisputeClosed),
        EventKind::Started
        | EventKind::AttemptStarted
        | EventKind::Registered
        | EventKind::Authorized
        | EventKind::Captured
        | EventKind::Accepted
        | EventKind::ActionRequired
        | EventKind::Declined
        | EventKind::Rejected
        | EventKind::Voided
        | EventKind::Refunded
        | EventKind::Untouched
        | EventKind::Unknown
        | EventKind::NotSent
        | EventKind::Throttled
        | EventKind::AmountsDisagree
        | EventKind::CaptureFailed
        | EventKind::VoidFailed
        | EventKind::RefundFailed
        | EventKind::ChargedBack
        | EventKind::ChargebackReversed
        | EventKind::KeyExpired
        | EventKind::DeadlinePassed
        | EventKind::CaptureRequested
        | EventKind::CancelRequested
        | EventKind::ActionCompleted
        | EventKind::Redriven
        | EventKind::RefundRequested
        | EventKind::RefundUpdated
        | EventKind::RetryRequested
        | EventKind::InquiryRequested
        | EventKind::Noted
        | EventKind::ResolutionProposed
        | EventKind::RefundProposed
        | EventKind::ProposalWithdrawn
        | EventKind::ResolvedSucceeded
        | EventKind::ResolvedFailed
        | EventKind::ResolvedCanceled => None,
    }
}

/// Which events an endpoint is told of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum EventFilter {
    /// All that there are, those of later versions included.
    #[default]
    All,
    /// These.
    Only(BTreeSet<EventType>),
}

/// An event as it is written beside the move it tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Its name: receivers know repetitions by it.
    pub id: EventId,
    /// Whose.
    pub merchant_id: MerchantId,
    /// The payment it is about, if it is about one.
    pub payment_id: Option<PaymentId>,
    /// What happened.
    pub event_type: EventType,
    /// The number of the history row it tells of: receivers order the events of one payment by it.
    pub sequence: Option<i64>,
    /// When it happened.
    pub at: Timestamp,
    /// The body that is sent, byte for byte.
    pub payload: String,
}

impl Notification {
    /// What this step tells the merchant, if anything. The id's time is the step's.
    #[must_use]
    pub fn of(before: &Payment, step: &Step, random: [u64; 2]) -> Option<Self> {
        let event_type = EventType::of(before, step)?;
        let (payment, row) = (&step.payment, &step.row);
        let (id, at, sequence) = (EventId::new(row.fact.at, random), row.fact.at, Some(row.seq));
        let payload = view::json(&EventView::of_payment(id, event_type, at, row.seq, payment));
        let (merchant_id, payment_id) = (payment.merchant_id, Some(payment.id));
        Some(Self { id, merchant_id, payment_id, event_type, sequence, at, payload })
    }

    /// A test of an endpoint.
    #[must_use]
    pub fn test(merchant_id: MerchantId, endpoint_id: EndpointId, at: Timestamp, random: [u64; 2]) -> Self {
        let (id, event_type) = (EventId::new(at, random), EventType::EndpointTest);
        let payload = view::json(&EventView::of_endpoint(id, event_type, at, endpoint_id));
        Self { id, merchant_id, payment_id: None, event_type, sequence: None, at, payload }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use strum::IntoEnumIterator;

    use super::*;

    const DOCS: &str = include_str!("../../docs/WEBHOOKS.md");

    #[test]
    fn names_are_of_the_form_that_the_specification_recommends_and_read_back() {
        let names: HashSet<String> = EventType::iter().map(|event_type| event_type.to_string()).collect();
        assert_eq!(names.len(), EventType::VARIANTS.len());
        for name in names {
            assert!(name.parse::<EventType>().is_ok_and(|event_type| event_type.to_string() == name));
            let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(name.split('.').count() == 2 && name.split('.').all(is_plain), "{name}");
        }
    }

    #[test]
    fn the_docs_have_a_row_for_every_type_and_no_other() {
        for event_type in EventType::iter() {
            assert!(DOCS.contains(&format!("\n| `{event_type}` |")), "docs/WEBHOOKS.md lacks {event_type}");
        }
        let kinds = ["| `charge.", "| `refund.", "| `webhook_endpoint."];
        let rows = DOCS.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
        assert_eq!(rows.count(), EventType::VARIANTS.len(), "docs/WEBHOOKS.md has rows of no type");
    }
}
