//! What happens without a call: late answers, late failures, disputes, the payer.
//!
//! Not here: what it does to a payment (`machine`) and the timers (`shared`).

use super::{State, Touched};
use crate::clock::now;
use crate::event::Effects;
use crate::intent::{Intent, Refund};
use crate::machine::{Authentication, LateStep, Pace, Settled};
use crate::scenario::{DisputePlan, Verdict};
use crate::webhook::Sending;

/// Something that happens later by itself.
#[derive(Debug, Clone)]
pub(crate) struct Late {
    pub(crate) payment_intent: String,
    pub(crate) refund: Option<String>,
    pub(crate) step: LateStep,
    pub(crate) pace: Pace,
}

impl Late {
    fn of_intent(intent: &Intent) -> Option<Self> {
        let step = intent.awaits()?;
        Some(Self { payment_intent: intent.id.clone(), refund: None, step, pace: step.pace(intent) })
    }

    fn of_refund(refund: &Refund) -> Option<Self> {
        let payment_intent = refund.payment_intent.clone();
        Some(Self { payment_intent, refund: Some(refund.id.clone()), step: refund.awaits()?, pace: Pace::Soon })
    }
}

impl State {
    /// Everything that is still to come.
    pub(crate) fn awaited(&self) -> Vec<Late> {
        let intents = self.intents.values().filter_map(Late::of_intent);
        intents.chain(self.refunds.values().filter_map(Late::of_refund)).collect()
    }

    /// What is still to come for what was touched.
    pub(super) fn still_to_come(&self, touched: &Touched) -> Vec<Late> {
        let intent = touched.intent.as_ref().and_then(|id| self.intents.get(id)).and_then(Late::of_intent);
        let refund = touched.refund.as_ref().and_then(|id| self.refunds.get(id)).and_then(Late::of_refund);
        intent.into_iter().chain(refund).collect()
    }

    /// It happens, unless something else has happened meanwhile. Says what comes after it.
    pub(crate) fn happen(&mut self, late: &Late) -> (Settled, Vec<Late>) {
        self.change(&late.payment_intent, late.refund.as_deref(), |intent, refund, effects| {
            intent.happen(late.step, refund, now(), effects)
        })
    }

    /// The answer of the payer to a payment in `requires_action`.
    pub(crate) fn authenticate(&mut self, id: &str, answer: Authentication) -> (Settled, Vec<Late>) {
        self.change(id, None, |intent, _, effects| intent.authenticate(answer, effects))
    }

    /// The payer disputes a captured payment.
    pub(crate) fn open_dispute(&mut self, id: &str, plan: DisputePlan) -> (Settled, Vec<Late>) {
        self.change(id, None, |intent, _, effects| intent.open_dispute(plan, now(), effects))
    }

    /// The bank decides a dispute.
    pub(crate) fn close_dispute(&mut self, dispute: &str, verdict: Verdict) -> (Settled, Vec<Late>) {
        let id = self.disputed(dispute).unwrap_or_default().to_owned();
        self.change(&id, None, |intent, _, effects| intent.close_dispute(verdict, now(), effects))
    }

    fn change(
        &mut self,
        id: &str,
        refund: Option<&str>,
        change: impl FnOnce(&mut Intent, Option<&mut Refund>, &mut Effects) -> Settled,
    ) -> (Settled, Vec<Late>) {
        let Some(intent) = self.intents.get_mut(id) else { return (Settled::NotAwaited, Vec::new()) };
        let mut effects = Effects::default();
        let settled = change(intent, refund.and_then(|id| self.refunds.get_mut(id)), &mut effects);
        if settled != Settled::Now {
            return (settled, Vec::new());
        }
        let touched = Touched { intent: Some(id.to_owned()), refund: refund.map(str::to_owned), fired: None };
        self.write(&touched, &effects.entries, None);
        self.emit(&touched, &effects, Sending::Once);
        self.ledger.append(&mut effects.entries);
        (settled, self.still_to_come(&touched))
    }
}
