//! Refunds: paid back at once, later, or not at all after all.
//!
//! Not here: finding the refund and its payment (`state`).

use serde_json::json;

use crate::error::ApiError;
use crate::event::{Effects, EventKind};
use crate::ids;
use crate::intent::{Intent, Refund, RefundStatus, Status};
use crate::ledger::EntryKind;
use crate::params;
use crate::scenario::Aftermath;

impl Intent {
    /// Pays back what was taken, or a part of it.
    pub(crate) fn refund(
        &mut self,
        asked: &params::Refund,
        now: i64,
        effects: &mut Effects,
    ) -> Result<Refund, ApiError> {
        let amount = self.check_refundable(asked.amount)?;
        self.amount_refunded += amount;
        let (status, becomes) = match self.scenario().map(|scenario| scenario.aftermath) {
            Some(Aftermath::RefundPending) => (RefundStatus::Pending, Some(RefundStatus::Succeeded)),
            Some(Aftermath::RefundFails) => (RefundStatus::Succeeded, Some(RefundStatus::Failed)),
            Some(
                Aftermath::Quiet
                | Aftermath::CaptureProcessing
                | Aftermath::CaptureProcessingFails
                | Aftermath::CaptureFails
                | Aftermath::Disputed(_),
            )
            | None => (RefundStatus::Succeeded, None),
        };
        if status == RefundStatus::Succeeded {
            effects.entries.push(self.entry(EntryKind::Refunded, amount));
        }
        effects.tell(EventKind::RefundCreated);
        effects.tell(EventKind::ChargeRefunded);
        Ok(Refund {
            id: ids::new("re_"),
            amount,
            currency: self.currency.clone(),
            payment_intent: self.id.clone(),
            charge: self.latest_charge.clone(),
            reason: asked.reason.clone(),
            metadata: asked.metadata.clone(),
            created: now,
            status,
            becomes,
            balance_transaction: Some(ids::new("txn_")),
            failure_balance_transaction: None,
        })
    }

    /// The amount that would be refunded.
    fn check_refundable(&self, asked: Option<i64>) -> Result<i64, ApiError> {
        if self.status != Status::Succeeded {
            let message = format!("This PaymentIntent ({}) does not have a successful charge to refund.", self.id);
            return Err(ApiError::unexpected_state(self, message));
        }
        let charge = self.latest_charge.as_deref().unwrap_or_default();
        if self.dispute.as_ref().is_some_and(|dispute| dispute.holds_money()) {
            let message = format!("Charge {charge} has been charged back; cannot issue a refund.");
            return Err(ApiError::refused("charge_disputed", message));
        }
        let left = self.amount_received - self.amount_refunded;
        if left == 0 {
            let message = format!("Charge {charge} has already been refunded.");
            return Err(ApiError::refused("charge_already_refunded", message));
        }
        let amount = asked.unwrap_or(left);
        if amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(ApiError::invalid("amount", message));
        }
        Ok(amount)
    }

    /// A refund comes to the end that it was meant to have.
    pub(super) fn end_refund(&mut self, refund: &mut Refund, effects: &mut Effects) {
        let Some(end) = refund.becomes.take() else { return };
        let before = refund.status;
        refund.status = end;
        match end {
            RefundStatus::Pending => {}
            RefundStatus::Succeeded => {
                effects.entries.push(self.entry(EntryKind::Refunded, refund.amount));
                let previous = json!({"pending_reason": "processing", "status": before.name()});
                effects.tell_change(EventKind::RefundUpdated, previous.clone());
                effects.tell_change(EventKind::ChargeRefundUpdated, previous);
            }
            RefundStatus::Failed => {
                self.amount_refunded -= refund.amount;
                refund.failure_balance_transaction = Some(ids::new("txn_"));
                effects.entries.push(self.entry(EntryKind::RefundFailed, refund.amount));
                let previous =
                    json!({"failure_balance_transaction": null, "failure_reason": null, "status": before.name()});
                effects.tell(EventKind::RefundFailed);
                effects.tell_change(EventKind::RefundUpdated, previous.clone());
                effects.tell_change(EventKind::ChargeRefundUpdated, previous);
            }
        }
    }
}
