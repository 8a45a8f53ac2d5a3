//! Payments as everybody outside sees them: in answers and in the events that merchants are sent. Borrowed from what the
//! core keeps, serialized once. How OpenAPI shows them is in `openapi`, which only the API builds.
//!
//! Not here: machine columns (fence, lease, operation). They are nobody's business outside.

pub mod event;
mod history;
#[cfg(feature = "openapi")]
pub mod openapi;
mod refund;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

pub use history::{ArchivedView, HistoryListView, HistoryRowView};
pub use refund::RefundView;

use crate::definition::State;
use crate::ids::PaymentId;
use crate::money::Currency;
use crate::payment::{CaptureMethod, Failure, NextAction, Payment};

/// A charge.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = Charge, examples(json!(openapi::example_charge()))))]
pub struct ChargeView<'a> {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^ch_[0-9a-f]{32}$"))]
    id: PaymentId,
    /// Always `charge`.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::object_charge))]
    object: &'static str,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ChargeStatus))]
    status: State,
    /// What was asked for, in minor units.
    amount: i64,
    /// ISO 4217 code in lower case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-z]{3}$"))]
    currency: Currency,
    /// Reserved so far, in minor units.
    amount_authorized: i64,
    /// Captured so far, in minor units.
    amount_captured: i64,
    /// Given back so far, in minor units.
    amount_refunded: i64,
    /// Asked to be given back by refunds that have not come to an end, in minor units.
    amount_refund_pending: i64,
    /// Taken back by disputes so far and not won back, in minor units.
    amount_charged_back: i64,
    /// When it is captured.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::named_capture_method))]
    capture_method: CaptureMethod,
    /// The PSP's token for the customer's means of payment.
    payment_method: &'a str,
    /// The PSP account it goes to.
    psp: &'a str,
    /// The PSP's name for it, once it has one.
    #[cfg_attr(feature = "openapi", schema(required))]
    psp_reference: Option<&'a str>,
    /// What the customer has to do now.
    #[cfg_attr(feature = "openapi", schema(required))]
    next_action: Option<NextActionView<'a>>,
    /// Why it failed.
    #[cfg_attr(feature = "openapi", schema(required))]
    failure: Option<FailureView<'a>>,
    /// Where the customer comes back to after acting.
    #[cfg_attr(feature = "openapi", schema(required))]
    return_url: Option<&'a str>,
    /// The client's words.
    #[cfg_attr(feature = "openapi", schema(required))]
    description: Option<&'a str>,
    /// The client's data.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::named_metadata))]
    metadata: &'a BTreeMap<String, String>,
    /// When it was accepted (RFC 3339).
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::instant))]
    created: Timestamp,
    /// When anything last happened to it (RFC 3339).
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::instant))]
    updated: Timestamp,
    /// All that happened to it, where it was asked for with `expand=history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    history: Option<HistoryListView<'a>>,
}

/// What the customer has to do.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = NextAction))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextActionView<'a> {
    /// Open a page, for example for 3-D Secure.
    #[cfg_attr(feature = "openapi", schema(title = "RedirectToUrl"))]
    RedirectToUrl {
        /// The page.
        redirect_to_url: RedirectView<'a>,
    },
    /// Act in the PSP's own software development kit.
    #[cfg_attr(feature = "openapi", schema(title = "UseSdk"))]
    UseSdk {},
}

/// A page to open.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = Redirect))]
pub struct RedirectView<'a> {
    /// The page.
    url: &'a str,
    /// Where the customer comes back to.
    #[cfg_attr(feature = "openapi", schema(required))]
    return_url: Option<&'a str>,
}

/// Why a payment failed.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = Failure))]
pub struct FailureView<'a> {
    /// What kind of no it was.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::failure_category))]
    category: &'static str,
    /// The PSP's code.
    code: &'a str,
    /// The issuer's code, when the PSP passes it on.
    #[cfg_attr(feature = "openapi", schema(required))]
    decline_code: Option<&'a str>,
    /// What you can do.
    #[cfg_attr(feature = "openapi", schema(required))]
    advice: Option<&'a str>,
}

impl<'a> ChargeView<'a> {
    /// The payment as it stands.
    #[must_use]
    pub fn of(payment: &'a Payment) -> Self {
        Self {
            id: payment.id,
            object: "charge",
            status: payment.state,
            amount: payment.amount_minor,
            currency: payment.currency,
            amount_authorized: payment.amount_authorized_minor,
            amount_captured: payment.amount_captured_minor,
            amount_refunded: payment.amount_refunded_minor,
            amount_refund_pending: payment.amount_refund_pending_minor,
            amount_charged_back: payment.amount_charged_back_minor,
            capture_method: payment.capture_method,
            payment_method: &payment.payment_method,
            psp: &payment.psp,
            psp_reference: payment.psp_reference.as_deref(),
            next_action: payment.next_action.as_ref().map(|action| next_action(action, payment)),
            failure: payment.failure.as_ref().map(failure),
            return_url: payment.return_url.as_deref(),
            description: payment.description.as_deref(),
            metadata: &payment.metadata,
            created: payment.created_at,
            updated: payment.updated_at,
            history: None,
        }
    }
}

fn next_action<'a>(action: &'a NextAction, payment: &'a Payment) -> NextActionView<'a> {
    match action {
        NextAction::RedirectToUrl { url } => NextActionView::RedirectToUrl {
            redirect_to_url: RedirectView { url, return_url: payment.return_url.as_deref() },
        },
        NextAction::UseSdk {} => NextActionView::UseSdk {},
    }
}

fn failure(failure: &Failure) -> FailureView<'_> {
    FailureView {
        category: failure.category.into(),
        code: &failure.code,
        decline_code: failure.decline_code.as_deref(),
        advice: failure.advice.as_deref(),
    }
}

/// A view as JSON.
#[must_use]
pub fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a view holds only texts, numbers and maps with text keys")
}

/// The body of every answer that is about one payment.
#[must_use]
pub fn payment(payment: &Payment) -> String {
    expanded(payment, None)
}

/// The same with what was asked for beside it.
#[must_use]
pub fn expanded(payment: &Payment, history: Option<HistoryListView<'_>>) -> String {
    match &payment.refund_of {
        Some(of) => json(&RefundView::of(payment, of).with(history)),
        None => json(&ChargeView { history, ..ChargeView::of(payment) }),
    }
}
