//! How a PaymentIntent moves: pure functions on one payment that note what else has to happen.
//!
//! Not here: finding the payment, idempotency, faults of the connection (`state`, `routes`).

use crate::error::ApiError;
use crate::ids;
use crate::intent::{CaptureMethod, Intent, Refund, Refusal, Status};
use crate::ledger::{Entry, EntryKind};
use crate::params::{Create, CreateMode, Payer};
use crate::scenario::{self, Decline, Outcome};

/// The types of webhook the sandbox sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    AmountCapturableUpdated,
    Succeeded,
    PaymentFailed,
    Canceled,
    RequiresAction,
    Processing,
    ChargeRefunded,
}

impl EventKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AmountCapturableUpdated => "payment_intent.amount_capturable_updated",
            Self::Succeeded => "payment_intent.succeeded",
            Self::PaymentFailed => "payment_intent.payment_failed",
            Self::Canceled => "payment_intent.canceled",
            Self::RequiresAction => "payment_intent.requires_action",
            Self::Processing => "payment_intent.processing",
            Self::ChargeRefunded => "charge.refunded",
        }
    }
}

/// What one call did besides changing the payment.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) entries: Vec<Entry>,
    pub(crate) event: Option<EventKind>,
}

/// How the authorized amount compares with what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authorized {
    AsAsked,
    OneMore,
}

/// What the payer did on the authentication page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// The payer authenticated.
    Complete,
    /// The payer failed or gave up.
    Fail,
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
            Outcome::ActionRequired if payer == Payer::Absent => {
                return Err(self.decline(&scenario::AUTHENTICATION_REQUIRED, effects));
            }
            Outcome::ActionRequired => {
                self.status = Status::RequiresAction;
                effects.event = Some(EventKind::RequiresAction);
            }
            Outcome::Processing | Outcome::ProcessingDeclined(_) => {
                self.status = Status::Processing;
                self.latest_charge = Some(ids::new("ch_"));
                effects.event = Some(EventKind::Processing);
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
                effects.event = Some(EventKind::AmountCapturableUpdated);
            }
            CaptureMethod::Automatic => self.take(amount, effects),
        }
    }

    fn take(&mut self, amount: i64, effects: &mut Effects) {
        self.status = Status::Succeeded;
        self.amount_capturable = 0;
        self.amount_received = amount;
        effects.entries.push(self.entry(EntryKind::Captured, amount));
        effects.event = Some(EventKind::Succeeded);
    }

    /// The card said no; the payment waits for another one.
    pub(crate) fn decline(&mut self, decline: &'static Decline, effects: &mut Effects) -> ApiError {
        if self.status != Status::Processing {
            self.latest_charge = Some(ids::new("ch_"));
        }
        self.last_refusal = Some(Refusal::new(decline, self.payment_method.take()));
        self.status = Status::RequiresPaymentMethod;
        effects.event = Some(EventKind::PaymentFailed);
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
        self.take(amount, effects);
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
        effects.event = Some(EventKind::Canceled);
        Ok(())
    }

    /// Pays back what was taken, or a part of it.
    pub(crate) fn refund(
        &mut self,
        asked: &crate::params::Refund,
        now: i64,
        effects: &mut Effects,
    ) -> Result<Refund, ApiError> {
        if self.status != Status::Succeeded {
            let message = format!("This PaymentIntent ({}) does not have a successful charge to refund.", self.id);
            return Err(ApiError::unexpected_state(self, message));
        }
        let left = self.amount_received - self.amount_refunded;
        if left == 0 {
            let charge = self.latest_charge.as_deref().unwrap_or_default();
            let message = format!("Charge {charge} has already been refunded.");
            return Err(ApiError::refused("charge_already_refunded", message));
        }
        let amount = asked.amount.unwrap_or(left);
        if amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(ApiError::invalid("amount", message));
        }
        self.amount_refunded += amount;
        effects.entries.push(self.entry(EntryKind::Refunded, amount));
        effects.event = Some(EventKind::ChargeRefunded);
        Ok(Refund {
            id: ids::new("re_"),
            amount,
            currency: self.currency.clone(),
            payment_intent: self.id.clone(),
            charge: self.latest_charge.clone(),
            reason: asked.reason.clone(),
            metadata: asked.metadata.clone(),
            created: now,
        })
    }

    /// The card's late answer to a payment in `processing`.
    pub(crate) fn settle(&mut self, outcome: Outcome, effects: &mut Effects) -> Settled {
        if self.status != Status::Processing {
            return Settled::NotAwaited;
        }
        match outcome {
            Outcome::ProcessingDeclined(decline) | Outcome::Declined(decline) => {
                self.decline(decline, effects);
            }
            Outcome::Processing | Outcome::Approved | Outcome::ActionRequired => {
                self.authorize(Authorized::AsAsked, effects);
            }
        }
        Settled::Now
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
        }
        Settled::Now
    }
}

/// Whether a late answer found its payment waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The payment moved.
    Now,
    /// The payment is unknown or was not waiting for this.
    NotAwaited,
}
