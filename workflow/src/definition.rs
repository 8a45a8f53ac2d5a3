//! The workflow definition: states, events and the one table that says what each event does in each state.
//!
//! Everything else is rendered from here: the decision function, `statemachine.asl.json`, `docs/WORKFLOW.md`,
//! the `check` constraints of both databases and the OpenAPI `status` enum. To change how payments behave, change
//! the table first. A released version is never edited: add the next one beside it, and keep every version that
//! payments in flight may have pinned.
//!
//! Not here: applying a rule to a payment ([`crate::decide`]) and storing the result ([`crate::engine`]).

mod activities_v1;
mod charge_v1;
mod charge_v1_rules;
pub mod digest;
mod refund_v1;
mod rules;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, EnumIter, EnumString, IntoStaticStr, VariantArray};

pub use crate::event::EventKind;
use crate::retry::RetryPolicy;
pub use rules::{AttemptRules, NewsRules, Next, OperatorRules, RefundRules, RequestRules, Rule, StateRow};

/// What kind of payment it is: which workflow it goes through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Display, EnumIter, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Takes money.
    Charge,
    /// Gives money of a charge back.
    Refund,
}

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
    /// The refund is due or under way. Only refunds are ever here.
    Refunding,
    /// The money was captured; that of a refund was given back.
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
    /// Give money back: it moved after the payment had ended, or that is what the payment is for.
    Reverse,
}

/// Work that a worker does for a payment. Each is safe to run twice.
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
)]
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
    /// Give captured money back, because the client asked for a refund.
    Refund,
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
    /// Payments of this kind never come here.
    Outside,
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
    /// The kind of payment.
    pub kind: Kind,
    /// What a payment pins when it starts.
    pub version: i32,
    /// SHA-256 of the table's content, committed: an edit of a released version fails the tests.
    pub digest: &'static str,
    /// One row a state, in the order of [`State`].
    pub states: [StateRow; State::COUNT],
    /// One row an activity, in the order of [`Activity`].
    pub activities: [ActivityRow; Activity::COUNT],
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

    /// The rows of the states that payments of this kind come to.
    pub fn reached(&self) -> impl Iterator<Item = &StateRow> {
        self.states.iter().filter(|row| !matches!(row.kind, StateKind::Outside))
    }

    /// The rows of the activities that payments of this kind need.
    pub fn runs(&self) -> impl Iterator<Item = &ActivityRow> {
        let needed = |row: &&ActivityRow| self.states.iter().any(|state| state.activity() == Some(row.activity));
        self.activities.iter().filter(needed)
    }

    /// How long a payment stays in a state at most, in milliseconds, while workers do their work: until the state's deadline,
    /// or until the last retry has been given up.
    #[must_use]
    pub fn longest_stay_ms(&self, row: &StateRow) -> Option<u64> {
        match row.kind {
            StateKind::Waits { deadline_ms, .. } => Some(deadline_ms),
            StateKind::Works(activity) => {
                let row = self.activity(activity);
                let policies = [row.not_sent, row.throttled, row.unknown];
                let longest = policies.iter().map(|policy| policy.max_elapsed_ms + policy.max_delay_ms).max();
                longest.map(|longest| longest + row.lease_ms)
            }
            StateKind::Ended | StateKind::Outside => None,
        }
    }

    /// The row of an activity.
    #[must_use]
    pub const fn activity(&self, activity: Activity) -> &ActivityRow {
        &self.activities[activity as usize]
    }
}

/// The charge workflow in every version that payments may have pinned, oldest first.
pub const CHARGE: [&Definition; 1] = [&charge_v1::DEFINITION];

/// The refund workflow, likewise.
pub const REFUND: [&Definition; 1] = [&refund_v1::DEFINITION];

/// The version that new payments of this kind pin.
#[must_use]
pub const fn current(kind: Kind) -> &'static Definition {
    match kind {
        Kind::Charge => CHARGE[CHARGE.len() - 1],
        Kind::Refund => REFUND[REFUND.len() - 1],
    }
}

/// The definition a payment has pinned; `None` when this binary does not know that version.
#[must_use]
pub fn pinned(kind: Kind, version: i32) -> Option<&'static Definition> {
    let versions: &[&Definition] = match kind {
        Kind::Charge => &CHARGE,
        Kind::Refund => &REFUND,
    };
    versions.iter().copied().find(|definition| definition.version == version)
}

/// Whether a payment in this state has ended, whatever its kind.
#[must_use]
pub const fn has_ended(state: State) -> bool {
    matches!(current(Kind::Charge).state(state).kind, StateKind::Ended)
}

/// Whether a payment in this state waits for somebody outside, whatever its kind.
#[must_use]
pub const fn waits(state: State) -> bool {
    matches!(current(Kind::Charge).state(state).kind, StateKind::Waits { .. })
}

/// Whether a payment in this state stays there until its client, their customer or an operator acts, or for good: what
/// somebody who waits for it wants to hear of.
#[must_use]
pub const fn rests(state: State) -> bool {
    match state {
        State::RequiresAction
        | State::Authorized
        | State::Succeeded
        | State::Failed
        | State::Canceled
        | State::Expired
        | State::InReview => true,
        State::Created
        | State::Authorizing
        | State::AwaitingWebhook
        | State::Reconciling
        | State::Finalizing
        | State::AwaitingCapture
        | State::Canceling
        | State::Refunding => false,
    }
}
