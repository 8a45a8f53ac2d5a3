//! Rules that several states of the charge workflow, version 1, share.
//!
//! Not here: which state has which; that is the table in `charge_v1.rs`.

use Next::{FailOver, Reverse, Stay, To};
use State::{
    Authorized, AwaitingWebhook, Canceled, Canceling, Expired, Failed, Finalizing, InReview, RequiresAction, Succeeded,
};

use super::{AttemptRules, ErrorClass, NewsRules, Next, OperatorRules, RefundRules, RequestRules, Rule, State};

pub(super) const fn to(state: State) -> Rule {
    Rule::Move(To(state))
}

pub(super) const fn by_goal(capture: State, hold: State, cancel: State, reverse: State) -> Rule {
    Rule::ByGoal { capture: To(capture), hold: To(hold), cancel: To(cancel), reverse: To(reverse) }
}

pub(super) const fn retry(class: ErrorClass) -> Rule {
    Rule::Move(Next::Retry(class))
}

pub(super) const STAY: Rule = Rule::Move(Stay);
/// A no ends the payment, unless the client named another means for a soft one and still wants the money.
pub(super) const REFUSED: Rule =
    Rule::ByGoal { capture: FailOver(Failed), hold: FailOver(Failed), cancel: To(Failed), reverse: To(Failed) };
/// Reserved money goes where the client wants it.
pub(super) const RESERVED: Rule = by_goal(Finalizing, Authorized, Canceling, Canceling);
/// Captured money ends the payment, unless it moved after the end.
pub(super) const BOOKED: Rule = by_goal(Succeeded, Succeeded, Succeeded, Canceling);
/// Released money: canceled when somebody asked for it, expired when time did.
pub(super) const RELEASED: Rule = by_goal(Expired, Expired, Canceled, Canceled);
pub(super) const NOT_ENDED: Rule = Rule::Illegal("only a payment in review can be redriven");
pub(super) const NO_DEADLINE: Rule = Rule::Illegal("work is bounded by its retry policy, not by a deadline");
pub(super) const NOT_ON_OFFER: Rule = Rule::Illegal("no authorization is waiting to be captured");
pub(super) const NO_ACTION: Rule = Rule::Illegal("the customer is not being asked for anything");
pub(super) const ACTED: Rule = Rule::Stale("the payment has gone on without it");
pub(super) const NO_CAPTURE: Rule = Rule::Stale("nothing of this payment is captured, so no capture can have failed");
pub(super) const NO_VOID: Rule = Rule::Stale("no void of this payment is under way");
pub(super) const NO_REFUND: Rule = Rule::Stale("nothing of this payment is refunded, so no refund can have failed");
pub(super) const NOT_CAPTURED: Rule = Rule::Stale("nothing of this payment is captured, so no refund concerns it");

/// Where no worker has anything under way.
pub(super) const NO_ATTEMPT: AttemptRules = AttemptRules {
    attempt_started: Rule::Illegal("no activity is due in this state"),
    registered: Rule::Illegal("no attempt is under way"),
    rejected: Rule::Illegal("no attempt is under way"),
    untouched: Rule::Illegal("no attempt is under way"),
    unknown: Rule::Illegal("no attempt is under way"),
    not_sent: Rule::Illegal("no attempt is under way"),
    throttled: Rule::Illegal("no attempt is under way"),
    key_expired: Rule::Illegal("no attempt is due"),
};

/// What the PSP tells while the authorization is open, whichever way it reaches us.
pub(super) const OPEN_NEWS: NewsRules = NewsRules {
    authorized: RESERVED,
    captured: BOOKED,
    accepted: to(AwaitingWebhook),
    action_required: by_goal(RequiresAction, RequiresAction, Canceling, Canceling),
    declined: REFUSED,
    voided: RELEASED,
    refunded: NOT_CAPTURED,
    amounts_disagree: to(InReview),
    capture_failed: NO_CAPTURE,
    void_failed: NO_VOID,
    refund_failed: NO_REFUND,
    disputed: STAY,
};

/// What the PSP tells after the payment ended without its money: a success now has to be undone.
pub(super) const LATE_NEWS: NewsRules = NewsRules {
    authorized: Rule::Move(Reverse),
    captured: Rule::Move(Reverse),
    accepted: Rule::Stale("the payment has ended; only a success would change that"),
    action_required: Rule::Stale("the payment has ended; the customer need not act"),
    declined: Rule::Stale("the payment has ended without its money already"),
    voided: Rule::Stale("the payment has ended without its money already"),
    refunded: Rule::Stale("the payment has ended without its money already"),
    amounts_disagree: to(InReview),
    capture_failed: Rule::Stale("the payment has ended without its money already"),
    void_failed: to(InReview),
    // What was to be given back is still with us, and the row says that nothing is.
    refund_failed: to(InReview),
    disputed: STAY,
};

