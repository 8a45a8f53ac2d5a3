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
    match &occurrence.event {
        Event::CaptureRequested { amount_minor } if !(1..=payment.amount_authorized_minor).contains(amount_minor) => {
            Some("the amount to capture is more than what is authorized")
        }
        Event::RefundRequested { money, approval, .. } => refund_refused(payment, money.amount_minor)
            .or_else(|| refund_unapproved(payment, money.amount_minor, approval.as_ref(), &occurrence.actor, now)),
        Event::RetryRequested { .. } if payment.is_leased() => {
            Some("a worker has it in hand; it reports, or its lease runs out")
        }
        Event::RetryRequested { .. } if payment.is_due(now) => Some("it is due already; the next free worker takes it"),
        Event::ResolutionProposed { resolution, .. } => {
            proposed_already(payment, now).or_else(|| resolution_refused(payment, resolution))
        }
        Event::RefundProposed { money, .. } => {
            proposed_already(payment, now).or_else(|| refund_refused(payment, money.amount_minor))
        }
        Event::ProposalWithdrawn { proposal, .. } => match &payment.proposal {
            Some(pending) if pending.seq == *proposal => None,
            Some(_) => Some("another proposal waits by now; look at the payment again"),
            None => Some("nothing is proposed here that could be taken back"),
        },
        Event::ResolvedSucceeded { approval, .. }
        | Event::ResolvedFailed { approval, .. }
        | Event::ResolvedCanceled { approval, .. } => {
            let resolution = resolution_of(&occurrence.event)?;
            resolution_refused(payment, &resolution)
                .or_else(|| unapproved(payment, approval, &Proposed::Resolution(resolution), &occurrence.actor, now))
        }
        _other => None,
    }
}

/// What a resolving event says.
fn resolution_of(event: &Event) -> Option<Resolution> {
    let (outcome, captured_minor, psp_reference) = match event {
        Event::ResolvedSucceeded { money, psp_reference, .. } => {
            (Outcome::Succeeded, money.map(|money| money.amount_minor), psp_reference)
        }
        Event::ResolvedFailed { psp_reference, .. } => (Outcome::Failed, None, psp_reference),
        Event::ResolvedCanceled { psp_reference, .. } => (Outcome::Canceled, None, psp_reference),
        _other => return None,
    };
    Some(Resolution { outcome, captured_minor, psp_reference: psp_reference.clone() })
}

fn refund_refused(payment: &Payment, amount_minor: i64) -> Option<&'static str> {
    (!(1..=payment.refundable_minor()).contains(&amount_minor)).then_some(TOO_MUCH_TO_REFUND)
}

/// Clients give their own money back. Operators give that of others, so it takes two of them.
fn refund_unapproved(
    payment: &Payment,
    amount_minor: i64,
    approval: Option<&Approval>,
    actor: &Actor,
    now: Timestamp,
) -> Option<&'static str> {
    match (approval, actor) {
        (None, Actor::Operator(_)) => Some("it moves money, so a second person has to agree: propose it"),
        (None, Actor::Client(_) | Actor::Worker(_) | Actor::Psp(_) | Actor::Clock | Actor::Refund(_)) => None,
        (Some(approval), _) => {
            let Some(Proposal { what: what @ Proposed::Refund { amount_minor: proposed, .. }, .. }) = &payment.proposal
            else {
                return Some(NOT_PROPOSED);
            };
            if *proposed != amount_minor {
                return Some(NOT_PROPOSED);
            }
            unapproved(payment, approval, &what.clone(), actor, now)
        }
    }
}

const NOT_PROPOSED: &str = "this is not what is proposed here; look at the payment again";

/// Why an approval does not count, if it does not.
fn unapproved(
    payment: &Payment,
    approval: &Approval,
    what: &Proposed,
    actor: &Actor,
    now: Timestamp,
) -> Option<&'static str> {
    let Some(pending) = payment.proposal.as_ref().filter(|pending| pending.seq == approval.proposal) else {
        return Some("that proposal waits no longer: the payment has moved on, or it was taken back");
    };
    let Actor::Operator(name) = actor else { return Some("only an operator can approve") };
    if pending.is_by(name) {
        return Some("who proposed it cannot approve it: it takes a second person");
    }
    if pending.has_expired(now) {
        return Some("the proposal has expired; look at the payment again, and propose it anew");
    }
    (pending.what != *what || pending.by != approval.proposed_by).then_some(NOT_PROPOSED)
}

fn proposed_already(payment: &Payment, now: Timestamp) -> Option<&'static str> {
    let waits = payment.proposal.as_ref().is_some_and(|pending| !pending.has_expired(now));
    waits.then_some("another proposal waits already: approve it or take it back")
}

/// Why people cannot say this of the payment, if they cannot. What the row already counts must not be contradicted
/// unnoticed.
fn resolution_refused(payment: &Payment, resolution: &Resolution) -> Option<&'static str> {
    let differs = |known: &str| resolution.psp_reference.as_deref().is_some_and(|named| named != known);
    if payment.psp_reference.as_deref().is_some_and(differs) {
        return Some("the PSP knows this payment by another reference; name that one, and the other as evidence");
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
    match &occurrence.event {
        Event::ResolutionProposed { resolution, reason, expires_at } => {
            after.proposal = Some(pending(Proposed::Resolution(resolution.clone()), reason, *expires_at));
        }
        Event::RefundProposed { money, refund_reason, reason, expires_at } => {
            let what = Proposed::Refund { amount_minor: money.amount_minor, refund_reason: *refund_reason };
            after.proposal = Some(pending(what, reason, *expires_at));
        }
        Event::Noted { .. } | Event::DeadlinePassed {} => {}
        event => {
            let settles = matches!(event, Event::ProposalWithdrawn { .. }) || approval_of(event).is_some();
            if let Some(dropped) = after.proposal.take().filter(|_| !settles) {
                data.insert("outdated_proposal".into(), json!(dropped.seq));
            }
        }
    }
}

/// The approval that an event carries, if it carries one.
fn approval_of(event: &Event) -> Option<&Approval> {
    match event {
        Event::ResolvedSucceeded { approval, .. }
        | Event::ResolvedFailed { approval, .. }
        | Event::ResolvedCanceled { approval, .. } => Some(approval),
        Event::RefundRequested { approval, .. } => approval.as_ref(),
        _other => None,
    }
}

/// Until when a proposal of now can be approved.
#[must_use]
pub fn proposal_expires_at(now: Timestamp) -> Timestamp {
    now.saturating_add(PROPOSAL_HOLDS_FOR).unwrap_or(Timestamp::MAX)
}
