//! What operators can do to a payment, as types, and the event that each act is.
//!
//! Not here: whether an act is allowed ([`crate::decide`] says), doing it ([`crate::engine::operator`]), and pausing PSP
//! accounts, which is done to no payment.

use jiff::Timestamp;
use serde::Serialize;
use strum::{Display, EnumIter, EnumString, IntoStaticStr, VariantArray};

use crate::card_data;
use crate::decide::{Decided, Redriving, proposal_expires_at};
use crate::event::{Approval, Event};
use crate::ids::PaymentId;
use crate::money::Money;
use crate::payment::{Outcome, Payment, Proposed, Resolution};
use crate::port::audit::{AuditAct, LONGEST_TEXT, Role, Via};

/// The longest name of an operator and of a PSP's reference, in characters.
const LONGEST_NAME: usize = 200;

/// Something an operator wants done to a payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Do not wait for the backoff to end.
    Retry,
    /// Ask the PSP now what it knows.
    Inquire,
    /// Send it back to work from review.
    Redrive(Decided),
    /// Give it up, for the merchant.
    Cancel,
    /// Write something down: the reason is the note.
    Note,
    /// Ask a second person to agree to what books or moves money.
    Propose(Proposed),
    /// Agree, as the second person.
    Approve {
        /// The history row of the proposal that was looked at.
        proposal: i64,
    },
    /// Take a proposal back.
    Withdraw {
        /// The history row of the proposal that was looked at.
        proposal: i64,
    },
}

/// What kind of act it is.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Display, EnumIter, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ActKind {
    /// [`Act::Retry`].
    Retry,
    /// [`Act::Inquire`].
    Inquire,
    /// [`Act::Redrive`].
    Redrive,
    /// [`Act::Propose`] of a resolution.
    Resolve,
    /// [`Act::Cancel`].
    Cancel,
    /// [`Act::Propose`] of a refund.
    Refund,
    /// [`Act::Approve`].
    Approve,
    /// [`Act::Withdraw`].
    Withdraw,
    /// [`Act::Note`].
    Note,
}

impl ActKind {
    /// Whether a second person has to agree before it counts.
    #[must_use]
    pub const fn takes_two(self) -> bool {
        matches!(self, Self::Resolve | Self::Refund)
    }
}

impl Act {
    /// What kind of act it is.
    #[must_use]
    pub const fn kind(&self) -> ActKind {
        match self {
            Self::Retry => ActKind::Retry,
            Self::Inquire => ActKind::Inquire,
            Self::Redrive(_) => ActKind::Redrive,
            Self::Cancel => ActKind::Cancel,
            Self::Note => ActKind::Note,
            Self::Propose(Proposed::Resolution(_)) => ActKind::Resolve,
            Self::Propose(Proposed::Refund { .. }) => ActKind::Refund,
            Self::Approve { .. } => ActKind::Approve,
            Self::Withdraw { .. } => ActKind::Withdraw,
        }
    }

    /// What it is called in the audit log.
    #[must_use]
    pub const fn audited(&self) -> AuditAct {
        match self.kind() {
            ActKind::Retry => AuditAct::Retry,
            ActKind::Inquire => AuditAct::Inquire,
            ActKind::Redrive => AuditAct::Redrive,
            ActKind::Resolve => AuditAct::ProposeResolution,
            ActKind::Cancel => AuditAct::Cancel,
            ActKind::Refund => AuditAct::ProposeRefund,
            ActKind::Approve => AuditAct::Approve,
            ActKind::Withdraw => AuditAct::Withdraw,
            ActKind::Note => AuditAct::Note,
        }
    }
}

/// Who acts, why, and from where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    /// Their name: goes into history.
    pub operator: String,
    /// What they may do, where that is known.
    pub role: Option<Role>,
    /// Why, in their words: goes into history.
    pub why: String,
    /// Which way the act came.
    pub via: Via,
    /// From where: an address, or who is logged in at the machine.
    pub remote: Option<String>,
}

impl By {
    /// Why what they say cannot be taken, if it cannot: history is for ever, and the merchant reads it.
    pub(crate) fn refused(&self) -> Option<&'static str> {
        let is_name = |name: &str| {
            !name.trim().is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control)
        };
        if !is_name(&self.operator) {
            return Some("say who you are: a name of at most 200 characters in one line");
        }
        if self.why.trim().is_empty() {
            return Some("say why: it goes into the payment's history");
        }
        if self.why.chars().count() > LONGEST_TEXT {
            return Some("say it shorter: a reason has at most 2000 characters");
        }
        let is_card = card_data::found_in(self.why.as_bytes()) || card_data::found_in(self.operator.as_bytes());
        is_card.then_some(
            "something in it looks like a card number: card data is never stored, write its last four digits",
        )
    }
}

