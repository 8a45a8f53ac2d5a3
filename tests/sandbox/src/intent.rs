//! The objects of the sandbox, PaymentIntent, Refund and Dispute, and how they look on the wire.
//!
//! Not here: how they change (`machine`).

mod dispute;
mod refund;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{Entry, EntryKind};
use crate::scenario::{self, Decline, Scenario};
pub(crate) use dispute::{BalanceMove, Dispute, DisputeStatus, DisputeView};
pub(crate) use refund::{More, Refund, RefundList, RefundStatus, RefundView};
pub(crate) use view::{ChargeView, IntentView};

/// Stripe's states of a PaymentIntent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }
}

/// When an authorized amount is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CaptureMethod {
    Automatic,
    Manual,
}

/// The last no of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) advice_code: Option<String>,
    pub(crate) message: String,
    pub(crate) payment_method: Option<String>,
}

impl Refusal {
    pub(crate) fn new(decline: &Decline, payment_method: Option<String>) -> Self {
        Self {
            code: decline.code.to_owned(),
            decline_code: decline.decline_code.map(str::to_owned),
            advice_code: decline.advice_code.map(str::to_owned),
            message: decline.message.to_owned(),
            payment_method,
        }
    }
}

/// A PaymentIntent as the sandbox remembers it. Amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) client_secret: String,
    /// What was asked for.
    pub(crate) amount: i64,
    /// What the card authorized; zero until then.
    pub(crate) amount_authorized: i64,
    pub(crate) amount_capturable: i64,
    pub(crate) amount_received: i64,
    /// What was paid back or is about to be.
    pub(crate) amount_refunded: i64,
    pub(crate) currency: String,
    pub(crate) status: Status,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) payment_method: Option<String>,
    pub(crate) payment_method_types: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) description: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) last_refusal: Option<Refusal>,
    pub(crate) latest_charge: Option<String>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) created: i64,
    /// The amount of a capture in `processing`.
    #[serde(default)]
    pub(crate) capturing: Option<i64>,
    #[serde(default)]
    pub(crate) dispute: Option<Dispute>,
    /// Whether the payer was asked to authenticate.
    #[serde(default)]
    pub(crate) asked_payer: bool,
}

impl Intent {
    /// What its payment method does, if it has one.
    pub(crate) fn scenario(&self) -> Option<&'static Scenario> {
        self.payment_method.as_deref().and_then(scenario::find)
    }

    /// `metadata.fincore_payment`.
    pub(crate) fn reference(&self) -> Option<&str> {
        self.metadata.get("fincore_payment").map(String::as_str)
    }

    /// A row of the ledger about this payment.
    pub(crate) fn entry(&self, kind: EntryKind, amount_minor: i64) -> Entry {
        Entry {
            payment_intent: self.id.clone(),
            reference: self.reference().map(str::to_owned),
            kind,
            amount_minor,
            currency: self.currency.clone(),
        }
    }
}
