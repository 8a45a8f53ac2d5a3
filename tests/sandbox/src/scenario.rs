//! What each magic payment method does: one table, read by the machine and by people (see [`SCENARIOS`]).
//!
//! Not here: how a fault is carried out (`carry_out`) and how a payment moves (`machine`).

use std::time::Duration;

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
    /// `500 api_error` without any effect, stored for its idempotency key.
    Error500,
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
}

impl Fault {
    /// Whether it is about the connection alone, and so can happen to a replayed answer as well.
    pub(crate) fn is_about_the_wire(self) -> bool {
        match self {
            Self::AnswerLost
            | Self::DropBefore
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
            | Self::WebhookThrice => false,
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
}

/// Which calls of a payment a planned fault belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The call that confirms.
    Confirm,
    /// The capture.
    Capture,
    /// Every call that changes something.
    Every,
}

impl On {
    pub(crate) fn covers(self, operation: Operation) -> bool {
        match self {
            Self::Confirm => operation == Operation::Confirm,
            Self::Capture => operation == Operation::Capture,
            Self::Every => !matches!(operation, Operation::Retrieve | Operation::RetrieveRefund),
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
    /// The row of the table below, for people.
    pub summary: &'static str,
}

/// The scenario of a payment method, if there is one.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

const fn decline(decline_code: &'static str, advice_code: &'static str) -> Decline {
    Decline {
        code: "card_declined",
        decline_code: Some(decline_code),
        advice_code: Some(advice_code),
        message: "Your card was declined.",
    }
}

/// The decline of [`Fault::Declined`] and of `pm_card_chargeDeclined`.
pub static GENERIC: Decline = decline("generic_decline", "try_again_later");
static INSUFFICIENT_FUNDS: Decline =
    Decline { message: "Your card has insufficient funds.", ..decline("insufficient_funds", "try_again_later") };
static FRAUDULENT: Decline = decline("fraudulent", "do_not_try_again");
static EXPIRED: Decline = Decline {
    code: "expired_card",
    decline_code: None,
    advice_code: Some("confirm_card_data"),
    message: "Your card has expired.",
};
static PROCESSING_ERROR: Decline = Decline {
    code: "processing_error",
    decline_code: None,
    advice_code: Some("try_again_later"),
    message: "An error occurred while processing your card. Try again in a little bit.",
};
/// The payer was not there to authenticate.
pub(crate) static AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    advice_code: None,
    message: "Your card was declined. This transaction requires authentication.",
};
/// The payer failed to authenticate.
pub(crate) static AUTHENTICATION_FAILED: Decline = Decline {
    code: "payment_intent_authentication_failure",
    decline_code: None,
    advice_code: None,
    message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new \
              PaymentMethod to attempt to fulfill this PaymentIntent again.",
};

const fn once(fault: Fault) -> Option<Plan> {
    times(1, fault)
}

const fn times(times: u32, fault: Fault) -> Option<Plan> {
    Some(Plan { on: On::Confirm, fault, times })
}

const fn on(on: On, times: u32, fault: Fault) -> Option<Plan> {
    Some(Plan { on, fault, times })
}

/// Writes each row once: into the table the machine reads, and into the table of the documentation.
macro_rules! scenarios {
    ($($name:literal, $outcome:expr, $plan:expr, $summary:literal;)*) => {
        /// Every magic payment method. "First" means the first call per payment (per `metadata[fincore_payment]`,
        /// else per PaymentIntent or idempotency key).
        ///
        /// | `payment_method` | what happens |
        /// |---|---|
        $(#[doc = concat!("| `", $name, "` | ", $summary, " |")])*
        pub static SCENARIOS: &[Scenario] = &[$(
            Scenario { name: $name, outcome: $outcome, plan: $plan, summary: $summary },
        )*];
    };
}

use Fault as F;
use Outcome as O;

scenarios! {
    "pm_card_visa", O::Approved, None, "approved";
    "pm_card_mastercard", O::Approved, None, "approved";
    "pm_card_chargeDeclined", O::Declined(&GENERIC), None, "402 `card_declined`, `generic_decline`";
    "pm_card_visa_chargeDeclined", O::Declined(&GENERIC), None, "402 `card_declined`, `generic_decline`";
    "pm_card_chargeDeclinedInsufficientFunds", O::Declined(&INSUFFICIENT_FUNDS), None,
        "402 `card_declined`, `insufficient_funds`";
    "pm_card_chargeDeclinedExpiredCard", O::Declined(&EXPIRED), None, "402 `expired_card`";
    "pm_card_chargeDeclinedFraudulent", O::Declined(&FRAUDULENT), None, "402 `card_declined`, `fraudulent`";
    "pm_card_chargeDeclinedProcessingError", O::Declined(&PROCESSING_ERROR), None, "402 `processing_error`";
    "pm_card_authenticationRequired", O::ActionRequired, None,
        "`requires_action`; the redirect leads to a page of the sandbox that completes or fails it";
    "pm_sandbox_processing", O::Processing, None, "`processing`; approved after the delay, with the webhook";
    "pm_sandbox_processing_declined", O::ProcessingDeclined(&GENERIC), None,
        "`processing`; declined after the delay, with the webhook";
    "pm_sandbox_answer_lost", O::Approved, once(F::AnswerLost),
        "first confirmation: takes effect, connection closed without an answer";
    "pm_sandbox_drop_before", O::Approved, once(F::DropBefore),
        "first confirmation: connection closed before any effect";
    "pm_sandbox_error_500_then_ok", O::Approved, once(F::Error500),
        "first confirmation: 500 without effect, stored for its key; a new key is approved";
    "pm_sandbox_error_500_after_effect", O::Approved, once(F::Error500AfterEffect),
        "first confirmation: takes effect, 500, stored for its key";
    "pm_sandbox_throttled_twice", O::Approved, times(2, F::Throttled),
        "first two confirmations: 429 with `Retry-After: 1`, not stored";
    "pm_sandbox_timeout_after_charge", O::Approved, once(F::NeverAnswers),
        "first confirmation: takes effect, never answers";
    "pm_sandbox_half_body", O::Approved, once(F::HalfBody),
        "first confirmation: takes effect, half of the body, then closed";
    "pm_sandbox_garbage", O::Approved, once(F::Garbage),
        "first confirmation: takes effect, 200 with something that is not JSON";
    "pm_sandbox_slow_drip", O::Approved, once(F::SlowDrip),
        "first confirmation: takes effect, a byte every 200 ms, endless";
    "pm_sandbox_webhook_first", O::Approved, on(On::Every, ALWAYS, F::WebhookFirst),
        "approved; every webhook arrives before its answer";
    "pm_sandbox_webhook_never", O::Approved, on(On::Every, ALWAYS, F::WebhookNever),
        "approved; no webhook is sent";
    "pm_sandbox_webhook_thrice", O::Approved, on(On::Every, ALWAYS, F::WebhookThrice),
        "approved; every webhook arrives three times";
    "pm_sandbox_amount_mismatch", O::Approved, times(ALWAYS, F::AmountMismatch),
        "approved for one minor unit more than asked";
    "pm_sandbox_capture_answer_lost", O::Approved, on(On::Capture, 1, F::AnswerLost),
        "approved; first capture: takes effect, connection closed without an answer";
    "pm_sandbox_capture_declined", O::Approved, on(On::Capture, ALWAYS, F::Declined),
        "approved; every capture answers 402 and changes nothing";
    "pm_sandbox_always_500", O::Approved, times(ALWAYS, F::Error500),
        "every confirmation: 500 without effect";
}
