//! What operators ask of the engine. Every act is an event in the payment's history, with the person and the reason, and an
//! entry in the audit log, written in the same transaction. Each can be seen before it is done: the plan is the step that
//! would be written, decided in the same way and thrown away.
//!
//! Not here: what an act is as an event ([`crate::acts`]), and whether it is allowed ([`crate::decide`]).

mod plan;

use std::sync::Arc;

use tracing::field;

use super::client::{Refund, refund_of};
use super::{Engine, EngineError, MAX_CONFLICTS};
use crate::acts::{self, Circumstances};
use crate::decide::{self, Decision, Occurrence, Redriving, Step};
use crate::definition::State;
use crate::event::{Actor, Event};
use crate::explain::{Explanation, Known, explain};
use crate::history::Verdict;
use crate::ids::{AuditId, PaymentId};
use crate::money::Amount;
use crate::payment::{Payment, Proposed};
use crate::port::archives;
use crate::port::audit::{AuditAct, AuditEntry, AuditOutcome};
use crate::port::pauses::Pause;
use crate::port::store::{DeadLetterRow, Origin, Updated};
use crate::trace;

pub use crate::acts::{Act, ActKind, By};
pub use plan::{MoneyEffect, Plan};

/// What became of an act. Either way it is in the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Performed<T = Done> {
    /// It is done.
    Done(Box<T>),
    /// It was refused, and nothing is changed.
    Refused(Refusal),
}

/// A payment after an act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// The payment.
    pub payment: Arc<Payment>,
    /// The refund that the act began, if it began one.
    pub refund: Option<Arc<Payment>>,
}

/// What would become of an act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Planned {
    /// It would do this.
    Would(Box<Plan>),
    /// It would be refused.
    Refused(Refusal),
}

/// Why an act is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Where the payment stands, if it is about one.
    pub state: Option<State>,
    /// The reason, for the person.
    pub why: String,
    /// Whether it would be done if the person said that this is settled ([`crate::decide::Decided::Yes`]).
    pub is_undecided: bool,
}

impl Refusal {
    fn of(state: State, why: &str) -> Self {
        Self { state: Some(state), why: why.to_owned(), is_undecided: false }
    }
}

/// An act that is decided and not yet written.
struct Prepared {
    before: Arc<Payment>,
    step: Step,
    opens: Option<Step>,
    redriving: Redriving,
}

enum Preparation {
    Ready(Box<Prepared>),
    Refused(Refusal),
}

impl Engine {
    /// Does what an operator wants. Whether it is done or refused, the audit log has it.
    ///
    /// # Errors
    /// The store did not answer, and nothing is done; or there is no such payment.
    pub async fn perform(&self, id: PaymentId, act: &Act, by: &By) -> Result<Performed, EngineError> {
        let kind = <&str>::from(act.kind());
        let span = tracing::info_span!("operator", otel.name = kind, payment = %id, trace_id = field::Empty);
        trace::step(span, id, Box::pin(self.carry_out(id, act, by))).await
    }

    async fn carry_out(&self, id: PaymentId, act: &Act, by: &By) -> Result<Performed, EngineError> {
        for _ in 0..MAX_CONFLICTS {
            let Prepared { before, step, opens, .. } = match self.prepare(id, act, by).await? {
                Preparation::Ready(prepared) => *prepared,
                Preparation::Refused(refusal) => {
                    let outcome = AuditOutcome::Refused(refusal.why.clone());
                    self.store.enter(&[self.entry(act.audited(), id, by, outcome)]).await?;
                    return Ok(Performed::Refused(refusal));
                }
            };
            let (payment, refund) = (Arc::clone(&step.payment), opens.as_ref().map(|step| Arc::clone(&step.payment)));
            let origin = Origin::Act(self.entry(act.audited(), id, by, AuditOutcome::Done));
            let updated = match opens {
                None => self.write(&before, vec![step], origin).await?,
                Some(_) => Box::pin(self.write_with(self.change(before, vec![step]), None, opens, origin)).await?,
            };
            if updated == Updated::Applied {
                self.tell_if_due(&payment);
                if let Some(refund) = &refund {
                    metrics::counter!("fincore_refunds_started_total").increment(1);
                    self.tell_if_due(refund);
                }
                metrics::counter!("fincore_operator_acts_total", "act" => <&str>::from(act.kind())).increment(1);
                return Ok(Performed::Done(Box::new(Done { payment, refund })));
            }
        }
        Err(EngineError::Contended)
    }

