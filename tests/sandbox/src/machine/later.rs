//! What is still to come for a payment, and what it does when it comes: late answers, late failures, disputes, the
//! payer.
//!
//! Not here: when it comes (`shared`).

use super::Authorized;
use crate::event::{Effects, EventKind};
use crate::intent::{Intent, Refund, Refusal, Status};
use crate::ledger::EntryKind;
use crate::scenario::{self, Aftermath, Outcome};

/// What the payer did on the authentication page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// The payer authenticated.
    Complete,
    /// The payer failed.
    Fail,
    /// The payer left the page: the payment goes on waiting, and no webhook tells of it.
    Abandon,
}

/// Whether a late answer found its payment waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The payment moved.
    Now,
    /// The payment was waiting for this and goes on waiting.
    Unchanged,
    /// The payment is unknown or was not waiting for this.
    NotAwaited,
}

/// Something that happens later by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LateStep {
    CardAnswers,
    CaptureEnds,
    CaptureFails,
    AuthorizedThoughCanceled,
    RefundEnds,
    DisputeOpens,
    DisputeCloses,
}

/// How much later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Soon,
    Long,
}

impl LateStep {
    /// How much later it happens to this payment.
    pub(crate) fn pace(self, intent: &Intent) -> Pace {
        let outcome = intent.scenario().map(|scenario| scenario.outcome);
        match (self, outcome) {
            (Self::AuthorizedThoughCanceled, _) | (Self::CardAnswers, Some(Outcome::ProcessingLong)) => Pace::Long,
            (
                Self::CardAnswers
                | Self::CaptureEnds
                | Self::CaptureFails
                | Self::RefundEnds
                | Self::DisputeOpens
                | Self::DisputeCloses,
                _,
            ) => Pace::Soon,
        }
    }
}

impl Refund {
    /// What is still to come for it.
    pub(crate) fn awaits(&self) -> Option<LateStep> {
        self.becomes.map(|_| LateStep::RefundEnds)
    }
}

impl Intent {
    /// What is still to come for it, refunds aside.
    pub(crate) fn awaits(&self) -> Option<LateStep> {
        let scenario = self.scenario()?;
        match self.status {
            Status::Processing if self.capturing.is_some() => Some(LateStep::CaptureEnds),
            Status::Processing => Some(LateStep::CardAnswers),
            // Only a payment that was confirmed has asked its card.
            Status::Canceled if scenario.outcome == Outcome::ApprovedAfterCancel && self.was_asked() => {
                Some(LateStep::AuthorizedThoughCanceled)
            }
            Status::Succeeded => match scenario.aftermath {
                Aftermath::CaptureFails => Some(LateStep::CaptureFails),
                Aftermath::Disputed(plan) => match &self.dispute {
                    None => Some(LateStep::DisputeOpens),
                    Some(dispute) if dispute.status.is_open() => plan.verdict.map(|_| LateStep::DisputeCloses),
                    Some(_) => None,
                },
                Aftermath::Quiet
                | Aftermath::CaptureProcessing
                | Aftermath::CaptureProcessingFails
                | Aftermath::RefundPending
                | Aftermath::RefundFails => None,
            },
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::RequiresCapture
            | Status::Canceled => None,
        }
    }

    fn was_asked(&self) -> bool {
        self.asked_payer && self.amount_authorized == 0
    }

    /// What was still to come happens, unless something else has happened meanwhile.
    pub(crate) fn happen(
        &mut self,
        step: LateStep,
        refund: Option<&mut Refund>,
        now: i64,
        effects: &mut Effects,
    ) -> Settled {
        if let (LateStep::RefundEnds, Some(refund)) = (step, refund) {
            if refund.awaits() != Some(step) {
                return Settled::NotAwaited;
            }
            self.end_refund(refund, effects);
            return Settled::Now;
        }
        let Some(scenario) = self.scenario().filter(|_| self.awaits() == Some(step)) else {
            return Settled::NotAwaited;
        };
        match (step, scenario.aftermath) {
            (LateStep::CardAnswers, _) => self.card_answers(scenario.outcome, effects),
            (LateStep::CaptureEnds, aftermath) => self.capture_ends(aftermath, effects),
            (LateStep::CaptureFails, _) => {
                effects.entries.push(self.entry(EntryKind::CaptureFailed, self.amount_received));
                self.amount_received = 0;
                self.capture_failed(effects);
            }
            (LateStep::AuthorizedThoughCanceled, _) => {
                self.canceled_at = None;
                self.cancellation_reason = None;
                self.authorize(Authorized::AsAsked, effects);
            }
            (LateStep::DisputeOpens, Aftermath::Disputed(plan)) => return self.open_dispute(plan, now, effects),
            (LateStep::DisputeCloses, Aftermath::Disputed(plan)) => {
                let Some(verdict) = plan.verdict else { return Settled::NotAwaited };
                return self.close_dispute(verdict, now, effects);
            }
            (LateStep::DisputeOpens | LateStep::DisputeCloses | LateStep::RefundEnds, _) => {
                return Settled::NotAwaited;
            }
        }
        Settled::Now
    }

    /// The card's late answer to a payment in `processing`.
    fn card_answers(&mut self, outcome: Outcome, effects: &mut Effects) {
        match outcome {
            Outcome::ProcessingDeclined(decline) | Outcome::Declined(decline) => {
                self.decline(decline, effects);
            }
            Outcome::Processing
            | Outcome::ProcessingLong
            | Outcome::Approved
            | Outcome::ActionRequired
            | Outcome::ApprovedAfterCancel => self.authorize(Authorized::AsAsked, effects),
        }
    }

    fn capture_ends(&mut self, aftermath: Aftermath, effects: &mut Effects) {
        let amount = self.capturing.take().unwrap_or_default();
        if aftermath == Aftermath::CaptureProcessingFails {
            effects.entries.push(self.entry(EntryKind::Voided, self.amount_authorized));
            self.capture_failed(effects);
        } else {
            self.take(amount, effects);
        }
    }

    /// A failed capture ends the authorization; Stripe's lifecycle leads back to `requires_payment_method`, with the
    /// reason, and the webhook is `payment_intent.payment_failed`.
    fn capture_failed(&mut self, effects: &mut Effects) {
        self.amount_authorized = 0;
        self.last_refusal = Some(Refusal::new(&scenario::CAPTURE_FAILED, self.payment_method.take()));
        self.status = Status::RequiresPaymentMethod;
        effects.tell(EventKind::PaymentFailed);
    }

    /// The payer's answer to a payment in `requires_action`.
    pub(crate) fn authenticate(&mut self, answer: Authentication, effects: &mut Effects) -> Settled {
        if self.status != Status::RequiresAction {
            return Settled::NotAwaited;
        }
        match answer {
            Authentication::Complete => self.authorize(Authorized::AsAsked, effects),
            Authentication::Fail => {
                self.decline(&scenario::AUTHENTICATION_FAILED, effects);
            }
            Authentication::Abandon => return Settled::Unchanged,
        }
        Settled::Now
    }
}
