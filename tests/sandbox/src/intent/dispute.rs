//! A dispute as the sandbox remembers it, and its wire format: <https://docs.stripe.com/api/disputes/object>.
//!
//! Not here: how it changes (`machine`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Intent;
use crate::limits;

/// Stripe's states of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisputeStatus {
    WarningNeedsResponse,
    WarningClosed,
    NeedsResponse,
    Won,
    Lost,
}

impl DisputeStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    pub(crate) fn is_open(self) -> bool {
        match self {
            Self::WarningNeedsResponse | Self::NeedsResponse => true,
            Self::WarningClosed | Self::Won | Self::Lost => false,
        }
    }
}

/// Money that left the merchant's balance because of a dispute, or came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BalanceMove {
    /// `txn_…`
    pub(crate) id: String,
    /// Negative when it left.
    pub(crate) amount: i64,
    pub(crate) created: i64,
}

/// A dispute. Amount in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) reason: String,
    pub(crate) status: DisputeStatus,
    pub(crate) created: i64,
    pub(crate) moves: Vec<BalanceMove>,
    /// `evidence[uncategorized_text]`, as far as it was submitted.
    pub(crate) evidence: Option<String>,
}

/// The fields of `evidence`, which a merchant fills in.
const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

#[derive(Serialize)]
pub(crate) struct DisputeView<'a> {
    id: &'a str,
    object: &'static str,
    amount: i64,
    balance_transactions: Vec<BalanceView<'a>>,
    charge: Option<&'a str>,
    created: i64,
    currency: &'a str,
    evidence: BTreeMap<&'static str, Option<&'a str>>,
    evidence_details: EvidenceDetails,
    is_charge_refundable: bool,
    livemode: bool,
    metadata: BTreeMap<&'static str, &'static str>,
    payment_intent: &'a str,
    reason: &'a str,
    status: DisputeStatus,
}

impl<'a> DisputeView<'a> {
    /// The dispute of a payment, if it has one.
    pub(crate) fn new(intent: &'a Intent) -> Option<Self> {
        let dispute = intent.dispute.as_ref()?;
        let mut evidence: BTreeMap<_, _> = EVIDENCE.into_iter().map(|name| (name, None)).collect();
        evidence.insert("uncategorized_text", dispute.evidence.as_deref());
        Some(Self {
            id: &dispute.id,
            object: "dispute",
            amount: dispute.amount,
            balance_transactions: dispute.moves.iter().map(|moved| BalanceView::new(moved, dispute, intent)).collect(),
            charge: intent.latest_charge.as_deref(),
            created: dispute.created,
            currency: &intent.currency,
            evidence,
            evidence_details: EvidenceDetails {
                due_by: dispute.created + limits::EVIDENCE_SECONDS,
                has_evidence: dispute.evidence.is_some(),
                past_due: false,
                submission_count: u8::from(dispute.evidence.is_some()),
            },
            is_charge_refundable: dispute.status == DisputeStatus::WarningNeedsResponse,
            livemode: false,
            metadata: BTreeMap::new(),
            payment_intent: &intent.id,
            reason: &dispute.reason,
            status: dispute.status,
        })
    }
}

#[derive(Serialize)]
struct EvidenceDetails {
    due_by: i64,
    has_evidence: bool,
    past_due: bool,
    submission_count: u8,
}

#[derive(Serialize)]
struct BalanceView<'a> {
    id: &'a str,
    object: &'static str,
    amount: i64,
    created: i64,
    currency: &'a str,
    description: String,
    fee: i64,
    net: i64,
    reporting_category: &'static str,
    source: &'a str,
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> BalanceView<'a> {
    fn new(moved: &'a BalanceMove, dispute: &'a Dispute, intent: &'a Intent) -> Self {
        let (what, fee, reporting_category) = if moved.amount < 0 {
            ("withdrawal", limits::DISPUTE_FEE_MINOR, "dispute")
        } else {
            ("reversal", 0, "dispute_reversal")
        };
        Self {
            id: &moved.id,
            object: "balance_transaction",
            amount: moved.amount,
            created: moved.created,
            currency: &intent.currency,
            description: format!("Chargeback {what} for {}", intent.latest_charge.as_deref().unwrap_or_default()),
            fee,
            net: moved.amount - fee,
            reporting_category,
            source: &dispute.id,
            status: "pending",
            kind: "adjustment",
        }
    }
}
