//! The table of magic payment methods.
//!
//! Names that begin with `pm_card_` are Stripe's own test payment methods and do what they do there; those that begin
//! with `pm_sandbox_` exist only here. Not here: what the words mean (`scenario`).

use super::decline::{
    AUTHENTICATION_REQUIRED, DO_NOT_HONOR, EXPIRED, FRAUDULENT, GENERIC, INCORRECT_CVC, INSUFFICIENT_FUNDS, LOST_CARD,
    PROCESSING_ERROR, REVOKED, STOLEN_CARD, VELOCITY,
};
use super::{ALWAYS, Aftermath as A, DisputeKind, DisputePlan, Fault as F, On, Outcome as O, Plan, Scenario, Verdict};

const SUCCEEDED: &str = "succeeded";
const FAILED: &str = "failed";
const IN_REVIEW: &str = "in_review";

const fn approved(name: &'static str, summary: &'static str) -> Scenario {
    Scenario { name, outcome: O::Approved, plan: None, aftermath: A::Quiet, summary, ends: SUCCEEDED }
}

const fn confirming(name: &'static str, outcome: O, ends: &'static str, summary: &'static str) -> Scenario {
    Scenario { outcome, ends, ..approved(name, summary) }
}

const fn declined(name: &'static str, outcome: &'static super::Decline, summary: &'static str) -> Scenario {
    confirming(name, O::Declined(outcome), FAILED, summary)
}

const fn faulty(name: &'static str, on: On, times: u32, fault: F, summary: &'static str) -> Scenario {
    Scenario { plan: Some(Plan { on, fault, times }), ..approved(name, summary) }
}

const fn after(name: &'static str, aftermath: A, ends: &'static str, summary: &'static str) -> Scenario {
    Scenario { aftermath, ends, ..approved(name, summary) }
}

const fn disputed(
    name: &'static str,
    kind: DisputeKind,
    reason: &'static str,
    verdict: Option<Verdict>,
    summary: &'static str,
) -> Scenario {
    after(name, A::Disputed(DisputePlan { kind, reason, verdict }), SUCCEEDED, summary)
}

