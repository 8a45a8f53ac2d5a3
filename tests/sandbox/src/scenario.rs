//! What a magic payment method can do. The table of them is [`SCENARIOS`]; `docs/SANDBOX.md` is rendered from it.
//!
//! Not here: how a fault is carried out (`carry_out`) and how a payment moves (`machine`).

mod decline;
mod table;

use std::time::Duration;

pub use decline::GENERIC;
pub(crate) use decline::{AUTHENTICATION_FAILED, AUTHENTICATION_REQUIRED, CAPTURE_FAILED};
pub use table::SCENARIOS;

/// Fires on every matching call, not only on the first ones.
pub const ALWAYS: u32 = u32::MAX;

/// What can go wrong, or differently, around one call.
///
/// "Replays" below means that a repeated call with the same idempotency key gets the first finished answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Takes effect, then the connection is closed without an answer; replays.
    AnswerLost,
    /// The connection is closed before any effect; nothing is remembered.
    DropBefore,
    /// `500 api_error` without any effect, stored for its idempotency key: Stripe replays it as long as it keeps the key.
    Error500,
    /// `500 api_error` before any effect and before the idempotency layer: the same key may be used again at once.
    Error500Unstored,
    /// Takes effect, then answers `500 api_error`, stored for its idempotency key.
    Error500AfterEffect,
    /// `429` with `Retry-After: 1`, before any effect and before the idempotency layer.
    Throttled,
    /// Takes effect, then never answers; replays.
    NeverAnswers,
    /// Takes effect, then sends half of the promised bytes and closes; replays.
    HalfBody,
    /// Takes effect, then answers `200` with something that is not JSON; replays.
    Garbage,
    /// Takes effect, then sends one byte every 200 ms without an end; replays.
    SlowDrip,
    /// Keeps the call, and its idempotency key, in flight for this long; then takes effect and answers.
    Delayed(Duration),
    /// `402 card_declined` with `generic_decline`. A confirmation goes back to `requires_payment_method`; a capture,
    /// a cancellation or a refund changes nothing.
    Declined,
    /// A confirmation authorizes one minor unit more than was asked.
    AmountMismatch,
    /// The webhook has been delivered before the answer is sent.
    WebhookFirst,
    /// The webhook is recorded and not sent ([`Sandbox::resend_webhook`](crate::Sandbox::resend_webhook) sends it).
    WebhookNever,
    /// The webhook is delivered three times.
    WebhookThrice,
    /// The webhook is overtaken by the next one of its payment: it is sent right after that one, or after the
    /// configured delay if there is none.
    WebhookOvertaken,
}

impl Fault {
    /// Every fault and the word for it in the control API.
    pub const ALL: [(&str, Self); 18] = [
        ("answer_lost", Self::AnswerLost),
        ("drop_before", Self::DropBefore),
        ("error_500", Self::Error500),
        ("error_500_unstored", Self::Error500Unstored),
        ("error_500_after_effect", Self::Error500AfterEffect),
        ("throttled", Self::Throttled),
        ("never_answers", Self::NeverAnswers),
        ("half_body", Self::HalfBody),
        ("garbage", Self::Garbage),
        ("slow_drip", Self::SlowDrip),
        ("delayed_1s", Self::Delayed(Duration::from_secs(1))),
        ("delayed_30s", Self::Delayed(Duration::from_secs(30))),
        ("declined", Self::Declined),
        ("amount_mismatch", Self::AmountMismatch),
        ("webhook_first", Self::WebhookFirst),
        ("webhook_never", Self::WebhookNever),
        ("webhook_thrice", Self::WebhookThrice),
        ("webhook_overtaken", Self::WebhookOvertaken),
    ];
}

impl Fault {
    /// Whether it is about the connection alone, and so can happen to a replayed answer as well.
    pub(crate) fn is_about_the_wire(self) -> bool {
        match self {
            Self::AnswerLost
            | Self::DropBefore
            | Self::Error500Unstored
            | Self::Throttled
            | Self::NeverAnswers
            | Self::HalfBody
            | Self::Garbage
            | Self::SlowDrip => true,
            Self::Error500
            | Self::Error500AfterEffect
            | Self::Delayed(_)
            | Self::Declined
            | Self::AmountMismatch
            | Self::WebhookFirst
            | Self::WebhookNever
            | Self::WebhookThrice
            | Self::WebhookOvertaken => false,
        }
    }
}

