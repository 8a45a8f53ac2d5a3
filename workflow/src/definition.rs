//! The workflow definition: states, events and the one table that says what each event does in each state.
//!
//! Everything else is rendered from here: the decision function, `statemachine.asl.json`, `docs/WORKFLOW.md`,
//! the `check` constraints of both databases and the OpenAPI `status` enum. To change how payments behave, change
//! the table first. A released version is never edited: add the next one beside it, and keep every version that
//! payments in flight may have pinned.
//!
//! Not here: applying a rule to a payment ([`crate::decide`]) and storing the result ([`crate::engine`]).

mod charge_v1;
mod charge_v1_activities;
pub mod digest;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, EnumIter, EnumString, IntoStaticStr, VariantArray};

pub use crate::event::EventKind;
use crate::retry::RetryPolicy;

/// Where a payment stands. Each name says what the payment waits for.
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
    EnumCount,
    EnumIter,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Stored and due; no worker has taken it yet.
    Created,
    /// The authorize activity is due or under way.
    Authorizing,
    /// The customer has to act, for example pass 3-D Secure.
    RequiresAction,
    /// The PSP took the request and tells the answer by webhook.
    AwaitingWebhook,
    /// What happened at the PSP is unknown: the inquire activity asks.
    Reconciling,
    /// The money is reserved; the client's capture is awaited.
    Authorized,
    /// The capture is due or under way.
    Finalizing,
    /// The PSP took the capture and tells its result by webhook.
    AwaitingCapture,
    /// The void (or, when money moved after the end, the refund) is due or under way.
    Canceling,
    /// The money was captured.
    Succeeded,
    /// The PSP refused; no money moved.
    Failed,
    /// Canceled on request; no money is held.
    Canceled,
    /// Nobody acted in time; no money is held.
    Expired,
    /// A person has to look: retries are exhausted, or amounts disagree.
    InReview,
}

/// What the client wants to come of the money, as far as we know now.
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
pub enum Goal {
    /// Capture as soon as it is authorized.
    Capture,
    /// Hold the authorization until the client captures or cancels.
    Hold,
    /// Release the money: the client canceled.
    Cancel,
    /// Undo money that moved after the payment had ended.
    Reverse,
}

/// Work that a worker does for a payment. Each is safe to run twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Display, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Activity {
    /// Register the payment at the PSP and ask it to reserve the money.
    Authorize,
    /// Ask the PSP what it knows of the payment.
    Reconcile,
    /// Capture the reserved money.
    Finalize,
    /// Void the authorization, or refund money that was captured against the goal.
    Cancel,
}

/// Why an activity is tried again; each class has a policy of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorClass {
    /// The request never reached the PSP, or was turned away before anything was done.
    NotSent,
    /// The PSP asked for fewer requests.
    Throttled,
    /// An inquiry brought no answer. (Only inquiries may repeat after an unknown outcome.)
    Unknown,
}

/// What a state does while a payment is in it. A waiting state without a deadline cannot be written down.
#[derive(Clone, Copy, Debug)]
pub enum StateKind {
    /// A worker runs this activity; while it is due or leased, `next_wake_at` is set.
    Works(Activity),
    /// Somebody outside acts, at the latest until the deadline.
    Waits {
        /// How long, from entering the state.
        deadline_ms: u64,
        /// What it means when nobody acted, in one clause.
        meaning: &'static str,
    },
    /// The payment has ended.
    Ended,
}

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
    /// An operator sends it back to work.
    pub redriven: Rule,
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
}

/// The same in every state, so no row has a field for it.
const STARTED_ONCE: Rule = Rule::Illegal("a payment starts once");

impl StateRow {
    /// The activity a worker runs in this state, if any.
    #[must_use]
    pub const fn activity(&self) -> Option<Activity> {
        match self.kind {
            StateKind::Works(activity) => Some(activity),
            StateKind::Waits { .. } | StateKind::Ended => None,
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
            EventKind::DeadlinePassed => &self.request.deadline_passed,
            EventKind::CaptureRequested => &self.request.capture_requested,
            EventKind::CancelRequested => &self.request.cancel_requested,
            EventKind::Redriven => &self.request.redriven,
        }
    }
}

/// How one activity is run.
#[derive(Clone, Copy, Debug)]
pub struct ActivityRow {
    /// The activity.
    pub activity: Activity,
    /// One call to the PSP takes no longer, in milliseconds.
    pub call_timeout_ms: u64,
    /// A worker that has not reported for so long is taken for dead, in milliseconds. Longer than all the calls
    /// of one attempt together.
    pub lease_ms: u64,
    /// Retries after [`ErrorClass::NotSent`].
    pub not_sent: RetryPolicy,
    /// Retries after [`ErrorClass::Throttled`].
    pub throttled: RetryPolicy,
    /// Retries after [`ErrorClass::Unknown`]; reached by inquiries only.
    pub unknown: RetryPolicy,
}

impl ActivityRow {
    /// The retry policy for an error class.
    #[must_use]
    pub const fn policy(&self, class: ErrorClass) -> &RetryPolicy {
        match class {
            ErrorClass::NotSent => &self.not_sent,
            ErrorClass::Throttled => &self.throttled,
            ErrorClass::Unknown => &self.unknown,
        }
    }
}

/// A version of the workflow of one kind of payment.
#[derive(Debug)]
pub struct Definition {
    /// What a payment pins when it starts.
    pub version: i32,
    /// SHA-256 of the table's content, committed: an edit of a released version fails the tests.
    pub digest: &'static str,
    /// One row a state, in the order of [`State`].
    pub states: [StateRow; State::COUNT],
    /// One row an activity, in the order of [`Activity`].
    pub activities: [ActivityRow; 4],
    /// Claims since the start or the last redrive after which a payment goes to review: the bound of every loop
    /// in the table, and of workers that die of one payment again and again.
    pub max_claims: i32,
}

impl Definition {
    /// The row of a state.
    #[must_use]
    pub const fn state(&self, state: State) -> &StateRow {
        &self.states[state as usize]
    }

    /// The row of an activity.
    #[must_use]
    pub const fn activity(&self, activity: Activity) -> &ActivityRow {
        &self.activities[activity as usize]
    }
}

/// The charge workflow in every version that payments may have pinned, oldest first.
pub const CHARGE: [&Definition; 1] = [&charge_v1::DEFINITION];

/// The version that new charges pin.
#[must_use]
pub const fn current() -> &'static Definition {
    CHARGE[CHARGE.len() - 1]
}

/// The definition a payment has pinned; `None` when this binary does not know that version.
#[must_use]
pub fn pinned(version: i32) -> Option<&'static Definition> {
    CHARGE.into_iter().find(|definition| definition.version == version)
}

/// Whether a payment in this state has ended, in the current definition.
#[must_use]
pub const fn has_ended(state: State) -> bool {
    matches!(current().state(state).kind, StateKind::Ended)
}
