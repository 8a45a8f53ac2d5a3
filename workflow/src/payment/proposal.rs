//! What one operator has proposed and another one has to approve: acts that book or move money.
//!
//! Not here: when a proposal may be made, and what ends it ([`crate::decide`]).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr, VariantArray};

use super::RefundReason;

/// How long a proposal waits for a second person: a shift and the next one. What was true of a payment yesterday has to be
/// looked at again.
pub const PROPOSAL_HOLDS_FOR: SignedDuration = SignedDuration::from_hours(24);

/// A proposal that waits for a second person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proposal {
    /// The history row that tells of it: its number.
    pub seq: i64,
    /// Who proposed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// Why, in their words; of a resolution also the evidence.
    pub why: String,
    /// What is proposed.
    pub what: Proposed,
}

impl Proposal {
    /// Whether it is too old to be approved.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Whether this is who proposed it. Names that differ only in case or in blanks around them are one person's.
    #[must_use]
    pub fn is_by(&self, operator: &str) -> bool {
        self.by.trim().to_lowercase() == operator.trim().to_lowercase()
    }
}

/// What can be proposed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Proposed {
    /// To end a payment that is in review.
    Resolution(Resolution),
    /// To give money of a charge back.
    Refund {
        /// How much, in minor units.
        amount_minor: i64,
        /// Why, in a word that PSPs share.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refund_reason: Option<RefundReason>,
    },
}

/// How a payment in review ended, as far as people found out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resolution {
    /// How it ended.
    pub outcome: Outcome,
    /// Of a charge that succeeded: how much was captured, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_minor: Option<i64>,
    /// The PSP's name for it, where they found one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psp_reference: Option<String>,
}

/// How a payment ended.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The PSP has the money for the merchant; of a refund: the customer has it back.
    Succeeded,
    /// No money came; of a refund: none was given back.
    Failed,
    /// What was reserved is released, and what was captured is given back. Not of a refund.
    Canceled,
}