/// Every magic payment method. "First" means the first call per payment (per `metadata[fincore_payment]`, else per
/// PaymentIntent or idempotency key); "later" means after the configured delay, or when the control API says so.
pub static SCENARIOS: &[Scenario] = &[
    approved("pm_card_visa", "approved"),
    approved("pm_card_mastercard", "approved"),
    // The card says no.
    declined("pm_card_chargeDeclined", &GENERIC, "402 `card_declined`, `generic_decline` (soft)"),
    declined("pm_card_visa_chargeDeclined", &GENERIC, "402 `card_declined`, `generic_decline` (soft)"),
    declined(
        "pm_card_chargeDeclinedInsufficientFunds",
        &INSUFFICIENT_FUNDS,
        "402 `card_declined`, `insufficient_funds`, advice `try_again_later` (soft)",
    ),
    declined(
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        &INSUFFICIENT_FUNDS,
        "402 `card_declined`, `insufficient_funds`, advice `try_again_later` (soft)",
    ),
    declined(
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        &VELOCITY,
        "402 `card_declined`, `card_velocity_exceeded`, advice `try_again_later` (soft)",
    ),
    declined("pm_sandbox_declined_do_not_honor", &DO_NOT_HONOR, "402 `card_declined`, `do_not_honor` (soft)"),
    declined(
        "pm_card_chargeDeclinedProcessingError",
        &PROCESSING_ERROR,
        "402 `processing_error`, advice `try_again_later` (soft)",
    ),
    declined(
        "pm_card_chargeDeclinedIncorrectCvc",
        &INCORRECT_CVC,
        "402 `incorrect_cvc`, advice `confirm_card_data` (soft)",
    ),
    declined("pm_card_chargeDeclinedExpiredCard", &EXPIRED, "402 `expired_card`, advice `confirm_card_data` (hard)"),
    declined(
        "pm_card_visa_chargeDeclinedLostCard",
        &LOST_CARD,
        "402 `card_declined`, `lost_card`, advice `do_not_try_again` (hard)",
    ),
    declined(
        "pm_card_visa_chargeDeclinedStolenCard",
        &STOLEN_CARD,
        "402 `card_declined`, `stolen_card`, advice `do_not_try_again` (hard)",
    ),
    declined(
        "pm_card_chargeDeclinedFraudulent",
        &FRAUDULENT,
        "402 `card_declined`, `fraudulent`, advice `do_not_try_again` (hard)",
    ),
    declined(
        "pm_sandbox_declined_revoked",
        &REVOKED,
        "402 `card_declined`, `revocation_of_authorization`, advice `do_not_try_again` (hard)",
    ),
    declined(
        "pm_sandbox_declined_authentication_required",
        &AUTHENTICATION_REQUIRED,
        "402 `authentication_required`: the payer was not asked (authentication)",
    ),
    // The payer is asked.
    confirming(
        "pm_card_authenticationRequired",
        O::ActionRequired,
        SUCCEEDED,
        "`requires_action`; the redirect leads to a page of the sandbox to succeed, fail or abandon",
    ),
    confirming("pm_card_threeDSecure2Required", O::ActionRequired, SUCCEEDED, "the same"),
    confirming(
        "pm_sandbox_success_after_cancel",
        O::ApprovedAfterCancel,
        "canceled",
        "`requires_action`; when it is canceled meanwhile, the card authorizes it all the same, long after",
    ),
    // The card takes its time.
    confirming("pm_sandbox_processing", O::Processing, SUCCEEDED, "`processing`; approved later, with the webhook"),
    confirming(
        "pm_sandbox_processing_declined",
        O::ProcessingDeclined(&GENERIC),
        FAILED,
        "`processing`; declined later, with the webhook",
    ),
    confirming(
        "pm_sandbox_late_success",
        O::ProcessingLong,
        SUCCEEDED,
        "`processing`, and refuses to be canceled; approved long after, with the webhook",
    ),
    // The wire breaks around the confirmation.
    faulty(
        "pm_sandbox_timeout_after_charge",
        On::Confirm,
        1,
        F::NeverAnswers,
        "first confirmation: takes effect, never answers",
    ),
    faulty(
        "pm_sandbox_answer_lost",
        On::Confirm,
        1,
        F::AnswerLost,
        "first confirmation: takes effect, connection closed without an answer",
    ),
    faulty(
        "pm_sandbox_drop_before",
        On::Confirm,
        1,
        F::DropBefore,
        "first confirmation: connection closed before any effect",
    ),
    faulty(
        "pm_sandbox_error_500_unstored_then_ok",
        On::Confirm,
        1,
        F::Error500Unstored,
        "first confirmation: 500 without effect, in front of the idempotency layer; the same key is approved",
    ),
    faulty(
        "pm_sandbox_error_500_then_ok",
        On::Confirm,
        1,
        F::Error500,
        "first confirmation: 500 without effect, stored for its key and replayed; a new key is approved",
    ),
    faulty(
        "pm_sandbox_error_500_after_effect",
        On::Confirm,
        1,
        F::Error500AfterEffect,
        "first confirmation: takes effect, 500, stored for its key and replayed",
    ),
    Scenario {
        ends: IN_REVIEW,
        ..faulty("pm_sandbox_always_500", On::Confirm, ALWAYS, F::Error500, "every confirmation: 500 without effect")
    },
    faulty(
        "pm_sandbox_throttled_twice",
        On::Confirm,
        2,
        F::Throttled,
        "first two confirmations: 429 with `Retry-After: 1`, not stored",
    ),
    faulty(
        "pm_sandbox_slow_drip",
        On::Confirm,
        1,
        F::SlowDrip,
        "first confirmation: takes effect, a byte every 200 ms, endless",
    ),
    faulty(
        "pm_sandbox_half_body",
        On::Confirm,
        1,
        F::HalfBody,
        "first confirmation: takes effect, half of the body, then closed",
    ),
    faulty(
        "pm_sandbox_garbage",
        On::Confirm,
        1,
        F::Garbage,
        "first confirmation: takes effect, 200 with something that is not JSON",
    ),
    Scenario {
        ends: IN_REVIEW,
        ..faulty(
            "pm_sandbox_amount_mismatch",
            On::Confirm,
            ALWAYS,
            F::AmountMismatch,
            "approved for one minor unit more than asked",
        )
    },
    // Webhooks.
    faulty(
        "pm_sandbox_webhook_first",
        On::Every,
        ALWAYS,
        F::WebhookFirst,
        "approved; every webhook arrives before its answer",
    ),
    faulty("pm_sandbox_webhook_never", On::Every, ALWAYS, F::WebhookNever, "approved; no webhook is sent"),
    faulty(
        "pm_sandbox_webhook_thrice",
        On::Every,
        ALWAYS,
        F::WebhookThrice,
        "approved; every webhook arrives three times",
    ),
    faulty(
        "pm_sandbox_webhook_reordered",
        On::Every,
        ALWAYS,
        F::WebhookOvertaken,
        "approved; every other webhook is overtaken by the next one",
    ),
    // The capture.
    faulty(
        "pm_sandbox_capture_answer_lost",
        On::Capture,
        1,
        F::AnswerLost,
        "approved; first capture: takes effect, connection closed without an answer",
    ),
    Scenario {
        ends: IN_REVIEW,
        ..faulty(
            "pm_sandbox_capture_declined",
            On::Capture,
            ALWAYS,
            F::Declined,
            "approved; every capture answers 402 and changes nothing",
        )
    },
    after(
        "pm_sandbox_capture_processing",
        A::CaptureProcessing,
        SUCCEEDED,
        "approved; the capture answers `processing`, and succeeds later, with the webhook",
    ),
    after(
        "pm_sandbox_capture_processing_fails",
        A::CaptureProcessingFails,
        FAILED,
        "approved; the capture answers `processing`, and fails later: `payment_intent.payment_failed`",
    ),
    after(
        "pm_sandbox_capture_fails_later",
        A::CaptureFails,
        IN_REVIEW,
        "approved; the capture answers `succeeded`, and has failed later: `payment_intent.payment_failed`",
    ),
    // Refunds.
    after(
        "pm_card_pendingRefund",
        A::RefundPending,
        SUCCEEDED,
        "approved; a refund answers `pending`, and succeeds later: `refund.updated`",
    ),
    after(
        "pm_card_refundFail",
        A::RefundFails,
        SUCCEEDED,
        "approved; a refund answers `succeeded`, and has failed later: `refund.failed`, `charge.refund.updated`",
    ),
    faulty(
        "pm_sandbox_refund_answer_lost",
        On::Refund,
        1,
        F::AnswerLost,
        "approved; first refund: takes effect, connection closed without an answer",
    ),
    // Disputes.
    disputed(
        "pm_card_createDispute",
        DisputeKind::Chargeback,
        "fraudulent",
        None,
        "approved; disputed as `fraudulent` later, the money is withdrawn; waits for evidence",
    ),
    disputed(
        "pm_card_createDisputeProductNotReceived",
        DisputeKind::Chargeback,
        "product_not_received",
        None,
        "approved; disputed as `product_not_received` later, the money is withdrawn; waits for evidence",
    ),
    disputed(
        "pm_card_createDisputeInquiry",
        DisputeKind::Inquiry,
        "fraudulent",
        None,
        "approved; the bank inquires later (`warning_needs_response`); no money moves",
    ),
    disputed(
        "pm_sandbox_dispute_won",
        DisputeKind::Chargeback,
        "fraudulent",
        Some(Verdict::Won),
        "approved; disputed later, the money is withdrawn; won later still, the money is reinstated",
    ),
    disputed(
        "pm_sandbox_dispute_lost",
        DisputeKind::Chargeback,
        "fraudulent",
        Some(Verdict::Lost),
        "approved; disputed later, the money is withdrawn; lost later still",
    ),
];
