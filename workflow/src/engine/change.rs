//! A change as the engine writes it, and what is said of it once it is written.

use std::sync::Arc;

use crate::decide::{ReviewReason, Step};
use crate::definition::{EventKind, State, has_ended};
use crate::ids::PaymentId;
use crate::notification::Notification;
use crate::payment::Payment;
use crate::port::moves::Moved;
use crate::port::store::{Origin, Update};
use crate::port::timeouts::{Followed, Standing};
use crate::trace::TraceContext;

/// A payment and the steps it takes from there.
pub(super) struct Change {
    pub(super) before: Arc<Payment>,
    pub(super) steps: Vec<Step>,
    pub(super) notifications: Vec<Notification>,
}

impl Change {
    pub(super) fn moved(&self) -> Option<Moved> {
        let payment = &self.steps.last()?.payment;
        Some(Moved { payment_id: payment.id, seq: payment.seq, state: payment.state })
    }

    /// The payment, if this change ends it.
    pub(super) fn ended(&self) -> Option<Arc<Payment>> {
        let payment = &self.steps.last()?.payment;
        (has_ended(payment.state) && !has_ended(self.before.state)).then(|| Arc::clone(payment))
    }

    pub(super) fn followed(&self) -> Option<Followed> {
        Some(following(Some(self.before.state), &self.steps.last()?.payment))
    }

    pub(super) fn into_update(self, origin: Origin) -> Option<Update> {
        let Self { before, steps, notifications } = self;
        let dead_letter = steps.iter().find_map(|step| step.dead_letter.clone());
        let mut last = None;
        let mut rows = Vec::with_capacity(steps.len());
        for step in steps {
            last = Some(step.payment);
            rows.push(step.row);
        }
        let payment = last?;
        let is_news = before.psp_reference != payment.psp_reference;
        let learned_reference = if is_news { payment.psp_reference.clone() } else { None };
        let (expected_seq, expected_fence) = (before.seq, before.fence);
        let (with, opens) = (None, None);
        Some(Update {
            expected_seq,
            expected_fence,
            payment,
            rows,
            origin,
            learned_reference,
            dead_letter,
            notifications,
            with,
            opens,
        })
    }
}

/// What a clock outside may have to know of a payment that is new or has moved.
pub(super) fn following(from: Option<State>, payment: &Payment) -> Followed {
    Followed { from, standing: Standing::of(payment), trace: TraceContext::current() }
}

/// What is told of a step once it is written.
pub(super) struct News {
    from: &'static str,
    to: State,
    event: EventKind,
    verdict: &'static str,
    pub(super) dead_letter: Option<ReviewReason>,
}

impl News {
    pub(super) fn of(step: &Step) -> Self {
        let fact = &step.row.fact;
        Self {
            from: fact.from.map_or("none", <&str>::from),
            to: fact.to,
            event: fact.event,
            verdict: fact.verdict.into(),
            dead_letter: step.dead_letter.as_ref().map(|letter| letter.reason),
        }
    }

    /// Counts the step. Calling for a person is not done here: alerts are durable, and workers see to them.
    pub(super) fn announce(&self, payment: PaymentId) {
        metrics::counter!(
            "fincore_moves_total",
            "from" => self.from, "to" => <&str>::from(self.to),
            "event" => <&str>::from(self.event), "verdict" => self.verdict
        )
        .increment(1);
        if let Some(reason) = self.dead_letter {
            metrics::counter!("fincore_dead_letters_total", "reason" => <&str>::from(reason)).increment(1);
        } else if self.to == State::InReview && self.event == EventKind::DeadlinePassed {
            metrics::counter!("fincore_reviews_overdue_total").increment(1);
            tracing::error!(%payment, "payment still waits for a person");
        }
    }
}
