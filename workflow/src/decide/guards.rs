//! What the table cannot say of a request, because it hangs on amounts, persons and moments: who asks for more than there
//! is, alone for what takes two, or for what is done already.
//!
//! Not here: whether the state allows it at all; that is the table.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Occurrence;
use crate::event::{Actor, Approval, Event};
use crate::payment::{Outcome, PROPOSAL_HOLDS_FOR, Payment, Proposal, Proposed, Resolution};

const TOO_MUCH_TO_REFUND: &str = "not so much is left to give back; refunds under way count as given back";

/// Why a request is refused in a state that would allow it, if it is.
pub(super) fn refused(payment: &Payment, occurrence: &Occurrence, now: Timestamp) -> Option<&'static str> {
    let asked = Asked { payment, actor: &occurrence.actor, now };
    match &occurrence.event {
        Event::CaptureRequested { amount_minor } => (!(1..=payment.amount_authorized_minor).contains(amount_minor))
            .then_some("the amount to capture is more than what is authorized"),
        Event::RefundRequested { money, approval, .. } => refund_refused(payment, money.amount_minor)
            .or_else(|| asked.refund_unapproved(money.amount_minor, approval.as_ref())),
        Event::RetryRequested { .. } if payment.is_leased() => {
            Some("a worker has it in hand; it reports, or its lease runs out")
        }
        Event::RetryRequested { .. } => payment.is_due(now).then_some("it is due already: no backoff keeps it waiting"),
        Event::ResolutionProposed { resolution, .. } => {
            asked.proposed_already().or_else(|| resolution_refused(payment, resolution))
        }
        Event::RefundProposed { money, .. } => {
            asked.proposed_already().or_else(|| refund_refused(payment, money.amount_minor))
        }
        Event::ProposalWithdrawn { proposal, .. } => match &payment.proposal {
            Some(pending) if pending.seq == *proposal => None,
            Some(_) => Some("another proposal waits by now; look at the payment again"),
            None => Some("nothing is proposed here that could be taken back"),
        },
        Event::ResolvedSucceeded { money, psp_reference, approval } => {
            let captured = money.map(|money| money.amount_minor);
            asked.resolution_unapproved(Outcome::Succeeded, captured, psp_reference.as_ref(), approval)
        }
        Event::ResolvedFailed { psp_reference, approval } => {
            asked.resolution_unapproved(Outcome::Failed, None, psp_reference.as_ref(), approval)
        }
        Event::ResolvedCanceled { psp_reference, approval } => {
            asked.resolution_unapproved(Outcome::Canceled, None, psp_reference.as_ref(), approval)
        }
        Event::Started { .. }
        | Event::AttemptStarted { .. }
        | Event::Registered { .. }
        | Event::Authorized { .. }
        | Event::Captured { .. }
        | Event::Accepted { .. }
        | Event::ActionRequired { .. }
        | Event::Declined { .. }
        | Event::Rejected { .. }
        | Event::Voided { .. }
        | Event::Refunded { .. }
        | Event::Untouched { .. }
        | Event::Unknown { .. }
        | Event::NotSent { .. }
        | Event::Throttled { .. }
        | Event::AmountsDisagree { .. }
        | Event::CaptureFailed { .. }
        | Event::VoidFailed { .. }
        | Event::RefundFailed { .. }
        | Event::DisputeOpened { .. }
        | Event::ChargedBack { .. }
        | Event::ChargebackReversed { .. }
        | Event::DisputeClosed { .. }
        | Event::KeyExpired { .. }
        | Event::DeadlinePassed {}
        | Event::CancelRequested { .. }
        | Event::ActionCompleted { .. }
        | Event::Redriven { .. }
        | Event::RefundUpdated { .. }
        | Event::InquiryRequested { .. }
        | Event::Noted { .. } => None,
    }
}

/// A payment, and who asks when.
struct Asked<'a> {
    payment: &'a Payment,
    actor: &'a Actor,
    now: Timestamp,
}

fn refund_refused(payment: &Payment, amount_minor: i64) -> Option<&'static str> {
    (!(1..=payment.refundable_minor()).contains(&amount_minor)).then_some(TOO_MUCH_TO_REFUND)
}

