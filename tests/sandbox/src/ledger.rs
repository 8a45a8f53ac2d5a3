//! The sandbox's own books: one row per real effect. Tests compare what the engine believes with what happened here.
//!
//! Not here: anything that did not move money, such as declines and cancellations before an authorization.

use serde::{Deserialize, Serialize};

/// What happened to the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The card reserved the amount.
    Authorized,
    /// The amount was taken. A partial capture releases the rest without a row of its own. Automatic capture writes
    /// `Authorized` and `Captured`.
    Captured,
    /// A reservation was given back by a cancellation.
    Voided,
    /// The amount was paid back.
    Refunded,
    /// A capture turned out to have failed: the merchant does not have the amount after all.
    CaptureFailed,
    /// A refund turned out to have failed: the merchant has the amount again.
    RefundFailed,
    /// The payer's bank took the amount back because of a dispute.
    Withdrawn,
    /// The payer's bank gave the amount back: the dispute was won.
    Reinstated,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `pi_…`.
    pub payment_intent: String,
    /// `metadata.fincore_payment`, if it was sent.
    pub reference: Option<String>,
    /// What happened.
    pub kind: EntryKind,
    /// How much, in minor units as on the wire.
    pub amount_minor: i64,
    /// Lower-case ISO code.
    pub currency: String,
}
