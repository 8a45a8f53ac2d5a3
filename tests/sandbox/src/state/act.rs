//! One effect per kind of call: find the payment, let the machine move it, render it.
//!
//! Not here: idempotency, ledger and journal, which are the same for all (`state`).

use axum::body::Bytes;

use super::{State, Touched, scenario_of};
use crate::clock::now;
use crate::error::{ApiError, to_json};
use crate::event::Effects;
use crate::intent::{Intent, RefundView};
use crate::limits;
use crate::machine::Authorized;
use crate::params::{self, Action, Call, Confirmation, Create, CreateMode};
use crate::scenario::{self, Fault, Outcome};

impl State {
    pub(super) fn act(
        &mut self,
        call: &Call,
        fault: Option<Fault>,
        effects: &mut Effects,
        touched: &mut Touched,
    ) -> Result<Bytes, ApiError> {
        match &call.action {
            Action::Create(create) => self.create(create, fault, effects, touched)?,
            Action::Confirm { id, confirmation, capture_method } => {
                let intent = self.touch(id, touched)?;
                intent.check_confirmable()?;
                if let Some(capture_method) = capture_method {
                    intent.capture_method = *capture_method;
                }
                confirm(intent, confirmation, fault, effects)?;
            }
            Action::Capture { id, amount, metadata } => {
                let intent = self.touch(id, touched)?;
                refuse_if(fault, intent)?;
                intent.capture(*amount, effects)?;
                intent.metadata.extend(metadata.clone());
            }
            Action::Cancel { id, reason } => {
                let intent = self.touch(id, touched)?;
                refuse_if(fault, intent)?;
                intent.cancel(reason.clone(), now(), effects)?;
            }
            Action::Refund(asked) => return self.pay_back(asked, fault, effects, touched),
            Action::AnswerDispute { id, evidence } => {
                self.touch_disputed(id, touched)?.answer_dispute(evidence.as_deref(), now(), effects)?;
                return self.dispute(id);
            }
            Action::CloseDispute { id } => {
                self.touch_disputed(id, touched)?.give_up_dispute(now(), effects)?;
                return self.dispute(id);
            }
        }
        let id = touched.intent.as_deref().unwrap_or_default();
        self.intent(id, call.expand)
    }

    fn create(
        &mut self,
        create: &Create,
        fault: Option<Fault>,
        effects: &mut Effects,
        touched: &mut Touched,
    ) -> Result<(), ApiError> {
        if self.intents.len() >= limits::PAYMENT_INTENTS {
            return Err(ApiError::full());
        }
        if let Some(name) = &create.confirmation.payment_method {
            scenario_of(name)?;
        }
        let mut intent = Intent::new(create, now());
        let result = match create.mode {
            CreateMode::CreateOnly => Ok(()),
            CreateMode::CreateAndConfirm => confirm(&mut intent, &create.confirmation, fault, effects),
        };
        touched.intent = Some(intent.id.clone());
        self.intents.insert(intent.id.clone(), intent);
        result
    }

    fn pay_back(
        &mut self,
        asked: &params::Refund,
        fault: Option<Fault>,
        effects: &mut Effects,
        touched: &mut Touched,
    ) -> Result<Bytes, ApiError> {
        if self.refunds.len() >= limits::REFUNDS {
            return Err(ApiError::full());
        }
        let intent = self.touch(&asked.payment_intent, touched)?;
        refuse_if(fault, intent)?;
        let refund = intent.refund(asked, now(), effects)?;
        let body = to_json(&RefundView::new(&refund));
        touched.refund = Some(refund.id.clone());
        self.keep_refund(refund);
        Ok(body)
    }

    fn touch_disputed(&mut self, id: &str, touched: &mut Touched) -> Result<&mut Intent, ApiError> {
        let payment_intent = self.disputed(id).map(str::to_owned);
        let payment_intent = payment_intent.ok_or_else(|| ApiError::missing("dispute", "dispute", id))?;
        self.touch(&payment_intent, touched)
    }

    fn touch(&mut self, id: &str, touched: &mut Touched) -> Result<&mut Intent, ApiError> {
        let intent = self.intents.get_mut(id).ok_or_else(|| ApiError::missing("payment_intent", "intent", id))?;
        touched.intent = Some(id.to_owned());
        Ok(intent)
    }
}

fn confirm(
    intent: &mut Intent,
    confirmation: &Confirmation,
    fault: Option<Fault>,
    effects: &mut Effects,
) -> Result<(), ApiError> {
    if let Some(name) = &confirmation.payment_method {
        scenario_of(name)?;
        intent.payment_method = Some(name.clone());
    }
    if let Some(return_url) = &confirmation.return_url {
        intent.return_url = Some(return_url.clone());
    }
    let Some(name) = &intent.payment_method else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either \
                       update the PaymentIntent with a payment method and then confirm it again, or confirm it again \
                       directly with a payment method or ConfirmationToken.";
        return Err(ApiError::unexpected_state(intent, message.to_owned()));
    };
    let outcome = match fault {
        Some(Fault::Declined) => Outcome::Declined(&scenario::GENERIC),
        _ => scenario_of(name)?.outcome,
    };
    let authorized = match fault {
        Some(Fault::AmountMismatch) => Authorized::OneMore,
        _ => Authorized::AsAsked,
    };
    intent.confirm(outcome, confirmation.payer, authorized, effects)
}

/// [`Fault::Declined`] on anything but a confirmation: no, and nothing changes.
fn refuse_if(fault: Option<Fault>, intent: &Intent) -> Result<(), ApiError> {
    match fault {
        Some(Fault::Declined) => Err(ApiError::declined(&scenario::GENERIC, intent)),
        _ => Ok(()),
    }
}
