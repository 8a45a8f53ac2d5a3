//! A payment service provider, seen from the core: a pure builder of requests and a total reader of answers.
//!
//! Not here: sending. One HTTP client in `activities` sends for all gateways. A PSP's name appears in its own
//! gateway file and in configuration, nowhere else.

use serde::Serialize;
use strum::{Display, EnumIter, IntoStaticStr};

use crate::event::{DisputeVerdict, Unknown};
use crate::ids::PaymentId;
use crate::money::Money;
use crate::payment::{Failure, NextAction, Payment};
use jiff::Timestamp;

/// One call to a PSP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Display, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// Make the payment known; no money moves.
    Register,
    /// Reserve the money.
    Authorize,
    /// Go on with the reservation after the customer has acted.
    Complete,
    /// Take reserved money.
    Capture,
    /// Release reserved money, or make sure that none can be reserved.
    Void,
    /// Give captured money back.
    Refund,
    /// Ask what happened.
    Inquire,
}

/// A call about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What to do.
    pub operation: Operation,
    /// For which payment.
    pub payment: &'a Payment,
    /// The PSP's idempotency key for it: the same on every attempt.
    pub key: &'a str,
}

/// How a request is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Reads.
    Get,
    /// Acts.
    Post,
}

/// An HTTP request, as data. Credentials are added by the client that sends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Path and query below the PSP's base URL.
    pub path: String,
    /// Header names (lower case) and values. No secrets.
    pub headers: Vec<(&'static str, String)>,
    /// The body, already encoded.
    pub body: String,
}

/// A complete HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Retry-After` in milliseconds, when there was one that could be read.
    pub retry_after_ms: Option<u64>,
    /// The body, within the size limit.
    pub body: Vec<u8>,
}

/// What a call came to. A decline is an answer; only `Unknown` leaves open what happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is done, and this is how the payment stands at the PSP.
    Approved(Standing),
    /// The customer has to act first.
    ActionRequired {
        /// The PSP's name for the payment, when it has one already.
        psp_reference: Option<String>,
        /// What the customer has to do.
        next_action: NextAction,
    },
    /// Taken; the result comes by webhook.
    Pending {
        /// The PSP's name for the payment, when it gave one.
        psp_reference: Option<String>,
    },
    /// The issuer or the PSP said no.
    Declined(Failure),
    /// The request itself was refused; nothing moved.
    Rejected(Failure),
    /// Too many requests; nothing moved.
    Throttled {
        /// How long the PSP asks to wait.
        retry_after_ms: Option<u64>,
    },
    /// The request did not get there; nothing moved.
    NotSent {
        /// What stopped it.
        why: String,
        /// How long to wait, when somebody said.
        retry_after_ms: Option<u64>,
    },
    /// Anything may have happened.
    Unknown {
        /// What was seen instead of an answer.
        why: Unknown,
        /// Details for people: no secrets, no bodies.
        detail: String,
    },
}

/// How a payment stands at the PSP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Known there; no money moved.
    Registered {
        /// The PSP's name for the payment.
        psp_reference: String,
    },
    /// The money is reserved.
    Authorized {
        /// The PSP's name for the payment.
        psp_reference: String,
        /// How much.
        money: Money,
    },
    /// The money was captured.
    Captured {
        /// The PSP's name for the payment.
        psp_reference: String,
        /// How much.
        money: Money,
    },
    /// The authorization was released, or can never come to be.
    Voided {
        /// The PSP's name for the payment, when it ever had one.
        psp_reference: Option<String>,
    },
    /// Captured money was given back.
    Refunded {
        /// How much.
        money: Money,
        /// The PSP's name for the refund, when it tells it.
        psp_refund: Option<String>,
    },
    /// Nothing has happened there.
    Untouched {
        /// What was asked and answered, in one clause.
        evidence: String,
    },
}

/// What an authentic webhook says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// The PSP's name for the event: the same on every delivery.
    pub event_id: String,
    /// The PSP's name for the kind of event.
    pub event_type: String,
    /// When it happened, as the PSP tells it. It decides nothing.
    pub happened_at: Option<Timestamp>,
    /// Our payment, when the PSP passes our reference back.
    pub payment_id: Option<PaymentId>,
    /// The PSP's name for the payment.
    pub psp_reference: Option<String>,
    /// What it means for the payment; `None` when it means nothing to the workflow.
    pub news: Option<News>,
}

