//! The wire format of PaymentIntent and Charge, borrowed from the remembered objects.
//!
//! Not here: fields of Stripe's that no payment engine reads; they are left out rather than invented.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CaptureMethod, Intent, Status};
use crate::params::Expand;

#[derive(Serialize)]
pub(crate) struct IntentView<'a> {
    id: &'a str,
    object: &'static str,
    amount: i64,
    amount_capturable: i64,
    amount_received: i64,
    canceled_at: Option<i64>,
    cancellation_reason: Option<&'a str>,
    capture_method: CaptureMethod,
    client_secret: &'a str,
    confirmation_method: &'static str,
    created: i64,
    currency: &'a str,
    customer: Option<&'a str>,
    description: Option<&'a str>,
    last_payment_error: Option<PaymentErrorView<'a>>,
    latest_charge: Option<LatestCharge<'a>>,
    livemode: bool,
    metadata: &'a BTreeMap<String, String>,
    next_action: Option<NextAction<'a>>,
    payment_method: Option<&'a str>,
    payment_method_types: &'a [String],
    status: Status,
}

impl<'a> IntentView<'a> {
    /// `base_url` is where the sandbox's page for the payer's authentication is.
    pub(crate) fn new(intent: &'a Intent, base_url: &str, expand: Expand) -> Self {
        Self {
            id: &intent.id,
            object: "payment_intent",
            amount: intent.amount,
            amount_capturable: intent.amount_capturable,
            amount_received: intent.amount_received,
            canceled_at: intent.canceled_at,
            cancellation_reason: intent.cancellation_reason.as_deref(),
            capture_method: intent.capture_method,
            client_secret: &intent.client_secret,
            confirmation_method: "automatic",
            created: intent.created,
            currency: &intent.currency,
            customer: intent.customer.as_deref(),
            description: intent.description.as_deref(),
            last_payment_error: PaymentErrorView::new(intent),
            latest_charge: LatestCharge::new(intent, expand),
            livemode: false,
            metadata: &intent.metadata,
            next_action: NextAction::new(intent, base_url),
            payment_method: intent.payment_method.as_deref(),
            payment_method_types: &intent.payment_method_types,
            status: intent.status,
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum LatestCharge<'a> {
    Id(&'a str),
    Object(Box<ChargeView<'a>>),
}

impl<'a> LatestCharge<'a> {
    fn new(intent: &'a Intent, expand: Expand) -> Option<Self> {
        match expand {
            Expand::Nothing => intent.latest_charge.as_deref().map(Self::Id),
            Expand::LatestCharge => ChargeView::new(intent).map(|charge| Self::Object(Box::new(charge))),
        }
    }
}

#[derive(Serialize)]
struct PaymentErrorView<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice_code: Option<&'a str>,
    message: &'a str,
    charge: Option<&'a str>,
    payment_method: Option<PaymentMethodView<'a>>,
}

impl<'a> PaymentErrorView<'a> {
    fn new(intent: &'a Intent) -> Option<Self> {
        let refusal = intent.last_refusal.as_ref()?;
        Some(Self {
            kind: "card_error",
            code: &refusal.code,
            decline_code: refusal.decline_code.as_deref(),
            advice_code: refusal.advice_code.as_deref(),
            message: &refusal.message,
            charge: intent.latest_charge.as_deref(),
            payment_method: refusal.payment_method.as_deref().map(|id| PaymentMethodView {
                id,
                object: "payment_method",
                kind: "card",
            }),
        })
    }
}

#[derive(Serialize)]
struct PaymentMethodView<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct NextAction<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    redirect_to_url: RedirectToUrl<'a>,
}

#[derive(Serialize)]
struct RedirectToUrl<'a> {
    return_url: Option<&'a str>,
    url: String,
}

impl<'a> NextAction<'a> {
    fn new(intent: &'a Intent, base_url: &str) -> Option<Self> {
        (intent.status == Status::RequiresAction).then(|| Self {
            kind: "redirect_to_url",
            redirect_to_url: RedirectToUrl {
                return_url: intent.return_url.as_deref(),
                url: format!("{base_url}/sandbox/authenticate/{}", intent.id),
            },
        })
    }
}

#[derive(Serialize)]
pub(crate) struct ChargeView<'a> {
    id: &'a str,
    object: &'static str,
    amount: i64,
    amount_captured: i64,
    amount_refunded: i64,
    captured: bool,
    billing_details: BillingDetails,
    created: i64,
    currency: &'a str,
    dispute: Option<&'a str>,
    disputed: bool,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    livemode: bool,
    metadata: &'a BTreeMap<String, String>,
    paid: bool,
    payment_intent: &'a str,
    payment_method: Option<&'a str>,
    refunded: bool,
    status: &'static str,
}

impl<'a> ChargeView<'a> {
    /// The latest charge of a payment, if the card was asked at all.
    pub(crate) fn new(intent: &'a Intent) -> Option<Self> {
        let id = intent.latest_charge.as_deref()?;
        let refusal = intent.last_refusal.as_ref();
        let (paid, status) = match (refusal, intent.status) {
            (Some(_), _) => (false, "failed"),
            (None, Status::Processing) if intent.capturing.is_none() => (false, "pending"),
            (None, _) => (true, "succeeded"),
        };
        Some(Self {
            id,
            object: "charge",
            amount: if paid { intent.amount_authorized } else { intent.amount },
            amount_captured: intent.amount_received,
            amount_refunded: intent.amount_refunded + released(intent),
            captured: intent.amount_received > 0,
            billing_details: BillingDetails::default(),
            created: intent.created,
            currency: &intent.currency,
            dispute: intent.dispute.as_ref().map(|dispute| dispute.id.as_str()),
            disputed: intent.dispute.is_some(),
            failure_code: refusal.map(|refusal| refusal.code.as_str()),
            failure_message: refusal.map(|refusal| refusal.message.as_str()),
            livemode: false,
            metadata: &intent.metadata,
            paid,
            payment_intent: &intent.id,
            payment_method: intent
                .payment_method
                .as_deref()
                .or_else(|| refusal.and_then(|refusal| refusal.payment_method.as_deref())),
            refunded: intent.amount_received > 0 && intent.amount_refunded == intent.amount_received,
            status,
        })
    }
}

/// What a partial capture left: Stripe counts it as refunded ("any additional amount is automatically refunded").
fn released(intent: &Intent) -> i64 {
    if intent.amount_received > 0 { intent.amount_authorized - intent.amount_received } else { 0 }
}

/// Of a payer whom the sandbox does not know.
#[derive(Serialize, Default)]
struct BillingDetails {
    address: Option<()>,
    email: Option<()>,
    name: Option<()>,
    phone: Option<()>,
    tax_id: Option<()>,
}
