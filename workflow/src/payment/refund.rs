//! What a refund gives back and how it counts, and what a charge knows of refunds that the PSP told it of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::definition::State;
use crate::ids::PaymentId;

/// Refunds that the PSP has told of, by its names for them. News of one refund comes in any order: one that is told to
/// have failed before it is told to be under way never counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refunds(BTreeMap<String, RefundStanding>);

/// How a refund at the PSP stands, as far as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RefundStanding {
    /// Its money is given back, or on its way.
    Counted,
    /// It came to nothing, and that is its end.
    Failed,
}

impl Refunds {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this refund was told of before, whatever was told. One without a name is always new.
    #[must_use]
    pub fn know(&self, psp_refund: Option<&str>) -> bool {
        psp_refund.is_some_and(|name| self.0.contains_key(name))
    }

    /// Whether this refund is known to have failed.
    #[must_use]
    pub fn have_failed(&self, psp_refund: Option<&str>) -> bool {
        psp_refund.and_then(|name| self.0.get(name)) == Some(&RefundStanding::Failed)
    }

    /// Takes over that a refund is done or under way.
    pub fn count(&mut self, psp_refund: Option<&str>) {
        if let Some(name) = psp_refund {
            self.0.entry(name.to_owned()).or_insert(RefundStanding::Counted);
        }
    }

    /// Takes over that a refund came to nothing, and returns whether its money was counted. That of one without a name
    /// is taken to be.
    pub fn fail(&mut self, psp_refund: Option<&str>) -> bool {
        psp_refund
            .is_none_or(|name| self.0.insert(name.to_owned(), RefundStanding::Failed) == Some(RefundStanding::Counted))
    }

    /// Counts the money of one of our own refunds otherwise than before. The PSP may have told the charge of it as well, as
    /// of a refund that somebody made there: by its name it is counted once.
    #[must_use]
    pub(crate) fn recount(
        &mut self,
        mut counts: RefundCounts,
        amount_minor: i64,
        (was, is): (RefundStatus, RefundStatus),
        psp_refund: Option<&str>,
    ) -> RefundCounts {
        let is_counted =
            |refunds: &Self| psp_refund.and_then(|name| refunds.0.get(name)) == Some(&RefundStanding::Counted);
        match was {
            RefundStatus::Pending => counts.pending_minor = (counts.pending_minor - amount_minor).max(0),
            RefundStatus::Succeeded => {
                if !self.have_failed(psp_refund) {
                    counts.refunded_minor = (counts.refunded_minor - amount_minor).max(0);
                }
                psp_refund.and_then(|name| self.0.remove(name));
            }
            RefundStatus::Failed => {}
        }
        match is {
            RefundStatus::Pending => counts.pending_minor += amount_minor,
            RefundStatus::Succeeded => {
                if !is_counted(self) {
                    counts.refunded_minor = counts.captured_minor.min(counts.refunded_minor + amount_minor);
                }
                psp_refund.map(|name| self.0.insert(name.to_owned(), RefundStanding::Counted));
            }
            RefundStatus::Failed => {}
        }
        counts
    }
}

/// What a charge counts of its refunds, in minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RefundCounts {
    pub(crate) captured_minor: i64,
    pub(crate) refunded_minor: i64,
    pub(crate) pending_minor: i64,
}

/// What a refund gives back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefundOf {
    /// Money of this charge.
    pub charge: PaymentId,
    /// The PSP's name for that charge.
    pub psp_reference: String,
    /// Why, in the client's words from a fixed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RefundReason>,
}

/// Why a client gives money back: the words that PSPs share.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Display, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefundReason {
    /// The charge was made twice.
    Duplicate,
    /// The charge was not the customer's doing.
    Fraudulent,
    /// The customer wants it.
    RequestedByCustomer,
}

/// How a charge counts the money of one of its refunds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Display, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// It may still go: it cannot be given back a second time.
    Pending,
    /// It is given back.
    Succeeded,
    /// It is still there: it can be given back by another refund.
    Failed,
}

impl RefundStatus {
    /// How a refund in this state counts.
    #[must_use]
    pub const fn of(state: State) -> Self {
        match state {
            State::Succeeded => Self::Succeeded,
            State::Failed | State::Canceled | State::Expired => Self::Failed,
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
            | State::InReview => Self::Pending,
        }
    }
}
