//! A payment as it is stored: what was asked for, where it stands, and the bookkeeping of the machine.
//!
//! Not here: how it changes ([`crate::decide`]) and how databases write it (their crates).

mod proposal;
mod refund;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::definition::{self, Activity, Definition, Goal, Kind, State};
use crate::history::Hash;
use crate::ids::{MerchantId, PaymentId};
use crate::money::{Currency, Money};

pub use proposal::{Outcome, PROPOSAL_HOLDS_FOR, Proposal, Proposed, Resolution};
pub(crate) use refund::RefundCounts;
pub use refund::{RefundOf, RefundReason, RefundStatus, Refunds};

/// When the money is taken.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Display, EnumIter, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CaptureMethod {
    /// As soon as it is authorized.
    #[default]
    Automatic,
    /// When the client asks for it.
    Manual,
}

impl From<CaptureMethod> for Goal {
    fn from(method: CaptureMethod) -> Goal {
        match method {
            CaptureMethod::Automatic => Goal::Capture,
            CaptureMethod::Manual => Goal::Hold,
        }
    }
}

/// What kind of no it was, and so whether trying again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Display, EnumIter, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FailureCategory {
    /// The same card may work later.
    SoftDecline,
    /// This card will not work.
    HardDecline,
    /// The customer has to authenticate and did not.
    Authentication,
    /// The PSP refused the request itself.
    InvalidRequest,
}

/// Why a payment failed, for the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of no it was.
    pub category: FailureCategory,
    /// The PSP's code.
    pub code: String,
    /// The issuer's code, as the PSP passes it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// What the client can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Failure {
    /// What a client is told when people found out that no money came: nothing keeps it from trying again.
    pub(crate) fn resolved() -> Self {
        Self {
            category: FailureCategory::SoftDecline,
            code: "resolved_by_operator".to_owned(),
            decline_code: None,
            advice: None,
        }
    }
}

/// What the customer has to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextAction {
    /// Open this page, for example for 3-D Secure.
    RedirectToUrl {
        /// The page.
        url: String,
    },
    /// Something only the PSP's own software development kit can do.
    UseSdk {},
}

/// An idempotency key in use: what for, and since when. The PSP remembers it for a limited time only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// The activity whose calls it stands for.
    pub activity: Activity,
    /// When the first of them may have been made.
    pub since: Timestamp,
}

/// What keeps us from taking for granted what happened at the PSP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Display, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Doubt {
    /// A call was made whose outcome we do not know, and no evidence has come since.
    Unknown,
    /// The same, and the PSP may have forgotten the key: only an inquiry can tell.
    KeyExpired,
}

/// Which PSP accounts a payment went to before, and which it may still go to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Route {
    /// Accounts that it was sent to and left, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<String>,
    /// Accounts to try next, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Destination>,
}

impl Route {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.former.is_empty() && self.next.is_empty()
    }
}

/// A PSP account, and the customer's means of payment there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Destination {
    /// The account's configured name.
    pub psp: String,
    /// That PSP's token.
    pub payment_method: String,
}