    /// What an act would do now; nothing is written, not even to the audit log.
    ///
    /// # Errors
    /// The store did not answer, or there is no such payment.
    pub async fn plan(&self, id: PaymentId, act: &Act, by: &By) -> Result<Planned, EngineError> {
        let prepared = match self.prepare(id, act, by).await? {
            Preparation::Ready(prepared) => *prepared,
            Preparation::Refused(refusal) => return Ok(Planned::Refused(refusal)),
        };
        let pause = self.pause_of(&prepared.step.payment.psp).await?;
        let approval = self.plan_of_approval(act, by, &prepared)?;
        let now = self.now();
        let Prepared { before, step, opens, redriving } = prepared;
        let next =
            explain(super::known(&step.payment)?, &step.payment, Known { letter: None, pause: pause.as_ref(), now });
        let plan = Plan::of(act.kind(), before, step, opens.map(|step| step.payment), redriving, next.next);
        Ok(Planned::Would(Box::new(Plan { approval: approval.map(Box::new), ..plan })))
    }

    /// What a payment waits for, and what can be done about it.
    ///
    /// # Errors
    /// The store did not answer, there is no such payment, or this binary does not know its workflow version.
    pub async fn explain(&self, id: PaymentId) -> Result<Explanation, EngineError> {
        let payment = self.load(id).await?.ok_or(EngineError::NotFound)?;
        let letter = self.letter_of(id).await?;
        let pause = self.pause_of(&payment.psp).await?;
        let known = Known { letter: letter.as_ref(), pause: pause.as_ref(), now: self.now() };
        Ok(explain(super::known(&payment)?, &payment, known))
    }

    async fn pause_of(&self, psp: &str) -> Result<Option<Pause>, EngineError> {
        Ok(self.store.pauses().await?.into_iter().find(|pause| pause.psp == psp))
    }

    async fn letter_of(&self, id: PaymentId) -> Result<Option<DeadLetterRow>, EngineError> {
        Ok(self.store.dead_letters_of(id, 1).await?.pop())
    }

    /// The letter is read after the payment: a later one goes with a later `seq`, which the update would then miss.
    async fn prepare(&self, id: PaymentId, act: &Act, by: &By) -> Result<Preparation, EngineError> {
        let before = self.load(id).await?.ok_or(EngineError::NotFound)?;
        let refused = |why: &str| Preparation::Refused(Refusal::of(before.state, why));
        if let Some(why) = by.refused() {
            return Ok(refused(why));
        }
        if matches!(act, Act::Approve { .. }) && !self.is_as_told(&before).await? {
            return Ok(refused("its row is not what its history says: somebody changed it; see `fincore verify`"));
        }
        let letter = if matches!(act, Act::Redrive(_)) { self.letter_of(id).await? } else { None };
        let redriving = Redriving::told_by(letter.as_ref().map(|letter| letter.letter.reason), before.goal);
        let (now, refund) = (self.now(), PaymentId::new_refund(self.now(), self.random_pair()));
        let event = match acts::event(&before, act, Circumstances { by, redriving, refund, now }) {
            Ok(event) => event,
            Err(why) => return Ok(refused(why)),
        };
        let actor = Actor::Operator(by.operator.clone());
        let occurrence = Occurrence { event, actor, payload_hash: None };
        let step = match self.decide(&before, &occurrence, now)? {
            Decision::Record(step) => *step,
            Decision::Illegal(why) => return Ok(refused(why)),
        };
        if step.row.fact.verdict == Verdict::Stale {
            return Ok(refused(step.row.fact.data["stale"].as_str().unwrap_or("it changes nothing")));
        }
        if let Act::Redrive(decided) = act
            && let Some(what) = redriving.undecided(*decided)
        {
            return Ok(Preparation::Refused(Refusal { is_undecided: true, ..Refusal::of(before.state, what) }));
        }
        let Some(opens) = self.opens(&before, &occurrence) else {
            return Ok(refused("nothing is left to give back"));
        };
        Ok(Preparation::Ready(Box::new(Prepared { step, opens, redriving, before })))
    }

