//! The words that events are told in.
//!
//! Not here: the events themselves.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

/// How a dispute ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Display, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DisputeVerdict {
    /// For the merchant.
    Won,
    /// For the customer.
    Lost,
    /// Nobody pursued it.
    Dropped,
}

/// What was seen instead of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Display, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Unknown {
    /// No complete answer within the time limit.
    Timeout,
    /// The connection broke after the request may have been sent.
    ConnectionLost,
    /// An answer that cannot be read: garbage, cut short, too large.
    Unreadable,
    /// A gateway in front of the PSP answered with a server error.
    ServerError,
    /// The PSP itself reported that this request ended in an internal error: it will not end otherwise later.
    EndedInError,
    /// The worker died, or lost its lease, while a call may have been under way.
    WorkerLost,
}

/// What a second operator says yes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// The history row of the proposal.
    pub proposal: i64,
    /// Who proposed it.
    pub proposed_by: String,
    /// The proposer's evidence.
    pub evidence: String,
    /// Why the second one agrees, in their words.
    pub reason: String,
}