/// One payment. The fields up to `refund_of` never change, but for the PSP account and the token there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payment {
    /// Its name.
    pub id: PaymentId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// The PSP account it goes to.
    pub psp: String,
    /// The PSP's token for the customer's means of payment.
    pub payment_method: String,
    /// What to take.
    pub amount_minor: i64,
    /// In which currency.
    pub currency: Currency,
    /// When to take it.
    pub capture_method: CaptureMethod,
    /// Where the PSP sends the customer back to.
    pub return_url: Option<String>,
    /// The client's words.
    pub description: Option<String>,
    /// The client's data.
    pub metadata: BTreeMap<String, String>,
    /// The workflow version it runs by.
    pub definition_version: i32,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// What it gives back, when it is a refund.
    pub refund_of: Option<RefundOf>,

    /// Where it stands.
    pub state: State,
    /// Since when.
    pub state_since: Timestamp,
    /// What is to come of the money.
    pub goal: Goal,
    /// Number of the last history row. Every update compares it.
    pub seq: i64,
    /// Hash of the last history row.
    pub head_hash: Hash,
    /// Grows with every claim and never shrinks: a worker with an older one has lost the payment.
    pub fence: i64,
    /// Until when a worker holds it.
    pub lease_until: Option<Timestamp>,
    /// When to look next; none exactly when the payment has ended.
    pub next_wake_at: Option<Timestamp>,
    /// Attempts in this stay in this state.
    pub attempt: i32,
    /// Claims since the start or the last redrive.
    pub claims: i32,
    /// Number of the PSP operation: a new one means a new idempotency key, which only an authoritative refusal allows.
    pub operation: i32,
    /// The PSP's name for it.
    pub psp_reference: Option<String>,
    /// Reserved so far.
    pub amount_authorized_minor: i64,
    /// How much to capture, when the client asked for a part.
    pub amount_to_capture_minor: Option<i64>,
    /// Captured so far.
    pub amount_captured_minor: i64,
    /// Given back so far.
    pub amount_refunded_minor: i64,
    /// Asked to be given back by refunds that have not come to an end.
    pub amount_refund_pending_minor: i64,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What the customer has to do.
    pub next_action: Option<NextAction>,
    /// What the customer came back with: goes to the PSP with the next call.
    pub action_result: Option<String>,
    /// Taken back by disputes so far, and not won back.
    pub amount_charged_back_minor: i64,
    /// The idempotency key in use, if any call may have been made under it.
    pub key_use: Option<KeyUse>,
    /// Why what happened at the PSP is not known for certain, if so.
    pub doubt: Option<Doubt>,
    /// Where it went before, and where it may go.
    pub route: Route,
    /// What the PSP has told of its refunds.
    pub refunds: Refunds,
    /// What an operator has proposed, and another one has yet to approve.
    pub proposal: Option<Proposal>,
    /// When its last history row was written.
    pub updated_at: Timestamp,
}

impl Payment {
    /// What the client asked for.
    #[must_use]
    pub fn asked(&self) -> Money {
        Money { amount_minor: self.amount_minor, currency: self.currency }
    }

    /// What is to be captured.
    #[must_use]
    pub fn to_capture(&self) -> Money {
        Money { amount_minor: self.amount_to_capture_minor.unwrap_or(self.amount_minor), currency: self.currency }
    }

    /// Captured money that was not given back.
    #[must_use]
    pub fn kept_minor(&self) -> i64 {
        self.amount_captured_minor - self.amount_refunded_minor
    }

    /// The PSP's name for the charge: this one, or the one that this refund gives back.
    #[must_use]
    pub fn charge_reference(&self) -> Option<&str> {
        self.refund_of.as_ref().map_or(self.psp_reference.as_deref(), |of| Some(&of.psp_reference))
    }

    /// The charge: this one, or the one that this refund gives back.
    #[must_use]
    pub fn charge_id(&self) -> PaymentId {
        self.refund_of.as_ref().map_or(self.id, |of| of.charge)
    }

    /// What a refund call gives back: what this refund is about, or all that a charge has left.
    #[must_use]
    pub fn to_refund(&self) -> Money {
        let kept = Money { amount_minor: self.kept_minor(), currency: self.currency };
        if self.refund_of.is_some() { self.asked() } else { kept }
    }

    /// What can still be given back by refunds: captured money that was not given back, nor is about to be, nor was
    /// taken back by a dispute.
    #[must_use]
    pub fn refundable_minor(&self) -> i64 {
        (self.kept_minor() - self.amount_refund_pending_minor - self.amount_charged_back_minor).max(0)
    }

    /// What kind of payment it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.id.kind()
    }

    /// The definition it has pinned, unless this binary does not know it.
    #[must_use]
    pub fn definition(&self) -> Option<&'static Definition> {
        definition::pinned(self.kind(), self.definition_version)
    }

    /// Whether a worker holds it, alive or dead.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        self.lease_until.is_some()
    }

    /// Whether it is time to look.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_wake_at.is_some_and(|at| at <= now)
    }

    /// The activity a worker has to run in this state, by the definition it has pinned.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        self.definition()?.state(self.state).activity()
    }
}
