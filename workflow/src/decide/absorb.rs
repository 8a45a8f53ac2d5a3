//! What an event proves, taken over into the row, whatever state it leads to.
//!
//! Not here: where the payment goes; that is the table, and `decide` applies it.

use crate::definition::{EventKind, Goal, State};
use crate::event::{Event, Unknown};
use crate::payment::{CaptureMethod, Doubt, Payment, RefundCounts};

/// Takes over what the event proves.
#[expect(clippy::too_many_lines, reason = "one arm an event; together they can be read like a table")]
pub(super) fn absorb(payment: &mut Payment, event: &Event) {
    weigh(payment, event);
    match event {
        Event::Registered { psp_reference } | Event::AmountsDisagree { psp_reference, .. } => {
            learn(payment, Some(psp_reference));
        }
        Event::Authorized { psp_reference, money } => {
            learn(payment, Some(psp_reference));
            payment.amount_authorized_minor = payment.amount_authorized_minor.max(money.amount_minor);
        }
        Event::Captured { psp_reference, money } => {
            learn(payment, Some(psp_reference));
            // Money that was once there is never forgotten; the same news twice is counted once.
            payment.amount_captured_minor = payment.amount_captured_minor.max(money.amount_minor);
            payment.amount_authorized_minor = payment.amount_authorized_minor.max(money.amount_minor);
        }
        // The refund itself: its charge counts the money.
        Event::Refunded { psp_refund, .. } if payment.refund_of.is_some() => {
            learn(payment, psp_refund.as_ref());
            payment.refunds.count(psp_refund.as_deref());
        }
        Event::RefundFailed { psp_refund, .. } if payment.refund_of.is_some() => {
            learn(payment, psp_refund.as_ref());
            payment.refunds.fail(psp_refund.as_deref());
        }
        Event::Refunded { money, psp_refund } => {
            payment.refunds.count(psp_refund.as_deref());
            let all = payment.amount_refunded_minor.saturating_add(money.amount_minor);
            payment.amount_refunded_minor = all.min(payment.amount_captured_minor);
        }
        // A no to the capture, the void or the refund, and so the end of that operation: the next one gets a new key.
        Event::CaptureFailed { .. } => {
            payment.amount_captured_minor = payment.amount_refunded_minor;
            renew_key(payment);
        }
        Event::VoidFailed { .. } => renew_key(payment),
        Event::RefundFailed { money, psp_refund, .. } => {
            if payment.refunds.fail(psp_refund.as_deref()) {
                payment.amount_refunded_minor = (payment.amount_refunded_minor - money.amount_minor).max(0);
            }
            renew_key(payment);
        }
        Event::ChargedBack { money } => {
            payment.amount_charged_back_minor = payment.amount_charged_back_minor.saturating_add(money.amount_minor);
        }
        Event::ChargebackReversed { money } => {
            let left = payment.amount_charged_back_minor - money.amount_minor;
            payment.amount_charged_back_minor = left.max(0);
        }
        Event::Accepted { psp_reference } | Event::Voided { psp_reference } => {
            learn(payment, psp_reference.as_ref());
        }
        Event::ActionRequired { psp_reference, next_action } => {
            learn(payment, psp_reference.as_ref());
            payment.next_action = Some(next_action.clone());
        }
        // Authoritative ends of an operation: the next one gets a new key. An inquiry is none that moves money.
        Event::Rejected { .. } | Event::Unknown { why: Unknown::EndedInError, .. }
            if payment.state != State::Reconciling =>
        {
            refused(payment);
        }
        Event::CaptureRequested { amount_minor } => {
            payment.amount_to_capture_minor = Some(*amount_minor);
            payment.goal = Goal::Capture;
        }
        Event::CancelRequested { .. } => {
            if payment.goal != Goal::Reverse {
                payment.goal = Goal::Cancel;
            }
        }
        // The call that asked for the action is over, its outcome is known: going on is a call of its own.
        Event::ActionCompleted { result } => {
            payment.action_result = Some(result.clone());
            renew_key(payment);
        }
        Event::Redriven { .. } => payment.claims = 0,
        Event::ResolvedSucceeded { money, psp_reference, .. } => {
            learn(payment, psp_reference.as_ref());
            if let Some(money) = money {
                // Two persons have said how much it is: more than the row had, or less.
                payment.amount_captured_minor = money.amount_minor;
                payment.amount_authorized_minor = payment.amount_authorized_minor.max(money.amount_minor);
            }
        }
        Event::ResolvedFailed { psp_reference, .. } => {
            learn(payment, psp_reference.as_ref());
            payment.amount_captured_minor = payment.amount_refunded_minor;
        }
        Event::ResolvedCanceled { psp_reference, .. } => {
            learn(payment, psp_reference.as_ref());
            payment.amount_refunded_minor = payment.amount_captured_minor;
        }
        Event::RefundRequested { money, .. } => payment.amount_refund_pending_minor += money.amount_minor,
        Event::RefundUpdated { money, was, is, psp_refund, .. } => {
            let counts = RefundCounts {
                captured_minor: payment.amount_captured_minor,
                refunded_minor: payment.amount_refunded_minor,
                pending_minor: payment.amount_refund_pending_minor,
            };
            let counts = payment.refunds.recount(counts, money.amount_minor, (*was, *is), psp_refund.as_deref());
            payment.amount_refunded_minor = counts.refunded_minor;
            payment.amount_refund_pending_minor = counts.pending_minor;
        }
        Event::Started { .. }
        | Event::AttemptStarted { .. }
        | Event::Declined { .. }
        | Event::Rejected { .. }
        | Event::Untouched { .. }
        | Event::Unknown { .. }
        | Event::NotSent { .. }
        | Event::Throttled { .. }
        | Event::DisputeOpened { .. }
        | Event::DisputeClosed { .. }
        | Event::KeyExpired { .. }
        | Event::DeadlinePassed {}
        | Event::RetryRequested { .. }
        | Event::InquiryRequested { .. }
        | Event::Noted { .. }
        | Event::ResolutionProposed { .. }
        | Event::RefundProposed { .. }
        | Event::ProposalWithdrawn { .. } => {}
    }
}

