//! A refund as the sandbox remembers it, and its wire format.
//!
//! Not here: how it changes (`machine`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Stripe's states of a refund that a card can have.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefundStatus {
    Pending,
    #[default]
    Succeeded,
    Failed,
}

impl RefundStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A refund. Amount in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) payment_intent: String,
    pub(crate) charge: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) created: i64,
    #[serde(default)]
    pub(crate) status: RefundStatus,
    /// Where it will end, while it has not.
    #[serde(default)]
    pub(crate) becomes: Option<RefundStatus>,
    /// `txn_…`: the money that left, and the money that came back.
    #[serde(default)]
    pub(crate) balance_transaction: Option<String>,
    #[serde(default)]
    pub(crate) failure_balance_transaction: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct RefundView<'a> {
    id: &'a str,
    object: &'static str,
    amount: i64,
    balance_transaction: Option<&'a str>,
    charge: Option<&'a str>,
    created: i64,
    currency: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_balance_transaction: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    metadata: &'a BTreeMap<String, String>,
    payment_intent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_reason: Option<&'static str>,
    reason: Option<&'a str>,
    status: RefundStatus,
}

impl<'a> RefundView<'a> {
    pub(crate) fn new(refund: &'a Refund) -> Self {
        Self {
            id: &refund.id,
            object: "refund",
            amount: refund.amount,
            balance_transaction: refund.balance_transaction.as_deref(),
            charge: refund.charge.as_deref(),
            created: refund.created,
            currency: &refund.currency,
            failure_balance_transaction: refund.failure_balance_transaction.as_deref(),
            failure_reason: (refund.status == RefundStatus::Failed).then_some("expired_or_canceled_card"),
            metadata: &refund.metadata,
            payment_intent: &refund.payment_intent,
            pending_reason: (refund.status == RefundStatus::Pending).then_some("processing"),
            reason: refund.reason.as_deref(),
            status: refund.status,
        }
    }
}

/// A page of refunds.
#[derive(Serialize)]
pub(crate) struct RefundList<'a> {
    object: &'static str,
    url: &'static str,
    has_more: bool,
    data: Vec<RefundView<'a>>,
}

/// Whether a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    Follows,
    Nothing,
}

impl<'a> RefundList<'a> {
    pub(crate) fn new(data: Vec<RefundView<'a>>, more: More) -> Self {
        Self { object: "list", url: "/v1/refunds", has_more: more == More::Follows, data }
    }
}
