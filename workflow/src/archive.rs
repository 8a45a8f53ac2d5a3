//! Which histories may be archived: those of payments about which nothing is left to do, and nothing was heard for a while.
//!
//! Not here: what an archive looks like ([`crate::history::Archived`]), and the statements in the database
//! ([`crate::port::archives`]).

use jiff::Timestamp;
use strum::{Display, IntoStaticStr, VariantArray};

use crate::definition;
use crate::payment::Payment;

/// Why a payment's history stays in the database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Stays {
    /// It has not ended.
    Open,
    /// Refunds of it have not ended.
    RefundPending,
    /// Somebody has proposed something that nobody has approved or withdrawn.
    Proposed,
    /// It ended, or was last heard of, too short a time ago.
    TooYoung,
}

impl Stays {
    /// The same in words.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Open => "they have not ended",
            Self::RefundPending => "refunds of them have not ended",
            Self::Proposed => "what somebody has proposed is neither approved nor withdrawn",
            Self::TooYoung => "they ended, or were last heard of, too short a time ago",
        }
    }
}

/// Why this payment's history stays; none when it may be archived, because nothing was written to it since `before`.
#[must_use]
pub fn stays(payment: &Payment, before: Timestamp) -> Option<Stays> {
    if !definition::has_ended(payment.state) || payment.next_wake_at.is_some() {
        Some(Stays::Open)
    } else if payment.amount_refund_pending_minor > 0 {
        Some(Stays::RefundPending)
    } else if payment.proposal.is_some() {
        Some(Stays::Proposed)
    } else if payment.updated_at >= before {
        Some(Stays::TooYoung)
    } else {
        None
    }
}