/// Raises doubts, and lays them to rest when evidence comes.
fn weigh(payment: &mut Payment, event: &Event) {
    match event {
        Event::Unknown { .. } if payment.state != State::Reconciling => {
            payment.doubt.get_or_insert(Doubt::Unknown);
        }
        Event::KeyExpired { .. } => payment.doubt = Some(Doubt::KeyExpired),
        // Taken on, and it may still come to anything: only news of how it ended lays the doubt to rest. Nor is what is asked
        // about certain: the customer may be acting at this very moment.
        Event::Accepted { .. } | Event::InquiryRequested { .. } => {
            payment.doubt.get_or_insert(Doubt::Unknown);
        }
        Event::Authorized { .. }
        | Event::Captured { .. }
        | Event::ActionRequired { .. }
        | Event::Declined { .. }
        | Event::Voided { .. }
        | Event::Refunded { .. }
        | Event::ResolvedSucceeded { .. }
        | Event::ResolvedFailed { .. }
        | Event::ResolvedCanceled { .. } => {
            if payment.doubt.take() == Some(Doubt::KeyExpired) {
                renew_key(payment);
            }
        }
        // No more than that nothing has happened so far: the call under the old key may still be on its way, unless the
        // key is too old for that.
        Event::Untouched { .. } => {
            if payment.doubt == Some(Doubt::KeyExpired) {
                payment.doubt = Some(Doubt::Unknown);
                renew_key(payment);
            }
        }
        Event::Started { .. }
        | Event::AttemptStarted { .. }
        | Event::Registered { .. }
        | Event::Rejected { .. }
        | Event::Unknown { .. }
        | Event::NotSent { .. }
        | Event::Throttled { .. }
        | Event::AmountsDisagree { .. }
        | Event::CaptureFailed { .. }
        | Event::VoidFailed { .. }
        | Event::RefundFailed { .. }
        | Event::DisputeOpened { .. }
        | Event::DisputeClosed { .. }
        | Event::ChargedBack { .. }
        | Event::ChargebackReversed { .. }
        | Event::DeadlinePassed {}
        | Event::CaptureRequested { .. }
        | Event::CancelRequested { .. }
        | Event::ActionCompleted { .. }
        | Event::Redriven { .. }
        | Event::RefundRequested { .. }
        | Event::RefundUpdated { .. }
        | Event::RetryRequested { .. }
        | Event::Noted { .. }
        | Event::ResolutionProposed { .. }
        | Event::RefundProposed { .. }
        | Event::ProposalWithdrawn { .. } => {}
    }
}

/// The PSP does not do what it was asked to do; the next call asks anew.
fn refused(payment: &mut Payment) {
    renew_key(payment);
    if payment.state == State::Finalizing && payment.capture_method == CaptureMethod::Manual {
        // The capture was refused as it was asked for; the client may ask for another.
        payment.goal = Goal::Hold;
        payment.amount_to_capture_minor = None;
    }
}

/// The next call is a new one for the PSP.
pub(super) fn renew_key(payment: &mut Payment) {
    payment.operation += 1;
    payment.key_use = None;
}

/// A payment keeps the first reference it learns: another one is somebody else's, or a second payment of ours.
fn learn(payment: &mut Payment, psp_reference: Option<&String>) {
    if payment.psp_reference.is_none() {
        payment.psp_reference = psp_reference.cloned();
    }
}

/// Whether news of a refund brings nothing new: a refund counts once, and one that has failed has ended.
pub(super) fn is_told_again(payment: &Payment, event: &Event) -> bool {
    if let Event::Refunded { psp_refund, .. } = event {
        let refunds = &payment.refunds;
        // A refund itself may be told of its success again: its state says whether that is news.
        return if payment.refund_of.is_some() {
            refunds.have_failed(psp_refund.as_deref())
        } else {
            refunds.know(psp_refund.as_deref())
        };
    }
    matches!(event, Event::RefundFailed { psp_refund, .. } if payment.refunds.have_failed(psp_refund.as_deref()))
}

/// Whether the row already counts the money that late news tells of.
pub(super) fn is_counted(payment: &Payment, event: &Event) -> bool {
    let counted = if event.kind() == EventKind::Captured {
        payment.amount_captured_minor
    } else {
        payment.amount_authorized_minor
    };
    counted > 0
}
