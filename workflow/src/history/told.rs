//! What a history tells of its payment's row: whose money it is, where it went, and how much of it moved.
//!
//! It is told row by row. So what the first rows told can be kept in their place, and the rest be told on top of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{BrokenChain, Fact, HistoryRow, Verdict};
use crate::definition::{EventKind, State};
use crate::payment::{Payment, Proposal, Proposed, RefundCounts, RefundStatus, Refunds};

/// What the first row tells and no later one changes.
const TERMS: [&str; 6] =
    ["merchant_id", "amount_minor", "currency", "capture_method", "definition_version", "refund_of"];

/// What some rows from the first one on tell of the payment's row.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// Where the last row leaves the payment.
    pub(super) state: Option<State>,
    /// What was asked for.
    terms: Map<String, Value>,
    /// The PSP account it goes to, and the means of payment there.
    psp: Option<String>,
    payment_method: Option<String>,
    /// The first reference that was learned at this PSP account is the one that is kept.
    psp_reference: Option<String>,
    amounts: Amounts,
}

impl Told {
    /// Takes in the next row.
    pub(super) fn take_in(&mut self, row: &HistoryRow) {
        let fact = &row.fact;
        self.state = Some(fact.to);
        if row.seq == 1 {
            let terms = TERMS.iter().filter_map(|name| Some(((*name).to_owned(), fact.data.get(*name)?.clone())));
            self.terms = terms.collect();
            self.goes_to(&fact.data);
        }
        if fact.verdict == Verdict::Stale {
            return;
        }
        if let Some(destination) = fact.data.get("failed_over_to") {
            self.goes_to(destination);
            self.psp_reference = None;
        } else if self.psp_reference.is_none() {
            let named = |key: &str| fact.data.get(key).and_then(Value::as_str).map(str::to_owned);
            let is_refund = self.terms.get("refund_of").is_some_and(|charge| !charge.is_null());
            self.psp_reference = named("psp_reference").or_else(|| if is_refund { named("psp_refund") } else { None });
        }
        self.amounts = std::mem::take(&mut self.amounts).after_fact(fact);
    }

    fn goes_to(&mut self, destination: &Value) {
        let named = |key: &str| destination.get(key).and_then(Value::as_str).map(str::to_owned);
        (self.psp, self.payment_method) = (named("psp"), named("payment_method"));
    }

    /// Compares the payment's columns that say whose money it is, and how much of it moved. A proposal has to stand among
    /// the rows at hand.
    pub(super) fn compare(&self, payment: &Payment, rows: &[HistoryRow]) -> Result<(), BrokenChain> {
        let terms = [
            ("merchant_id", json!(payment.merchant_id)),
            ("amount_minor", json!(payment.amount_minor)),
            ("currency", json!(payment.currency)),
            ("capture_method", json!(payment.capture_method)),
            ("definition_version", json!(payment.definition_version)),
        ];
        if let Some((column, _)) = terms.into_iter().find(|(column, value)| self.terms.get(*column) != Some(value)) {
            return Err(BrokenChain::Row { column });
        }
        let refund_of = self.terms.get("refund_of").cloned().unwrap_or_default();
        let amounts = &self.amounts;
        let told = [
            ("refund_of", refund_of == payment.refund_of.as_ref().map_or(Value::Null, |of| json!(of))),
            ("psp", self.psp.as_ref() == Some(&payment.psp)),
            ("payment_method", self.payment_method.as_ref() == Some(&payment.payment_method)),
            ("amount_authorized", payment.amount_authorized_minor == amounts.authorized),
            ("amount_captured", payment.amount_captured_minor == amounts.captured),
            ("amount_refunded", payment.amount_refunded_minor == amounts.refunded),
            ("amount_refund_pending", payment.amount_refund_pending_minor == amounts.refund_pending),
            ("refunds", payment.refunds == amounts.refunds),
            ("amount_charged_back", payment.amount_charged_back_minor == amounts.charged_back),
            ("psp_reference", payment.psp_reference == self.psp_reference),
            ("proposal", payment.proposal.as_ref().is_none_or(|proposal| is_told(proposal, rows))),
        ];
        match told.into_iter().find(|(_, agrees)| !agrees) {
            Some((column, _)) => Err(BrokenChain::Row { column }),
            None => Ok(()),
        }
    }
}

