//! Disputes: opened by the payer, answered by the merchant, decided by the bank.
//!
//! Not here: which payment method is disputed (`scenario`).

use serde_json::json;

use super::Settled;
use crate::error::ApiError;
use crate::event::{Effects, EventKind};
use crate::ids;
use crate::intent::{BalanceMove, Dispute, DisputeStatus, Intent, Status};
use crate::ledger::EntryKind;
use crate::scenario::{DisputeKind, DisputePlan, Verdict};

/// Evidence that wins, and evidence that loses, as in Stripe's test mode.
const WINNING: &str = "winning_evidence";
const LOSING: &str = "losing_evidence";

impl Dispute {
    /// Whether the bank has taken the money, and has not given it back.
    pub(super) fn holds_money(&self) -> bool {
        self.moves.iter().map(|moved| moved.amount).sum::<i64>() < 0
    }
}

impl Intent {
    /// The payer's bank asks, or takes the money back. What was refunded is not disputed again.
    pub(crate) fn open_dispute(&mut self, plan: DisputePlan, now: i64, effects: &mut Effects) -> Settled {
        let amount = self.amount_received - self.amount_refunded;
        if self.status != Status::Succeeded || self.dispute.is_some() || amount == 0 {
            return Settled::NotAwaited;
        }
        let status = match plan.kind {
            DisputeKind::Chargeback => DisputeStatus::NeedsResponse,
            DisputeKind::Inquiry => DisputeStatus::WarningNeedsResponse,
        };
        let mut dispute = Dispute {
            id: ids::new("du_"),
            amount,
            reason: plan.reason.to_owned(),
            status,
            created: now,
            moves: Vec::new(),
            evidence: None,
        };
        effects.tell(EventKind::DisputeCreated);
        if plan.kind == DisputeKind::Chargeback {
            dispute.moves.push(BalanceMove { id: ids::new("txn_"), amount: -amount, created: now });
            effects.entries.push(self.entry(EntryKind::Withdrawn, amount));
            effects.tell(EventKind::DisputeFundsWithdrawn);
        }
        self.dispute = Some(dispute);
        Settled::Now
    }

    /// The bank decides.
    pub(crate) fn close_dispute(&mut self, verdict: Verdict, now: i64, effects: &mut Effects) -> Settled {
        let Some(mut dispute) = self.dispute.take_if(|dispute| dispute.status.is_open()) else {
            return Settled::NotAwaited;
        };
        let before = dispute.status;
        dispute.status = match (before, verdict) {
            (DisputeStatus::WarningNeedsResponse | DisputeStatus::WarningClosed, _) => DisputeStatus::WarningClosed,
            (_, Verdict::Won) => DisputeStatus::Won,
            (_, Verdict::Lost) => DisputeStatus::Lost,
        };
        effects.tell_change(EventKind::DisputeClosed, json!({"status": before.name()}));
        if dispute.status == DisputeStatus::Won && dispute.holds_money() {
            dispute.moves.push(BalanceMove { id: ids::new("txn_"), amount: dispute.amount, created: now });
            effects.entries.push(self.entry(EntryKind::Reinstated, dispute.amount));
            effects.tell(EventKind::DisputeFundsReinstated);
        }
        self.dispute = Some(dispute);
        Settled::Now
    }

    /// The merchant hands in evidence; the two magic texts decide the dispute at once.
    pub(crate) fn answer_dispute(
        &mut self,
        evidence: Option<&str>,
        now: i64,
        effects: &mut Effects,
    ) -> Result<(), ApiError> {
        let dispute = self.dispute.as_mut().filter(|dispute| dispute.status.is_open());
        let dispute = dispute.ok_or_else(already_closed)?;
        if let Some(text) = evidence {
            dispute.evidence = Some(text.to_owned());
            effects.tell(EventKind::DisputeUpdated);
        }
        match evidence {
            Some(WINNING) => self.close_dispute(Verdict::Won, now, effects),
            Some(LOSING) => self.close_dispute(Verdict::Lost, now, effects),
            Some(_) | None => Settled::NotAwaited,
        };
        Ok(())
    }

    /// The merchant accepts the loss.
    pub(crate) fn give_up_dispute(&mut self, now: i64, effects: &mut Effects) -> Result<(), ApiError> {
        match self.close_dispute(Verdict::Lost, now, effects) {
            Settled::Now => Ok(()),
            Settled::NotAwaited | Settled::Unchanged => Err(already_closed()),
        }
    }
}

fn already_closed() -> ApiError {
    ApiError::malformed("This dispute is already closed.".to_owned())
}
