//! Why a payment goes to a person, and what the person is told.

use serde_json::Value;
use strum::{Display, EnumString, IntoStaticStr};

use crate::definition::EventKind;
use crate::event::Event;

/// Why a person has to look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// In one word, for grouping.
    pub reason: ReviewReason,
    /// The event that did it, as JSON.
    pub last_error: Value,
}

/// Why a person has to look, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReviewReason {
    /// The retry policy allows no further attempt.
    RetriesExhausted,
    /// The payment was claimed too often without coming to an end.
    ClaimsExhausted,
    /// The PSP reports another amount, or a second payment of ours.
    AmountsDisagree,
    /// The PSP refuses to say what it knows.
    InquiryRejected,
    /// A capture did not bring the money.
    CaptureFailed,
    /// A void came to nothing: the money may still be reserved.
    VoidFailed,
    /// A refund did not reach the customer.
    RefundFailed,
    /// The PSP may have forgotten the key of a call in doubt, and cannot be asked otherwise.
    KeyExpired,
    /// News that contradicts how the payment ended.
    ContradictingNews,
}

impl ReviewReason {
    /// The reason when an event itself sends a payment to review.
    pub(super) fn of(event: &Event) -> Self {
        let reasons = [
            (EventKind::AmountsDisagree, Self::AmountsDisagree),
            (EventKind::Rejected, Self::InquiryRejected),
            (EventKind::CaptureFailed, Self::CaptureFailed),
            (EventKind::VoidFailed, Self::VoidFailed),
            (EventKind::RefundFailed, Self::RefundFailed),
            (EventKind::KeyExpired, Self::KeyExpired),
        ];
        reasons
            .into_iter()
            .find(|(kind, _)| *kind == event.kind())
            .map_or(Self::ContradictingNews, |(_, reason)| reason)
    }
}