/// What an act hangs on besides the payment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances<'a> {
    /// Who acts.
    pub(crate) by: &'a By,
    /// What a redrive would mean now.
    pub(crate) redriving: Redriving,
    /// The refund that an approval would open.
    pub(crate) refund: PaymentId,
    /// Now.
    pub(crate) now: Timestamp,
}

/// The event that an act is.
///
/// # Errors
/// The act cannot be one now; says why.
pub(crate) fn event(payment: &Payment, act: &Act, given: Circumstances<'_>) -> Result<Event, &'static str> {
    let Circumstances { by, redriving, refund, now } = given;
    let reason = by.why.clone();
    Ok(match act {
        Act::Retry => Event::RetryRequested { reason },
        Act::Inquire => Event::InquiryRequested { reason },
        Act::Redrive(decided) => {
            let decided = match (redriving, decided) {
                (Redriving::Decides(what), Decided::Yes) => Some(what.to_owned()),
                (Redriving::Decides(_), Decided::No) | (Redriving::Asks, _) => None,
            };
            Event::Redriven { reason, decided }
        }
        Act::Cancel => Event::CancelRequested { reason: Some(reason) },
        Act::Note => Event::Noted { reason },
        Act::Propose(Proposed::Resolution(resolution)) => {
            let is_name = |name: &String| {
                !name.is_empty()
                    && name.chars().count() <= LONGEST_NAME
                    && name.chars().all(|letter| letter.is_ascii_graphic())
            };
            if resolution.psp_reference.as_ref().is_some_and(|name| !is_name(name)) {
                return Err("a PSP's reference is one word of at most 200 characters");
            }
            Event::ResolutionProposed { resolution: resolution.clone(), reason, expires_at: proposal_expires_at(now) }
        }
        Act::Propose(Proposed::Refund { amount_minor, refund_reason }) => Event::RefundProposed {
            money: Money { amount_minor: *amount_minor, currency: payment.currency },
            refund_reason: *refund_reason,
            reason,
            expires_at: proposal_expires_at(now),
        },
        Act::Approve { proposal } => approved(payment, *proposal, reason, refund)?,
        Act::Withdraw { proposal } => Event::ProposalWithdrawn { proposal: *proposal, reason },
    })
}

/// What approving the proposal that waits is.
fn approved(payment: &Payment, proposal: i64, reason: String, refund: PaymentId) -> Result<Event, &'static str> {
    let pending = payment.proposal.as_ref().filter(|pending| pending.seq == proposal);
    let pending = pending.ok_or("that proposal waits no longer: the payment has moved on, or it was taken back")?;
    let approval = Approval { proposal, proposed_by: pending.by.clone(), evidence: pending.why.clone(), reason };
    let money = |amount_minor| Money { amount_minor, currency: payment.currency };
    Ok(match &pending.what {
        Proposed::Refund { amount_minor, .. } => {
            Event::RefundRequested { refund, money: money(*amount_minor), approval: Some(approval) }
        }
        Proposed::Resolution(Resolution { outcome, captured_minor, psp_reference }) => {
            let psp_reference = psp_reference.clone();
            match outcome {
                Outcome::Succeeded => {
                    Event::ResolvedSucceeded { money: captured_minor.map(money), psp_reference, approval }
                }
                Outcome::Failed => Event::ResolvedFailed { psp_reference, approval },
                Outcome::Canceled => Event::ResolvedCanceled { psp_reference, approval },
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acts_says_who_and_why_and_no_card_number() {
        let by = |operator: &str, why: &str| By {
            operator: operator.to_owned(),
            role: None,
            why: why.to_owned(),
            via: Via::Cli,
            remote: None,
        };
        assert_eq!(by("ada", "the PSP is back").refused(), None);
        let long = "x".repeat(LONGEST_TEXT + 1);
        for (operator, why) in [
            ("", "x"),
            (" ", "x"),
            ("a\nb", "x"),
            ("ada", ""),
            ("ada", "  "),
            ("ada", &long),
            ("ada", "4242 4242 4242 4242"),
        ] {
            assert!(by(operator, why).refused().is_some(), "{operator:?} {why:?}");
        }
    }
}