/// What may be asked of a payment that has ended without its money.
pub(super) const ENDED_REQUESTS: RequestRules = RequestRules {
    deadline_passed: Rule::Illegal("the payment has ended"),
    capture_requested: Rule::Illegal("the payment has ended; nothing is held that could be captured"),
    cancel_requested: Rule::Illegal("the payment has ended; there is nothing to cancel"),
    action_completed: ACTED,
    redriven: NOT_ENDED,
};

pub(super) const ACTIVITY_REQUESTS: RequestRules = RequestRules {
    deadline_passed: NO_DEADLINE,
    capture_requested: NOT_ON_OFFER,
    cancel_requested: STAY,
    action_completed: ACTED,
    redriven: NOT_ENDED,
};

/// Refunds are asked of money that is surely there. One that is under way goes on whatever else happens to the charge.
pub(super) const REFUNDS_OF_NOTHING: RefundRules =
    RefundRules { requested: Rule::Illegal("nothing of it is captured that could be given back"), updated: STAY };
/// Where what was captured is in question.
pub(super) const REFUNDS_LATER: RefundRules = RefundRules {
    requested: Rule::Illegal("what became of its money is being found out; try again when that is known"),
    updated: STAY,
};

pub(super) const NO_REVIEW: Rule = Rule::Illegal("only a payment in review is ended by people");
pub(super) const NO_PROPOSAL: Rule = Rule::Illegal("nothing is proposed here that could be taken back");
pub(super) const NO_BACKOFF: Rule = Rule::Illegal("no retry is waiting here");
pub(super) const NO_REFUND_YET: Rule = Rule::Illegal("nothing of it is captured that could be given back");

/// Where a worker acts: it need not wait for a backoff to end, and its call's answer tells what happened.
pub(super) const AT_WORK: OperatorRules = OperatorRules {
    retry_requested: STAY,
    inquiry_requested: Rule::Illegal("a call is due or under way, and its answer tells; retry makes it now"),
    resolution_proposed: NO_REVIEW,
    refund_proposed: NO_REFUND_YET,
    proposal_withdrawn: NO_PROPOSAL,
    resolved_succeeded: NO_REVIEW,
    resolved_failed: NO_REVIEW,
    resolved_canceled: NO_REVIEW,
};
/// Where nothing has been sent to the PSP yet.
pub(super) const AT_THE_START: OperatorRules = OperatorRules {
    inquiry_requested: Rule::Illegal("nothing was sent to the PSP that it could be asked about"),
    ..AT_WORK
};
/// Where the PSP is being asked already.
pub(super) const ASKING: OperatorRules =
    OperatorRules { inquiry_requested: Rule::Illegal("the PSP is being asked already; retry asks it now"), ..AT_WORK };
/// Where somebody's news is awaited that may have got lost.
pub(super) const AWAITING: OperatorRules =
    OperatorRules { retry_requested: NO_BACKOFF, inquiry_requested: to(State::Reconciling), ..AT_WORK };
/// Where the money is reserved.
pub(super) const HOLDING: OperatorRules = OperatorRules {
    retry_requested: NO_BACKOFF,
    // Asking would put off the deadline, and the authorization might lapse before it is voided.
    inquiry_requested: Rule::Illegal("the money is reserved, and the PSP tells when that changes"),
    ..AT_WORK
};
/// Where the payment has ended without its money.
pub(super) const OVER: OperatorRules = OperatorRules {
    retry_requested: Rule::Illegal("the payment has ended"),
    inquiry_requested: Rule::Illegal("the payment has ended; what the PSP tells later still counts"),
    ..AT_WORK
};
/// Where a person decides.
pub(super) const REVIEWED: OperatorRules = OperatorRules {
    retry_requested: NO_BACKOFF,
    inquiry_requested: Rule::Illegal("a redrive asks the PSP, and goes on by what it says"),
    resolution_proposed: STAY,
    refund_proposed: Rule::Illegal("what became of its money is being found out; try again when that is known"),
    proposal_withdrawn: STAY,
    resolved_succeeded: to(Succeeded),
    resolved_failed: to(Failed),
    resolved_canceled: to(Canceled),
};
