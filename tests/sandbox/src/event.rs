//! What one change did besides changing its object: rows for the books and webhooks to send.
//!
//! Not here: how an event is rendered (`state`) and sent (`webhook`).

use serde_json::Value;

use crate::ledger::Entry;

/// The types of webhook the sandbox sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    AmountCapturableUpdated,
    Succeeded,
    PaymentFailed,
    Canceled,
    RequiresAction,
    Processing,
    ChargeRefunded,
    ChargeRefundUpdated,
    RefundCreated,
    RefundUpdated,
    RefundFailed,
    DisputeCreated,
    DisputeUpdated,
    DisputeClosed,
    DisputeFundsWithdrawn,
    DisputeFundsReinstated,
}

/// Which object a webhook is a snapshot of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Intent,
    Charge,
    Refund,
    Dispute,
}

impl EventKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AmountCapturableUpdated => "payment_intent.amount_capturable_updated",
            Self::Succeeded => "payment_intent.succeeded",
            Self::PaymentFailed => "payment_intent.payment_failed",
            Self::Canceled => "payment_intent.canceled",
            Self::RequiresAction => "payment_intent.requires_action",
            Self::Processing => "payment_intent.processing",
            Self::ChargeRefunded => "charge.refunded",
            Self::ChargeRefundUpdated => "charge.refund.updated",
            Self::RefundCreated => "refund.created",
            Self::RefundUpdated => "refund.updated",
            Self::RefundFailed => "refund.failed",
            Self::DisputeCreated => "charge.dispute.created",
            Self::DisputeUpdated => "charge.dispute.updated",
            Self::DisputeClosed => "charge.dispute.closed",
            Self::DisputeFundsWithdrawn => "charge.dispute.funds_withdrawn",
            Self::DisputeFundsReinstated => "charge.dispute.funds_reinstated",
        }
    }

    pub(crate) fn about(self) -> About {
        match self {
            Self::AmountCapturableUpdated
            | Self::Succeeded
            | Self::PaymentFailed
            | Self::Canceled
            | Self::RequiresAction
            | Self::Processing => About::Intent,
            Self::ChargeRefunded => About::Charge,
            Self::ChargeRefundUpdated | Self::RefundCreated | Self::RefundUpdated | Self::RefundFailed => About::Refund,
            Self::DisputeCreated
            | Self::DisputeUpdated
            | Self::DisputeClosed
            | Self::DisputeFundsWithdrawn
            | Self::DisputeFundsReinstated => About::Dispute,
        }
    }
}

/// A webhook to send.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// `data.previous_attributes`, where Stripe sends it.
    pub(crate) previous: Option<Value>,
}

/// What one change did besides changing its object.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) entries: Vec<Entry>,
    pub(crate) events: Vec<Event>,
}

impl Effects {
    /// A webhook without `previous_attributes`.
    pub(crate) fn tell(&mut self, kind: EventKind) {
        self.events.push(Event { kind, previous: None });
    }

    /// A webhook about an update, with what was there before.
    pub(crate) fn tell_change(&mut self, kind: EventKind, previous: Value) {
        self.events.push(Event { kind, previous: Some(previous) });
    }
}
