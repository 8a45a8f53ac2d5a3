//! A payment service provider, seen from the core: a pure builder of requests and a total reader of answers.
//!
//! Not here: sending. One HTTP client in `activities` sends for all gateways. A PSP's name appears in its own
//! gateway file and in configuration, nowhere else.

use serde::Serialize;
use strum::{Display, EnumIter, IntoStaticStr};

use crate::event::Unknown;
use crate::ids::PaymentId;
use crate::money::Money;
use crate::payment::{Failure, NextAction, Payment};

/// One call to a PSP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Display, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Operation {
    /// Make the payment known; no money moves.
    Register,
    /// Reserve the money.
    Authorize,
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
        /// The PSP's name for the payment.
        psp_reference: String,
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
    /// Our payment, when the PSP passes our reference back.
    pub payment_id: Option<PaymentId>,
    /// The PSP's name for the payment.
    pub psp_reference: Option<String>,
    /// What it means for the payment; `None` when it means nothing to the workflow.
    pub outcome: Option<Outcome>,
}

/// Why a webhook was refused. Nothing it says may be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
pub enum WebhookRefused {
    /// There is no signature, or it cannot be read.
    #[error("the signature header is missing or malformed")]
    SignatureMissing,
    /// No signature fits the body.
    #[error("no signature matches the body")]
    SignatureMismatch,
    /// Signed too long ago or too far in the future.
    #[error("the signature's timestamp is outside the tolerance")]
    TimestampOutsideTolerance,
    /// Authentic, but not an event that can be read.
    #[error("the body is not an event that can be read")]
    Unreadable,
}

/// A PSP.
pub trait Gateway: Send + Sync {
    /// The name it is configured by.
    fn psp(&self) -> &str;

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

    /// Verifies a webhook over its raw bytes and reads it.
    ///
    /// # Errors
    /// Why it is refused.
    fn webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: jiff::Timestamp,
    ) -> Result<Notification, WebhookRefused>;

    /// Reads a webhook whose signature was verified when it came: for events that wait in the inbox for their payment.
    ///
    /// # Errors
    /// [`WebhookRefused::Unreadable`].
    fn notification(&self, body: &[u8]) -> Result<Notification, WebhookRefused>;
}