/// What a webhook tells. Beside the outcomes of calls there is later news of money, which no call is waiting for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// How the payment stands, or what a call came to.
    Outcome(Outcome),
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
        /// How much was to be given back.
        money: Money,
        /// The PSP's name for the refund, when it tells it.
        psp_refund: Option<String>,
        /// Why, as far as the PSP tells.
        failure: Failure,
    },
    /// The customer disputes the payment; no money has moved for it yet.
    DisputeOpened {
        /// The PSP's word for why.
        reason: Option<String>,
    },
    /// A dispute is decided. What money moved for it is told apart.
    DisputeClosed {
        /// For whom.
        verdict: DisputeVerdict,
    },
    /// A dispute took money back.
    ChargedBack {
        /// How much.
        money: Money,
    },
    /// A dispute was won: money that it took came back.
    ChargebackReversed {
        /// How much.
        money: Money,
    },
}

impl News {
    /// The PSP's name for the refund that it is about, if it is about one.
    #[must_use]
    pub fn psp_refund(&self) -> Option<&str> {
        match self {
            Self::Outcome(Outcome::Approved(Standing::Refunded { psp_refund, .. }))
            | Self::RefundFailed { psp_refund, .. } => psp_refund.as_deref(),
            Self::Outcome(_)
            | Self::CaptureFailed { .. }
            | Self::VoidFailed { .. }
            | Self::DisputeOpened { .. }
            | Self::DisputeClosed { .. }
            | Self::ChargedBack { .. }
            | Self::ChargebackReversed { .. } => None,
        }
    }
}

/// Why a webhook was refused. Nothing it says may be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
pub enum WebhookRefused {
    /// There is no signature, or it cannot be read.
    #[error("the signature is missing or malformed")]
    SignatureMissing,
    /// No signature fits the body.
    #[error("no signature matches the body")]
    SignatureMismatch,
    /// Signed too long ago or too far in the future.
    #[error("the signature's timestamp is outside the tolerance")]
    TimestampOutsideTolerance,
    /// It cannot be read far enough to find what is signed.
    #[error("the body is not a webhook of this PSP")]
    Malformed,
}

/// An authentic item that cannot be read: of a kind or version that came after this program, or a defect. It is kept,
/// for a person to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body is not an event that can be read")]
pub struct Unreadable;

/// What a PSP can and cannot do, as data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// How long the PSP remembers an idempotency key, at least, in milliseconds. A call made again later would be a
    /// new call, so the engine refuses to make it.
    pub key_lifetime_ms: u64,
    /// The longest idempotency key it takes, in bytes.
    pub key_max_bytes: usize,
    /// How an unknown outcome is cleared up.
    pub query: Query,
    /// How often, and in which parts, an authorization can be captured.
    pub captures: Captures,
}

/// How an unknown outcome is cleared up, when no webhook tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query {
    /// The PSP is asked for the payment by the name it gave, which we store before money can move.
    ByReference,
    /// The PSP cannot be asked. The same call is made again under its key, and answered as it was the first time.
    ByReplay,
}

/// How an authorization can be captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Captures {
    /// All of it or nothing.
    Whole,
    /// Once; the rest is released.
    OncePartly,
    /// In several parts.
    Several,
}

/// The longest idempotency key that the engine makes: a payment's id, the operation's number and its name.
pub const LONGEST_KEY: usize = 64;

/// A PSP.
pub trait Gateway: Send + Sync {
    /// The name it is configured by.
    fn psp(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether the PSP can take exactly this amount of this currency: some count other decimals than ISO 4217.
    ///
    /// # Errors
    /// It cannot; the text says what would do, for the client.
    fn supports(&self, money: Money) -> Result<(), String>;

    /// Whether the PSP has to be told of the payment before money can move.
    fn needs_registration(&self, payment: &Payment) -> bool;

    /// Whether an inquiry needs to ask at all; if not, what we know already.
    fn known_standing(&self, payment: &Payment) -> Option<Standing>;

    /// The request for a call. Pure.
    fn request(&self, call: Call<'_>) -> Request;

    /// What an answer means. Total: any status and any bytes have a meaning, and what cannot be read is `Unknown`.
    fn read(&self, operation: Operation, payment: &Payment, answer: &Answer) -> Outcome;

    /// Verifies a webhook over its raw bytes and takes it apart into the events it carries, at least one. When one of
    /// them is not authentic, none is believed.
    ///
    /// # Errors
    /// Why it is refused.
    fn verify(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: jiff::Timestamp,
    ) -> Result<Vec<Vec<u8>>, WebhookRefused>;

    /// Reads one event that [`Gateway::verify`] found authentic, when it came or later from the inbox.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn notification(&self, event: &[u8]) -> Result<Notification, Unreadable>;
}