impl Asked<'_> {
    /// Clients give their own money back. Operators give that of others, so it takes two of them.
    fn refund_unapproved(&self, amount_minor: i64, approval: Option<&Approval>) -> Option<&'static str> {
        match (approval, self.actor) {
            (None, Actor::Operator(_)) => Some("it moves money, so a second person has to agree: propose it"),
            (None, Actor::Client(_) | Actor::Worker(_) | Actor::Psp(_) | Actor::Clock(_) | Actor::Refund(_)) => None,
            (Some(approval), _) => self.unapproved(
                approval,
                |what| matches!(what, Proposed::Refund { amount_minor: proposed, .. } if *proposed == amount_minor),
            ),
        }
    }

    fn resolution_unapproved(
        &self,
        outcome: Outcome,
        captured_minor: Option<i64>,
        psp_reference: Option<&String>,
        approval: &Approval,
    ) -> Option<&'static str> {
        let said = Resolution { outcome, captured_minor, psp_reference: psp_reference.cloned() };
        resolution_refused(self.payment, &said).or_else(|| {
            self.unapproved(approval, |what| matches!(what, Proposed::Resolution(proposed) if *proposed == said))
        })
    }

    /// Why an approval does not count, if it does not.
    fn unapproved(&self, approval: &Approval, is_this: impl Fn(&Proposed) -> bool) -> Option<&'static str> {
        let pending = self.payment.proposal.as_ref().filter(|pending| pending.seq == approval.proposal);
        let Some(pending) = pending else {
            return Some("that proposal waits no longer: the payment has moved on, or it was taken back");
        };
        let Actor::Operator(name) = self.actor else { return Some("only an operator can approve") };
        if pending.is_by(name) {
            return Some("who proposed it cannot approve it: it takes a second person");
        }
        if pending.has_expired(self.now) {
            return Some("the proposal has expired; look at the payment again, and propose it anew");
        }
        (!is_this(&pending.what) || pending.by != approval.proposed_by)
            .then_some("this is not what is proposed here; look at the payment again")
    }

    fn proposed_already(&self) -> Option<&'static str> {
        let waits = self.payment.proposal.as_ref().is_some_and(|pending| !pending.has_expired(self.now));
        waits.then_some("another proposal waits already: approve it or take it back")
    }
}

/// Why people cannot say this of the payment, if they cannot. What the row already counts must not be contradicted
/// unnoticed.
fn resolution_refused(payment: &Payment, resolution: &Resolution) -> Option<&'static str> {
    let differs = |known: &str| resolution.psp_reference.as_deref().is_some_and(|named| named != known);
    if payment.psp_reference.as_deref().is_some_and(differs) {
        return Some("the PSP knows this payment by another reference; name that one, and the other as evidence");
    }
    if payment.refund_of.is_some() && resolution.outcome == Outcome::Canceled {
        return Some("a refund cannot be taken back: it succeeded, or it failed");
    }
    if payment.refund_of.is_some() {
        return resolution
            .captured_minor
            .is_some()
            .then_some("a refund captures nothing; it gives back what it was asked to");
    }
    if payment.amount_refund_pending_minor > 0 {
        return Some("a refund of it is under way; that one has to end first");
    }
    match (resolution.outcome, resolution.captured_minor) {
        (Outcome::Succeeded, None) => Some("say how much was captured"),
        (Outcome::Succeeded, Some(captured)) if !(1..=payment.amount_minor).contains(&captured) => {
            Some("more than what was asked for cannot be booked: have the rest given back at the PSP first")
        }
        (Outcome::Succeeded, Some(captured)) if captured < payment.amount_refunded_minor => {
            Some("more than that is given back already")
        }
        (Outcome::Failed | Outcome::Canceled, Some(_)) => Some("nothing is captured of a payment that ended so"),
        (Outcome::Succeeded, Some(_)) | (Outcome::Failed | Outcome::Canceled, None) => None,
    }
}

/// Keeps what is proposed, and drops what was proposed before when the payment moves on otherwise: who approves it has to
/// have seen that. Notes and reminders change nothing that was proposed.
pub(super) fn heed(
    after: &mut Payment,
    before: &Payment,
    occurrence: &Occurrence,
    now: Timestamp,
    data: &mut Map<String, Value>,
) {
    let by = if let Actor::Operator(name) = &occurrence.actor { name.clone() } else { occurrence.actor.to_string() };
    let pending = |what, why: &str, expires_at| Proposal {
        seq: before.seq + 1,
        by,
        at: now,
        expires_at,
        why: why.to_owned(),
        what,
    };
    let event = &occurrence.event;
    if let Event::ResolutionProposed { resolution, reason, expires_at } = event {
        after.proposal = Some(pending(Proposed::Resolution(resolution.clone()), reason, *expires_at));
    } else if let Event::RefundProposed { money, refund_reason, reason, expires_at } = event {
        let what = Proposed::Refund { amount_minor: money.amount_minor, refund_reason: *refund_reason };
        after.proposal = Some(pending(what, reason, *expires_at));
    } else if !matches!(event, Event::Noted { .. } | Event::DeadlinePassed {}) {
        let settled = after.proposal.take();
        let settles = matches!(event, Event::ProposalWithdrawn { .. }) || approves(event);
        if let Some(dropped) = settled.filter(|_| !settles) {
            data.insert("outdated_proposal".into(), json!(dropped.seq));
        }
    }
}

/// Whether an event carries an approval.
fn approves(event: &Event) -> bool {
    matches!(
        event,
        Event::ResolvedSucceeded { .. }
            | Event::ResolvedFailed { .. }
            | Event::ResolvedCanceled { .. }
            | Event::RefundRequested { approval: Some(_), .. }
    )
}

/// Until when a proposal of now can be approved.
#[must_use]
pub fn proposal_expires_at(now: Timestamp) -> Timestamp {
    now.saturating_add(PROPOSAL_HOLDS_FOR).unwrap_or(Timestamp::MAX)
}
