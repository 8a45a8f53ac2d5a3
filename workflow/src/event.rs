//! Events: everything that can happen to a payment, with what is recorded of it.
//!
//! An event's fields are the allow-list of what enters history: ids, amounts, codes and reasons, never card data,
//! never a raw body. Not here: what an event does; that is the table in [`crate::definition`].

mod told;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, EnumDiscriminants, EnumIter, EnumString, IntoStaticStr, VariantArray};

use crate::definition::Activity;
use crate::ids::{MerchantId, PaymentId};
use crate::money::Money;
use crate::payment::{CaptureMethod, Failure, NextAction, RefundOf, RefundReason, RefundStatus, Resolution};

pub use words::{Approval, DisputeVerdict, Unknown};

/// Something that happened. The variant's name, in snake case, is its name in history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, EnumDiscriminants)]
#[serde(tag = "event", rename_all = "snake_case")]
#[strum_discriminants(
    name(EventKind),
    doc = "What kind of event it is: a column of the table.",
    derive(Hash, Serialize, Deserialize, Display, EnumCount, EnumIter, EnumString, IntoStaticStr, VariantArray),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case")
)]
pub enum Event {
    /// A client asked for it and it was stored: the first row of every history, and never a later one.
    Started {
        /// What to take.
        #[serde(flatten)]
        money: Money,
        /// When to take it.
        capture_method: CaptureMethod,
        /// Whose it is.
        merchant_id: MerchantId,
        /// The PSP account it goes to.
        psp: String,
        /// The PSP's token for the customer's means of payment.
        payment_method: String,
        /// The workflow version it runs by.
        definition_version: i32,
        /// What it gives back, when it is a refund.
        #[serde(skip_serializing_if = "Option::is_none")]
        refund_of: Option<RefundOf>,
    },
    /// A worker claimed the payment and is about to call the PSP: the write-ahead intent.
    AttemptStarted {
        /// What is about to run.
        activity: Activity,
        /// The idempotency keys of this attempt's calls begin with this.
        key: String,
        /// When the worker is taken for dead.
        lease_until: Timestamp,
    },
    /// The PSP knows the payment under this reference; no money moved.
    Registered {
        /// The PSP's name for the payment.
        psp_reference: String,
    },
    /// The money is reserved.
    Authorized {
        /// The PSP's name for the payment.
        psp_reference: String,
        /// What is reserved.
        #[serde(flatten)]
        money: Money,
    },
    /// The money was captured.
    Captured {
        /// The PSP's name for the payment.
        psp_reference: String,
        /// What was captured.
        #[serde(flatten)]
        money: Money,
    },
    /// The PSP works on it and will tell by webhook.
    Accepted {
        /// The PSP's name for the payment, when it gave one.
        psp_reference: Option<String>,
    },
    /// The customer has to act.
    ActionRequired {
        /// The PSP's name for the payment, when it has one already.
        psp_reference: Option<String>,
        /// What the customer has to do.
        next_action: NextAction,
    },
    /// The issuer or the PSP said no.
    Declined {
        /// Why, as far as the PSP tells.
        failure: Failure,
    },
    /// The PSP refused the request as it stands: an authoritative no, which moved nothing.
    Rejected {
        /// The PSP's code.
        failure: Failure,
    },
    /// The authorization was released, or can never come to be.
    Voided {
        /// The PSP's name for the payment, when it ever had one.
        psp_reference: Option<String>,
    },
    /// Captured money was given back.
    Refunded {
        /// What was given back.
        #[serde(flatten)]
        money: Money,
        /// The PSP's name for the refund, when it tells it.
        #[serde(skip_serializing_if = "Option::is_none")]
        psp_refund: Option<String>,
    },
    /// The PSP has been asked and nothing has happened there.
    Untouched {
        /// What it was asked, in one clause.
        evidence: String,
    },
    /// No readable answer: anything may have happened.
    Unknown {
        /// What was seen instead of an answer.
        why: Unknown,
        /// The details for people.
        detail: String,
    },
    /// Nothing can have happened: the request did not get there.
    NotSent {
        /// What stopped it.
        why: String,
        /// How long the PSP (or our circuit breaker) asks to wait.
        retry_after_ms: Option<u64>,
    },
    /// The PSP asked to slow down; nothing happened.
    Throttled {
        /// How long the PSP asks to wait.
        retry_after_ms: Option<u64>,
    },
    /// The PSP reports another amount or currency than we asked for.
    AmountsDisagree {
        /// The PSP's name for the payment.
        psp_reference: String,
        /// What we asked for.
        expected: Money,
        /// What the PSP reports.
        seen: Money,
        /// Whether the PSP says that the money was captured (else: reserved).
        captured: bool,
    },
    /// A capture, perhaps one that was reported as done, did not bring the money.
    CaptureFailed {
        /// Why, as far as the PSP tells.
        failure: Failure,
    },
    /// A void that the PSP had taken on came to nothing.
    VoidFailed {
        /// Why, as far as the PSP tells.
        failure: Failure,
    },
    /// A refund, perhaps one that was reported as done, did not reach the customer.
    RefundFailed {
        /// What was to be given back.
        #[serde(flatten)]
        money: Money,
        /// The PSP's name for the refund, when it tells it.
        #[serde(skip_serializing_if = "Option::is_none")]
        psp_refund: Option<String>,
        /// Why, as far as the PSP tells.
        failure: Failure,
    },
    /// The customer disputes the payment; no money has moved for it yet.
    DisputeOpened {
        /// The PSP's word for why.
        reason: Option<String>,
    },
    /// A dispute took money back.
    ChargedBack {
        /// How much.
        #[serde(flatten)]
        money: Money,
    },
    /// A dispute was won: money that it took came back.
    ChargebackReversed {
        /// How much.
        #[serde(flatten)]
        money: Money,
    },
    /// A dispute is decided. What money moved for it is told apart.
    DisputeClosed {
        /// For whom.
        verdict: DisputeVerdict,
    },
    /// The next call would repeat one under a key that the PSP may have forgotten: it is not made.
    KeyExpired {
        /// What the key was used for.
        activity: Activity,
        /// Since when.
        key_since: Timestamp,
    },
    /// The state's deadline passed.
    DeadlinePassed {},
    /// The client asks for the money.
    CaptureRequested {
        /// How much of it, in minor units.
        amount_minor: i64,
    },
    /// The client, or an operator for it, gives the payment up.
    CancelRequested {
        /// Why: a client's word from a fixed list, an operator's in their own words.
        reason: Option<String>,
    },
    /// The customer has acted, and the client hands over what they came back with.
    ActionCompleted {
        /// What the PSP gave the customer to bring back; empty where PSPs are told without us. It may open a session, so
        /// history keeps its hash only.
        #[serde(skip)]
        result: String,
    },
    /// An operator sends it back to work.
    Redriven {
        /// Why, in the operator's words.
        reason: String,
        /// What the operator has said to be settled, where a redrive decides more than to ask.
        #[serde(skip_serializing_if = "Option::is_none")]
        decided: Option<String>,
    },
    /// The client, or an operator for it, asks for money of this charge back: a refund begins, in the same transaction.
    RefundRequested {
        /// The refund.
        refund: PaymentId,
        /// How much.
        #[serde(flatten)]
        money: Money,
        /// The proposal that a second operator approved by it.
        #[serde(skip_serializing_if = "Option::is_none")]
        approval: Option<Approval>,
    },
    /// A refund of this charge has come to its end, or to another end than it had come to: its money counts otherwise
    /// from now on. Written in the transaction that moves the refund.
    RefundUpdated {
        /// The refund.
        refund: PaymentId,
        /// How much.
        #[serde(flatten)]
        money: Money,
        /// How its money was counted before.
        was: RefundStatus,
        /// How it is counted now.
        is: RefundStatus,
        /// The PSP's name for the refund, when it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        psp_refund: Option<String>,
    },
    /// An operator does not wait for the backoff to end.
    RetryRequested {
        /// Why, in the operator's words.
        reason: String,
    },
    /// An operator has the PSP asked now what it knows.
    InquiryRequested {
        /// Why, in the operator's words.
        reason: String,
    },
    /// An operator writes something down.
    Noted {
        /// What.
        reason: String,
    },
    /// An operator has found out how a payment in review ended, and asks a second one to approve.
    ResolutionProposed {
        /// How it ended.
        resolution: Resolution,
        /// The evidence, in the operator's words.
        reason: String,
        /// Until when it can be approved.
        expires_at: Timestamp,
    },
    /// An operator wants money of this charge given back, and asks a second one to approve.
    RefundProposed {
        /// How much.
        #[serde(flatten)]
        money: Money,
        /// Why, in a word that PSPs share.
        #[serde(skip_serializing_if = "Option::is_none")]
        refund_reason: Option<RefundReason>,
        /// Why, in the operator's words.
        reason: String,
        /// Until when it can be approved.
        expires_at: Timestamp,
    },
    /// An operator takes a proposal back, their own or another's.
    ProposalWithdrawn {
        /// The history row of the proposal.
        proposal: i64,
        /// Why, in the operator's words.
        reason: String,
    },
    /// Two operators say that it succeeded.
    ResolvedSucceeded {
        /// What was captured; none of a refund.
        #[serde(flatten)]
        money: Option<Money>,
        /// The PSP's name for it, where they found one.
        #[serde(skip_serializing_if = "Option::is_none")]
        psp_reference: Option<String>,
        /// The proposal that the second one approved by it.
        approval: Approval,
    },
    /// Two operators say that no money came, or that none was given back.
    ResolvedFailed {
        /// The PSP's name for it, where they found one.
        #[serde(skip_serializing_if = "Option::is_none")]
        psp_reference: Option<String>,
        /// The proposal that the second one approved by it.
        approval: Approval,
    },
    /// Two operators say that what was reserved is released, and what was captured is given back.
    ResolvedCanceled {
        /// The PSP's name for it, where they found one.
        #[serde(skip_serializing_if = "Option::is_none")]
        psp_reference: Option<String>,
        /// The proposal that the second one approved by it.
        approval: Approval,
    },
}

impl Event {
    /// The column of the table it belongs to.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        EventKind::from(self)
    }
}

/// Who caused an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A client, named by its API key.
    Client(String),
    /// A worker, named by its process.
    Worker(String),
    /// The PSP by webhook, named by the webhook event.
    Psp(String),
    /// A clock: a deadline or an expired lease.
    Clock(Timekeeper),
    /// A person, by name.
    Operator(String),
    /// A refund of this charge.
    Refund(PaymentId),
}

/// Whose clock it is that says the time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::Display, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Timekeeper {
    /// The times in the row, looked at by a sweep or whenever somebody comes by.
    Database,
    /// AWS Step Functions, which sends a message when a task has taken too long.
    StepFunctions,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(name) => write!(f, "client:{name}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
            Self::Psp(name) => write!(f, "psp:{name}"),
            Self::Clock(keeper) => write!(f, "clock:{keeper}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Refund(id) => write!(f, "refund:{id}"),
        }
    }
}