/// A kind of call, for [`Sandbox::fail_next`](crate::Sandbox::fail_next).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /v1/payment_intents` without `confirm=true`.
    Create,
    /// Any call that confirms: `POST /v1/payment_intents` with `confirm=true`, or `…/confirm`.
    Confirm,
    /// `POST /v1/payment_intents/{id}/capture`.
    Capture,
    /// `POST /v1/payment_intents/{id}/cancel`.
    Cancel,
    /// `POST /v1/refunds`.
    Refund,
    /// `GET /v1/payment_intents/{id}`.
    Retrieve,
    /// `GET /v1/refunds/{id}`.
    RetrieveRefund,
    /// `POST /v1/disputes/{id}` and `POST /v1/disputes/{id}/close`.
    Dispute,
    /// `GET /v1/disputes/{id}`.
    RetrieveDispute,
}

impl Operation {
    /// Every operation and the word for it in the control API.
    pub const ALL: [(&str, Self); 9] = [
        ("create", Self::Create),
        ("confirm", Self::Confirm),
        ("capture", Self::Capture),
        ("cancel", Self::Cancel),
        ("refund", Self::Refund),
        ("retrieve", Self::Retrieve),
        ("retrieve_refund", Self::RetrieveRefund),
        ("dispute", Self::Dispute),
        ("retrieve_dispute", Self::RetrieveDispute),
    ];
}

/// How a card is declined, in Stripe's words.
#[derive(Debug, PartialEq, Eq)]
pub struct Decline {
    /// `error.code`.
    pub code: &'static str,
    /// `error.decline_code`; absent where `code` says it all.
    pub decline_code: Option<&'static str>,
    /// `error.advice_code`.
    pub advice_code: Option<&'static str>,
    /// `error.message`.
    pub message: &'static str,
}

/// What the confirmation comes to when nothing goes wrong around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Authorized (and captured, if capture is automatic).
    Approved,
    /// Declined at once.
    Declined(&'static Decline),
    /// The payer has to authenticate; declined with `authentication_required` when `off_session=true`.
    ActionRequired,
    /// `processing`, approved after the configured delay.
    Processing,
    /// `processing`, declined after the configured delay.
    ProcessingDeclined(&'static Decline),
    /// `processing`, approved after the configured *long* delay, which should be longer than anybody waits.
    ProcessingLong,
    /// The payer has to authenticate, like [`Outcome::ActionRequired`]. If the payment is canceled meanwhile, the card
    /// authorizes it all the same, after the long delay.
    ApprovedAfterCancel,
}

/// What happens after an approved confirmation, when the merchant already believes to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing.
    Quiet,
    /// A capture answers `processing` and succeeds after the delay.
    CaptureProcessing,
    /// A capture answers `processing` and fails after the delay.
    CaptureProcessingFails,
    /// A capture answers `succeeded`, and has failed after the delay.
    CaptureFails,
    /// A refund answers `pending` and succeeds after the delay.
    RefundPending,
    /// A refund answers `succeeded`, and has failed after the delay.
    RefundFails,
    /// The payer disputes the captured payment after the delay.
    Disputed(DisputePlan),
}

/// How a dispute goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisputePlan {
    /// Whether the money is taken back at once.
    pub kind: DisputeKind,
    /// `dispute.reason`.
    pub reason: &'static str,
    /// How the bank decides, after another delay; without it, it waits for evidence or for the control API.
    pub verdict: Option<Verdict>,
}

/// Whether a dispute has moved money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeKind {
    /// The bank takes the money back until it has decided.
    Chargeback,
    /// The bank only asks; no money moves.
    Inquiry,
}

/// How a bank decides a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// For the merchant: the money comes back.
    Won,
    /// For the payer: it does not.
    Lost,
}

/// Which calls of a payment a planned fault belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The call that confirms.
    Confirm,
    /// The capture.
    Capture,
    /// The refund.
    Refund,
    /// Every call that changes something.
    Every,
}

impl On {
    pub(crate) fn covers(self, operation: Operation) -> bool {
        match self {
            Self::Confirm => operation == Operation::Confirm,
            Self::Capture => operation == Operation::Capture,
            Self::Refund => operation == Operation::Refund,
            Self::Every => {
                !matches!(operation, Operation::Retrieve | Operation::RetrieveRefund | Operation::RetrieveDispute)
            }
        }
    }
}

/// A fault that comes with a payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Where it strikes.
    pub on: On,
    /// What it does.
    pub fault: Fault,
    /// How often per payment, or [`ALWAYS`].
    pub times: u32,
}

/// One magic payment method.
#[derive(Debug)]
pub struct Scenario {
    /// The value of `payment_method`.
    pub name: &'static str,
    /// What the confirmation comes to.
    pub outcome: Outcome,
    /// What goes wrong around the calls.
    pub plan: Option<Plan>,
    /// What happens afterwards.
    pub aftermath: Aftermath,
    /// The PSP's side of it, for people.
    pub summary: &'static str,
    /// Where an engine's charge with automatic capture ends, when everything that is still to come has come and a payer
    /// who is asked authenticates. For people and for the tests of engines: the sandbox itself does not read it.
    pub ends: &'static str,
}

/// The scenario of a payment method, if there is one.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}