/// Amounts in minor units, as a history tells them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Amounts {
    authorized: i64,
    captured: i64,
    refunded: i64,
    refund_pending: i64,
    charged_back: i64,
    refunds: Refunds,
}

impl Amounts {
    fn after_fact(self, fact: &Fact) -> Self {
        let told = fact.data.get("amount_minor").and_then(Value::as_i64).unwrap_or_default();
        let text = |name: &str| fact.data.get(name).and_then(Value::as_str);
        let status = |name: &str| text(name).and_then(|word| word.parse().ok());
        match (fact.event, status("was"), status("is")) {
            (EventKind::RefundUpdated, Some(was), Some(is)) => self.recounted(told, (was, is), text("psp_refund")),
            (event, _, _) => self.after(event, told, text("psp_refund")),
        }
    }

    fn recounted(self, amount: i64, ends: (RefundStatus, RefundStatus), psp_refund: Option<&str>) -> Self {
        let mut refunds = self.refunds;
        let counts = RefundCounts {
            captured_minor: self.captured,
            refunded_minor: self.refunded,
            pending_minor: self.refund_pending,
        };
        let counts = refunds.recount(counts, amount, ends, psp_refund);
        Self { refunded: counts.refunded_minor, refund_pending: counts.pending_minor, refunds, ..self }
    }

    fn after(mut self, event: EventKind, amount: i64, psp_refund: Option<&str>) -> Self {
        if matches!(event, EventKind::Authorized | EventKind::Captured | EventKind::ResolvedSucceeded) {
            self.authorized = self.authorized.max(amount);
        }
        if event == EventKind::Captured {
            self.captured = self.captured.max(amount);
        } else if event == EventKind::ResolvedSucceeded {
            self.captured = amount;
        } else if matches!(event, EventKind::CaptureFailed | EventKind::ResolvedFailed) {
            self.captured = self.refunded;
        } else if event == EventKind::ResolvedCanceled {
            self.refunded = self.captured;
        } else if event == EventKind::Refunded {
            self.refunds.count(psp_refund);
            self.refunded = self.refunded.saturating_add(amount).min(self.captured);
        } else if event == EventKind::RefundFailed && self.refunds.fail(psp_refund) {
            self.refunded = (self.refunded - amount).max(0);
        } else if event == EventKind::RefundRequested {
            self.refund_pending += amount;
        } else if event == EventKind::ChargedBack {
            self.charged_back = self.charged_back.saturating_add(amount);
        } else if event == EventKind::ChargebackReversed {
            self.charged_back = (self.charged_back - amount).max(0);
        }
        self
    }
}

/// Whether the history tells of a proposal, word for word, and of who made it: nobody can put words into another's mouth.
fn is_told(proposal: &Proposal, rows: &[HistoryRow]) -> bool {
    let Some(fact) = rows.iter().find(|row| row.seq == proposal.seq).map(|row| &row.fact) else { return false };
    let is_what = match &proposal.what {
        Proposed::Resolution(resolution) => {
            fact.event == EventKind::ResolutionProposed && fact.data["resolution"] == json!(resolution)
        }
        Proposed::Refund { amount_minor, .. } => {
            fact.event == EventKind::RefundProposed && fact.data["amount_minor"] == json!(amount_minor)
        }
    };
    is_what
        && fact.actor == format!("operator:{}", proposal.by)
        && fact.data["reason"] == json!(proposal.why)
        && fact.data["expires_at"] == json!(proposal.expires_at)
}