    /// Whether a payment's row is what its history tells. Who approves must not approve what nobody has proposed.
    async fn is_as_told(&self, payment: &Payment) -> Result<bool, EngineError> {
        let mut history = archives::history_of(self.store.as_ref(), payment.id).await?;
        // It may have moved since it was read; the update will then miss.
        history.rows.retain(|row| row.seq <= payment.seq);
        Ok(history.verify(payment).is_ok())
    }

    /// The refund that an approval begins, if it begins one.
    #[expect(clippy::option_option, reason = "none when its amount is none that can be asked for")]
    fn opens(&self, charge: &Payment, occurrence: &Occurrence) -> Option<Option<Step>> {
        let Event::RefundRequested { refund, money, .. } = &occurrence.event else { return Some(None) };
        let amount = Amount::try_from(money.amount_minor).ok()?;
        let reason = match charge.proposal.as_ref().map(|proposal| &proposal.what) {
            Some(Proposed::Refund { refund_reason, .. }) => *refund_reason,
            Some(Proposed::Resolution(_)) | None => None,
        };
        let asked = Refund { amount: Some(amount), reason, metadata: std::collections::BTreeMap::new() };
        let opened = refund_of(charge, amount, &asked, *refund, self.now());
        Some(Some(decide::start(opened, &occurrence.actor)))
    }

    /// What approving a proposal would do, as if somebody else did that at once.
    fn plan_of_approval(&self, act: &Act, by: &By, proposed: &Prepared) -> Result<Option<Plan>, EngineError> {
        if !matches!(act, Act::Propose(_)) {
            return Ok(None);
        }
        let before = Arc::clone(&proposed.step.payment);
        let second = By { operator: format!("somebody else than {}", by.operator), ..by.clone() };
        let approve = Act::Approve { proposal: before.seq };
        let (now, refund) = (self.now(), PaymentId::new_refund(self.now(), self.random_pair()));
        let given = Circumstances { by: &second, redriving: proposed.redriving, refund, now };
        let Ok(event) = acts::event(&before, &approve, given) else { return Ok(None) };
        let occurrence = Occurrence { event, actor: Actor::Operator(second.operator.clone()), payload_hash: None };
        let Decision::Record(step) = self.decide(&before, &occurrence, now)? else { return Ok(None) };
        let Some(opens) = self.opens(&before, &occurrence) else { return Ok(None) };
        let known = Known { letter: None, pause: None, now };
        let next = explain(super::known(&step.payment)?, &step.payment, known).next;
        Ok(Some(Plan::of(ActKind::Approve, before, *step, opens.map(|step| step.payment), proposed.redriving, next)))
    }

    fn entry(&self, act: AuditAct, id: PaymentId, by: &By, outcome: AuditOutcome) -> AuditEntry {
        let at = self.now();
        AuditEntry {
            id: AuditId::new(at, self.random_pair()),
            at,
            actor: by.operator.clone(),
            role: by.role,
            act,
            payment_id: Some(id),
            subject: None,
            reason: Some(by.why.clone()),
            outcome,
            via: by.via,
            remote: by.remote.clone(),
        }
    }
}
