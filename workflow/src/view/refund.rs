//! A refund as everybody outside sees it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use super::openapi;
use super::{FailureView, HistoryListView};
use crate::definition::State;
use crate::ids::PaymentId;
use crate::money::Currency;
use crate::payment::{Payment, RefundOf, RefundReason};

/// A refund: money of a charge on its way back, or back.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = Refund, examples(json!(openapi::example_refund()))))]
pub struct RefundView<'a> {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^re_[0-9a-f]{32}$"))]
    id: PaymentId,
    /// Always `refund`.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::object_refund))]
    object: &'static str,
    /// The charge whose money it gives back.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^ch_[0-9a-f]{32}$"))]
    charge: PaymentId,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::RefundStatus))]
    status: State,
    /// What is given back, in minor units.
    amount: i64,
    /// ISO 4217 code in lower case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-z]{3}$"))]
    currency: Currency,
    /// Why.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::refund_reason_or_null, required))]
    reason: Option<RefundReason>,
    /// The PSP account it goes to.
    psp: &'a str,
    /// The PSP's name for it, once it has one.
    #[cfg_attr(feature = "openapi", schema(required))]
    psp_reference: Option<&'a str>,
    /// Why it failed.
    #[cfg_attr(feature = "openapi", schema(required))]
    failure: Option<FailureView<'a>>,
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

impl<'a> RefundView<'a> {
    /// The refund as it stands.
    #[must_use]
    pub fn of(payment: &'a Payment, of: &'a RefundOf) -> Self {
        Self {
            id: payment.id,
            object: "refund",
            charge: of.charge,
            status: payment.state,
            amount: payment.amount_minor,
            currency: payment.currency,
            reason: of.reason,
            psp: &payment.psp,
            psp_reference: payment.psp_reference.as_deref(),
            failure: payment.failure.as_ref().map(super::failure),
            metadata: &payment.metadata,
            created: payment.created_at,
            updated: payment.updated_at,
            history: None,
        }
    }

    pub(super) fn with(self, history: Option<HistoryListView<'a>>) -> Self {
        Self { history, ..self }
    }
}
