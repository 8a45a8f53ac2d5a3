//! What one event may do in one state, as types: the columns of the table. A state without a rule for each event cannot
//! be written down.
//!
//! Not here: the rules themselves; they stand in the versions of the table.

use super::{Activity, ErrorClass, EventKind, Goal, State, StateKind};

/// Where a rule leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Into this state.
    To(State),
    /// Nowhere: the fact is recorded and the payment stays.
    Stay,
    /// Nowhere, but the activity is due again after a backoff; without attempts left, into review.
    Retry(ErrorClass),
    /// Into `canceling`, to undo money that moved after the end; stale when the row already counts that money.
    Reverse,
    /// After a soft decline, to the next PSP account the client named, to authorize there; into this state after any
    /// other decline, or when there is none.
    FailOver(State),
    /// As [`Next::Retry`]. But when nothing of this payment can have reached the PSP in two attempts, the next PSP
    /// account is tried, if there is one.
    RetryElsewhere(ErrorClass),
}

/// What one event does in one state.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// The payment moves, or the fact is recorded.
    Move(Next),
    /// As [`Rule::Move`], by what the client wants.
    ByGoal {
        /// With [`Goal::Capture`].
        capture: Next,
        /// With [`Goal::Hold`].
        hold: Next,
        /// With [`Goal::Cancel`].
        cancel: Next,
        /// With [`Goal::Reverse`].
        reverse: Next,
    },
    /// Old news: recorded, and nothing changes. Says why.
    Stale(&'static str),
    /// Refused: nothing is recorded on the payment. Says why.
    Illegal(&'static str),
}

impl Rule {
    /// Where the rule leads a payment with this goal; `None` when it moves nothing.
    #[must_use]
    pub const fn next(&self, goal: Goal) -> Option<Next> {
        match (self, goal) {
            (Self::Move(next), _)
            | (Self::ByGoal { capture: next, .. }, Goal::Capture)
            | (Self::ByGoal { hold: next, .. }, Goal::Hold)
            | (Self::ByGoal { cancel: next, .. }, Goal::Cancel)
            | (Self::ByGoal { reverse: next, .. }, Goal::Reverse) => Some(*next),
            (Self::Stale(_) | Self::Illegal(_), _) => None,
        }
    }
}

/// What a worker's attempt may report.
#[derive(Clone, Copy, Debug)]
pub struct AttemptRules {
    /// A worker claimed the payment and is about to call the PSP.
    pub attempt_started: Rule,
    /// The PSP knows the payment; no money moved.
    pub registered: Rule,
    /// The PSP refused the request as it stands.
    pub rejected: Rule,
    /// The PSP has been asked and nothing has happened there.
    pub untouched: Rule,
    /// No readable answer: anything may have happened.
    pub unknown: Rule,
    /// Nothing can have happened: the request did not get there.
    pub not_sent: Rule,
    /// The PSP asked to slow down; nothing happened.
    pub throttled: Rule,
    /// The PSP may have forgotten the key of the call that would be made: it is not made.
    pub key_expired: Rule,
}

/// What the PSP may tell, as an answer or by webhook.
#[derive(Clone, Copy, Debug)]
pub struct NewsRules {
    /// The money is reserved.
    pub authorized: Rule,
    /// The money was captured.
    pub captured: Rule,
    /// The PSP works on it and will tell by webhook.
    pub accepted: Rule,
    /// The customer has to act.
    pub action_required: Rule,
    /// The issuer or the PSP said no.
    pub declined: Rule,
    /// The authorization was released, or can never come to be.
    pub voided: Rule,
    /// Captured money was given back.
    pub refunded: Rule,
    /// The PSP reports another amount or currency than we asked for.
    pub amounts_disagree: Rule,
    /// A capture, perhaps one that was reported as done, did not bring the money.
    pub capture_failed: Rule,
    /// A void that the PSP had taken on came to nothing.
    pub void_failed: Rule,
    /// A refund, perhaps one that was reported as done, did not reach the customer.
    pub refund_failed: Rule,
    /// The customer's dispute begins, takes money, or gives it back.
    pub disputed: Rule,
}

/// What clients, operators and the clock may do.
#[derive(Clone, Copy, Debug)]
pub struct RequestRules {
    /// The state's deadline passed.
    pub deadline_passed: Rule,
    /// The client asks for the money.
    pub capture_requested: Rule,
    /// The client gives the payment up.
    pub cancel_requested: Rule,
    /// The customer has acted.
    pub action_completed: Rule,
    /// An operator sends it back to work.
    pub redriven: Rule,
}

/// What may become of a charge's refunds. Each is a payment of its own; the charge counts their money.
#[derive(Clone, Copy, Debug)]
pub struct RefundRules {
    /// The client asks for money back.
    pub requested: Rule,
    /// A refund has come to its end, or to another one.
    pub updated: Rule,
}

/// What operators may do. Acts that a client may do as well (cancel, refund) are with those of clients; what they write
/// down is allowed everywhere.
#[derive(Clone, Copy, Debug)]
pub struct OperatorRules {
    /// The backoff is to end now.
    pub retry_requested: Rule,
    /// The PSP is to be asked now.
    pub inquiry_requested: Rule,
    /// A first person says how it ended.
    pub resolution_proposed: Rule,
    /// A first person wants money given back.
    pub refund_proposed: Rule,
    /// A proposal is taken back.
    pub proposal_withdrawn: Rule,
    /// Two persons say that it succeeded.
    pub resolved_succeeded: Rule,
    /// Two persons say that it failed.
    pub resolved_failed: Rule,
    /// Two persons say that it is canceled.
    pub resolved_canceled: Rule,
}

/// One state and everything that can happen in it. A field per event: no pair can be missing or written twice.
#[derive(Clone, Copy, Debug)]
pub struct StateRow {
    /// The state.
    pub state: State,
    /// What it does.
    pub kind: StateKind,
    /// One line for operators: what the payment waits for and who can unblock it.
    pub operators: &'static str,
    /// Rules for a worker's reports.
    pub attempt: AttemptRules,
    /// Rules for the PSP's news.
    pub news: NewsRules,
    /// Rules for requests and the clock.
    pub request: RequestRules,
    /// Rules for refunds.
    pub refunds: RefundRules,
    /// Rules for operators' acts.
    pub operator: OperatorRules,
}

/// The same in every state, so no row has a field for it.
const STARTED_ONCE: Rule = Rule::Illegal("a payment starts once");

/// Likewise: whoever knows something of a payment may write it down.
const NOTED: Rule = Rule::Move(Next::Stay);

impl StateRow {
    /// The row of a state that payments of this kind never come to.
    #[must_use]
    pub const fn outside(state: State) -> Self {
        const NEVER: Rule = Rule::Illegal("payments of this kind are never in this state");
        Self {
            state,
            kind: StateKind::Outside,
            operators: "Never: a payment of this kind in this state is a defect.",
            attempt: AttemptRules {
                attempt_started: NEVER,
                registered: NEVER,
                rejected: NEVER,
                untouched: NEVER,
                unknown: NEVER,
                not_sent: NEVER,
                throttled: NEVER,
                key_expired: NEVER,
            },
            news: NewsRules {
                authorized: NEVER,
                captured: NEVER,
                accepted: NEVER,
                action_required: NEVER,
                declined: NEVER,
                voided: NEVER,
                refunded: NEVER,
                amounts_disagree: NEVER,
                capture_failed: NEVER,
                void_failed: NEVER,
                refund_failed: NEVER,
                disputed: NEVER,
            },
            request: RequestRules {
                deadline_passed: NEVER,
                capture_requested: NEVER,
                cancel_requested: NEVER,
                action_completed: NEVER,
                redriven: NEVER,
            },
            refunds: RefundRules { requested: NEVER, updated: NEVER },
            operator: OperatorRules {
                retry_requested: NEVER,
                inquiry_requested: NEVER,
                resolution_proposed: NEVER,
                refund_proposed: NEVER,
                proposal_withdrawn: NEVER,
                resolved_succeeded: NEVER,
                resolved_failed: NEVER,
                resolved_canceled: NEVER,
            },
        }
    }

    /// The activity a worker runs in this state, if any.
    #[must_use]
    pub const fn activity(&self) -> Option<Activity> {
        match self.kind {
            StateKind::Works(activity) => Some(activity),
            StateKind::Waits { .. } | StateKind::Ended | StateKind::Outside => None,
        }
    }

    /// The rule for one event.
    #[must_use]
    pub const fn rule(&self, event: EventKind) -> &Rule {
        match event {
            EventKind::Started => &STARTED_ONCE,
            EventKind::AttemptStarted => &self.attempt.attempt_started,
            EventKind::Registered => &self.attempt.registered,
            EventKind::Rejected => &self.attempt.rejected,
            EventKind::Untouched => &self.attempt.untouched,
            EventKind::Unknown => &self.attempt.unknown,
            EventKind::NotSent => &self.attempt.not_sent,
            EventKind::Throttled => &self.attempt.throttled,
            EventKind::Authorized => &self.news.authorized,
            EventKind::Captured => &self.news.captured,
            EventKind::Accepted => &self.news.accepted,
            EventKind::ActionRequired => &self.news.action_required,
            EventKind::Declined => &self.news.declined,
            EventKind::Voided => &self.news.voided,
            EventKind::Refunded => &self.news.refunded,
            EventKind::AmountsDisagree => &self.news.amounts_disagree,
            EventKind::CaptureFailed => &self.news.capture_failed,
            EventKind::VoidFailed => &self.news.void_failed,
            EventKind::RefundFailed => &self.news.refund_failed,
            EventKind::DisputeOpened
            | EventKind::ChargedBack
            | EventKind::ChargebackReversed
            | EventKind::DisputeClosed => &self.news.disputed,
            EventKind::KeyExpired => &self.attempt.key_expired,
            EventKind::DeadlinePassed => &self.request.deadline_passed,
            EventKind::CaptureRequested => &self.request.capture_requested,
            EventKind::CancelRequested => &self.request.cancel_requested,
            EventKind::ActionCompleted => &self.request.action_completed,
            EventKind::Redriven => &self.request.redriven,
            EventKind::RefundRequested => &self.refunds.requested,
            EventKind::RefundUpdated => &self.refunds.updated,
            EventKind::RetryRequested => &self.operator.retry_requested,
            EventKind::InquiryRequested => &self.operator.inquiry_requested,
            EventKind::Noted => &NOTED,
            EventKind::ResolutionProposed => &self.operator.resolution_proposed,
            EventKind::RefundProposed => &self.operator.refund_proposed,
            EventKind::ProposalWithdrawn => &self.operator.proposal_withdrawn,
            EventKind::ResolvedSucceeded => &self.operator.resolved_succeeded,
            EventKind::ResolvedFailed => &self.operator.resolved_failed,
            EventKind::ResolvedCanceled => &self.operator.resolved_canceled,
        }
    }
}
