//! How a PaymentIntent moves: pure functions on one payment that note what else has to happen.
//!
//! Not here: finding the payment, idempotency, faults of the connection (`state`, `routes`).

mod dispute;
mod later;
mod refund;

use crate::error::ApiError;
use crate::event::{Effects, EventKind};
use crate::ids;
use crate::intent::{CaptureMethod, Intent, Refusal, Status};
use crate::ledger::EntryKind;
use crate::params::{Create, CreateMode, Payer};
use crate::scenario::{self, Aftermath, Decline, Outcome};

pub use later::{Authentication, Settled};
pub(crate) use later::{LateStep, Pace};

/// How the authorized amount compares with what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authorized {
    AsAsked,
    OneMore,
}

impl Intent {
    pub(crate) fn new(create: &Create, now: i64) -> Self {
        let id = ids::new("pi_");
        let confirmation = &create.confirmation;
        let status = match confirmation.payment_method {
            Some(_) => Status::RequiresConfirmation,
            None => Status::RequiresPaymentMethod,
        };
        Self {
            client_secret: ids::new(&format!("{id}_secret_")),
            id,
            amount: create.amount,
            amount_authorized: 0,
            amount_capturable: 0,
            amount_received: 0,
            amount_refunded: 0,
            currency: create.currency.clone(),
            status,
            capture_method: create.capture_method,
            payment_method: confirmation.payment_method.clone(),
            payment_method_types: create.payment_method_types.clone(),
            metadata: create.metadata.clone(),
            description: create.description.clone(),
            customer: create.customer.clone(),
            return_url: confirmation.return_url.clone().filter(|_| create.mode == CreateMode::CreateAndConfirm),
            last_refusal: None,
            latest_charge: None,
            cancellation_reason: None,
            canceled_at: None,
            created: now,
            capturing: None,
            dispute: None,
            asked_payer: false,
        }
    }

    /// Whether a confirmation is possible now, with the payment method it has or is about to get.
    pub(crate) fn check_confirmable(&self) -> Result<(), ApiError> {
        let why = match self.status {
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => return Ok(()),
            Status::Succeeded => "it has already succeeded after being previously confirmed",
            Status::Processing | Status::RequiresCapture => "it has already been confirmed",
            Status::Canceled => "it has a status of canceled",
        };
        Err(ApiError::unexpected_state(self, format!("You cannot confirm this PaymentIntent because {why}.")))
    }

    /// Asks the card. The state must be confirmable and the payment method set.
    pub(crate) fn confirm(
        &mut self,
        outcome: Outcome,
        payer: Payer,
        authorized: Authorized,
        effects: &mut Effects,
    ) -> Result<(), ApiError> {
        self.last_refusal = None;
        match outcome {
            Outcome::Approved => self.authorize(authorized, effects),
            Outcome::Declined(decline) => return Err(self.decline(decline, effects)),
            Outcome::ActionRequired | Outcome::ApprovedAfterCancel if payer == Payer::Absent => {
                return Err(self.decline(&scenario::AUTHENTICATION_REQUIRED, effects));
            }
            Outcome::ActionRequired | Outcome::ApprovedAfterCancel => {
                self.status = Status::RequiresAction;
                self.asked_payer = true;
                effects.tell(EventKind::RequiresAction);
            }
            Outcome::Processing | Outcome::ProcessingDeclined(_) | Outcome::ProcessingLong => {
                self.status = Status::Processing;
                self.latest_charge = Some(ids::new("ch_"));
                effects.tell(EventKind::Processing);
            }
        }
        Ok(())
    }

    fn authorize(&mut self, authorized: Authorized, effects: &mut Effects) {
        let amount = match authorized {
            Authorized::AsAsked => self.amount,
            Authorized::OneMore => self.amount + 1,
        };
        self.amount_authorized = amount;
        if self.status != Status::Processing {
            self.latest_charge = Some(ids::new("ch_"));
        }
        effects.entries.push(self.entry(EntryKind::Authorized, amount));
        match self.capture_method {
            CaptureMethod::Manual => {
                self.status = Status::RequiresCapture;
                self.amount_capturable = amount;
                effects.tell(EventKind::AmountCapturableUpdated);
            }
            CaptureMethod::Automatic => self.take(amount, effects),
        }
    }

    fn take(&mut self, amount: i64, effects: &mut Effects) {
        self.status = Status::Succeeded;
        self.amount_capturable = 0;
        self.amount_received = amount;
        effects.entries.push(self.entry(EntryKind::Captured, amount));
        effects.tell(EventKind::Succeeded);
    }

    /// The card said no; the payment waits for another one.
    pub(crate) fn decline(&mut self, decline: &'static Decline, effects: &mut Effects) -> ApiError {
        if self.status != Status::Processing {
            self.latest_charge = Some(ids::new("ch_"));
        }
        self.last_refusal = Some(Refusal::new(decline, self.payment_method.take()));
        self.status = Status::RequiresPaymentMethod;
        effects.tell(EventKind::PaymentFailed);
        ApiError::declined(decline, self)
    }

    /// Takes the authorized amount or a part of it.
    pub(crate) fn capture(&mut self, amount: Option<i64>, effects: &mut Effects) -> Result<(), ApiError> {
        if self.status != Status::RequiresCapture {
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a PaymentIntent with \
                 one of the following statuses may be captured: requires_capture.",
                self.status.name()
            );
            return Err(ApiError::unexpected_state(self, message));
        }
        let amount = amount.unwrap_or(self.amount_capturable);
        if amount > self.amount_capturable {
            let message = format!(
                "The requested capture amount ({amount}) is greater than the amount you can capture ({}).",
                self.amount_capturable
            );
            return Err(ApiError::invalid_code("amount_too_large", "amount_to_capture", message));
        }
        match self.scenario().map(|scenario| scenario.aftermath) {
            Some(Aftermath::CaptureProcessing | Aftermath::CaptureProcessingFails) => {
                self.status = Status::Processing;
                self.amount_capturable = 0;
                self.capturing = Some(amount);
                effects.tell(EventKind::Processing);
            }
            Some(
                Aftermath::Quiet
                | Aftermath::CaptureFails
                | Aftermath::RefundPending
                | Aftermath::RefundFails
                | Aftermath::Disputed(_),
            )
            | None => self.take(amount, effects),
        }
        Ok(())
    }

    /// Ends the payment and gives a reservation back.
    pub(crate) fn cancel(&mut self, reason: Option<String>, now: i64, effects: &mut Effects) -> Result<(), ApiError> {
        match self.status {
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::RequiresCapture => {}
            Status::Processing | Status::Canceled | Status::Succeeded => {
                let message = format!(
                    "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with \
                     one of the following statuses may be canceled: requires_payment_method, requires_capture, \
                     requires_confirmation, requires_action.",
                    self.status.name()
                );
                return Err(ApiError::unexpected_state(self, message));
            }
        }
        if self.amount_capturable > 0 {
            effects.entries.push(self.entry(EntryKind::Voided, self.amount_capturable));
            self.amount_capturable = 0;
        }
        self.status = Status::Canceled;
        self.cancellation_reason = reason;
        self.canceled_at = Some(now);
        effects.tell(EventKind::Canceled);
        Ok(())
    }
}
