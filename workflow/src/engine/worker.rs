//! What workers ask of the engine: claim a payment that is due, and report what an attempt came to.
//!
//! A claim writes the intent (which call, under which key) before anything is called. A report that leads straight to
//! the next activity claims it in the same transaction.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::{Engine, EngineError, MAX_CONFLICTS, known};
use crate::decide::{Decision, Occurrence, Step, record_stale};
use crate::definition::{self, Activity, EventKind, State};
use crate::event::{Actor, Event, Timekeeper, Unknown};
use crate::history::Hash;
use crate::payment::Payment;
use crate::port::gateway::Query;
use crate::port::queue::Wake;
use crate::port::store::{Due, Origin, Updated};
use crate::port::timeouts::LARGEST_SKEW;

/// The right to run one attempt of an activity, until its time runs out or somebody takes it away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The payment as the claim left it.
    pub payment: Arc<Payment>,
    /// What to run.
    pub activity: Activity,
    /// What the idempotency keys of its calls begin with: the same on every attempt.
    pub key: String,
    /// The worker it was given to.
    pub worker: String,
}

/// What became of looking at a payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// There is work to do.
    Work(Box<Lease>),
    /// There is nothing to do: nothing is due now, or its PSP account is paused.
    Idle,
    /// Somebody else has it in hand, until then at most.
    Held(jiff::Timestamp),
    /// A clock outside said too early that the time is over; it is, then.
    Early(jiff::Timestamp),
}

/// What it means that a clock outside says a payment's time is over.
enum Told {
    /// It is.
    InTime,
    /// It will be, then.
    Early(jiff::Timestamp),
    /// That does not matter any more, and is kept as old news.
    Late(Box<Step>),
}

/// What became of a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reported {
    /// There is more to do at once, under this lease.
    GoOn(Box<Lease>),
    /// The attempt is over, and so this payment is for now.
    Done(Arc<Payment>),
    /// Another had taken the payment over; the report is kept as old news.
    Late,
}

/// Whether a worker that reports takes on what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Claim the next activity in the same transaction when one is due.
    GoOn,
    /// Leave it to others: this worker is shutting down.
    Stop,
}

impl Engine {
    /// Looks at a payment: takes it from a dead worker, lets a passed deadline count, and claims the activity that is
    /// due.
    ///
    /// # Errors
    /// The store did not answer; the payment stays due.
    pub async fn wake(&self, wake: Wake, worker: &str) -> Result<Claimed, EngineError> {
        let keeper = wake.timekeeper();
        let mut timed_out = wake.task.filter(|task| task.timed_out).map(|task| task.state);
        let mut known = wake.snapshot;
        let paused = self.paused().await?;
        for _ in 0..MAX_CONFLICTS {
            let payment = match known.take() {
                Some(payment) => payment,
                None => match self.load(wake.payment_id).await? {
                    Some(payment) => payment,
                    None => return Ok(Claimed::Idle),
                },
            };
            let steps = match timed_out.map(|state| self.told(&payment, state)) {
                None | Some(Told::InTime) => self.due_steps(&payment, worker, keeper, &paused)?,
                Some(Told::Early(at)) => return Ok(Claimed::Early(at)),
                Some(Told::Late(step)) => Some(vec![*step]),
            };
            let Some(steps) = steps else {
                return Ok(payment.lease_until.map_or(Claimed::Idle, Claimed::Held));
            };
            let lease = lease_of(&steps, worker);
            let last = steps.last().map(|step| Arc::clone(&step.payment));
            if self.write(&payment, steps, Origin::Plain).await? == Updated::Conflict {
                continue;
            }
            // What the clock outside had to say is said, whether it counted or came too late.
            timed_out = None;
            match lease {
                Some(lease) => {
                    if let Some(due_at) = payment.next_wake_at {
                        let lag = self.now().duration_since(due_at).as_secs_f64().max(0.0);
                        metrics::histogram!("fincore_queue_lag_seconds").record(lag);
                    }
                    return Ok(Claimed::Work(Box::new(lease)));
                }
                None => known = last,
            }
        }
        Err(EngineError::Contended)
    }

    /// What it means now that a clock outside says the time in this state is over. The row's own time decides; what comes
    /// after the payment has left, or for an earlier stay, is kept as old news.
    fn told(&self, payment: &Payment, state: State) -> Told {
        let now = self.now();
        let deadline = payment.next_wake_at.filter(|_| payment.state == state && payment.activity().is_none());
        match deadline {
            Some(at) if at <= now => Told::InTime,
            Some(at) if at <= now.saturating_add(LARGEST_SKEW).unwrap_or(jiff::Timestamp::MAX) => Told::Early(at),
            Some(_) | None => {
                let occurrence = Occurrence::by_clock(Event::DeadlinePassed {}, Timekeeper::StepFunctions);
                let why = "the payment had left the state, or come back to it, before its time was over";
                Told::Late(Box::new(record_stale(payment, &occurrence, why, now)))
            }
        }
    }

    /// The step or two that a payment is due for now.
    fn due_steps(
        &self,
        payment: &Payment,
        worker: &str,
        keeper: Timekeeper,
        paused: &HashSet<String>,
    ) -> Result<Option<Vec<Step>>, EngineError> {
        let now = self.now();
        if !payment.is_due(now) {
            return Ok(None);
        }
        let occurrence = if payment.is_leased() {
            let detail = "the lease ran out before the worker reported".to_owned();
            Occurrence::by_clock(Event::Unknown { why: Unknown::WorkerLost, detail }, keeper)
        } else if payment.activity().is_some() {
            if paused.contains(&payment.psp) {
                return Ok(None);
            }
            self.intent(payment, worker)?
        } else {
            Occurrence::by_clock(Event::DeadlinePassed {}, keeper)
        };
        let first = match self.decide(payment, &occurrence, now)? {
            Decision::Record(step) => *step,
            Decision::Illegal(why) => return Err(EngineError::Illegal { state: payment.state, why }),
        };
        let mut steps = vec![first];
        if !matches!(occurrence.event, Event::AttemptStarted { .. }) {
            self.go_on(&mut steps, worker, paused)?;
        }
        Ok(Some(steps))
    }

    /// Adds the claim of the activity that the last step made due, if it did.
    fn go_on(&self, steps: &mut Vec<Step>, worker: &str, paused: &HashSet<String>) -> Result<(), EngineError> {
        let Some(payment) = steps.last().map(|step| &step.payment) else { return Ok(()) };
        let now = self.now();
        if payment.is_leased() || !payment.is_due(now) || payment.activity().is_none() || paused.contains(&payment.psp)
        {
            return Ok(());
        }
        let intent = self.intent(payment, worker)?;
        if let Decision::Record(step) = self.decide(payment, &intent, now)? {
            steps.push(*step);
        }
        Ok(())
    }

    /// The write-ahead intent of the next attempt: which activity, under which key, until when. A key that the PSP may
    /// have forgotten by then would make the call a new one: the intent is then not to make it.
    fn intent(&self, payment: &Payment, worker: &str) -> Result<Occurrence, EngineError> {
        let definition = known(payment)?;
        // The claim itself may lead on (from created to authorizing, or to canceling): the activity is the one there.
        let rule = definition.state(payment.state).rule(EventKind::AttemptStarted);
        let state = match rule.next(payment.goal) {
            Some(definition::Next::To(state)) => state,
            Some(
                definition::Next::Stay
                | definition::Next::Retry(_)
                | definition::Next::RetryElsewhere(_)
                | definition::Next::FailOver(_)
                | definition::Next::Reverse,
            )
            | None => payment.state,
        };
        let activity = definition
            .state(state)
            .activity()
            .ok_or(EngineError::Illegal { state, why: "no activity is due in this state" })?;
        let lease_ms = i64::try_from(definition.activity(activity).lease_ms).unwrap_or(i64::MAX);
        let lease_until =
            self.now().saturating_add(SignedDuration::from_millis(lease_ms)).unwrap_or(jiff::Timestamp::MAX);
        if let Some(event) = self.expired_key(payment, activity, lease_until) {
            return Ok(Occurrence::by_clock(event, Timekeeper::Database));
        }
        let event = Event::AttemptStarted { activity, key: key(payment), lease_until };
        Ok(Occurrence { event, actor: Actor::Worker(worker.to_owned()), payload_hash: Some(asked_hash(payment)) })
    }

    /// Records what an attempt came to, and claims what follows when `then` says so.
    ///
    /// # Errors
    /// The store did not answer: the lease will run out and the outcome counts as unknown.
    pub async fn report(
        &self,
        lease: Lease,
        event: Event,
        payload_hash: Option<Hash>,
        then: Then,
    ) -> Result<Reported, EngineError> {
        let occurrence = Occurrence { event, actor: Actor::Worker(lease.worker.clone()), payload_hash };
        let mut payment = lease.payment;
        // A report must not fail for want of this: where it is not known, another one claims what follows.
        let paused = self.paused().await.ok();
        for _ in 0..MAX_CONFLICTS {
            let now = self.now();
            let mut steps = match self.decide(&payment, &occurrence, now)? {
                Decision::Record(step) => vec![*step],
                Decision::Illegal(why) => return Err(EngineError::Illegal { state: payment.state, why }),
            };
            if let (Then::GoOn, Some(paused)) = (then, &paused) {
                self.go_on(&mut steps, &lease.worker, paused)?;
            }
            let next = lease_of(&steps, &lease.worker);
            let Some(after) = steps.last().map(|step| Arc::clone(&step.payment)) else { break };
            if self.write(&payment, steps, Origin::Plain).await? == Updated::Applied {
                if let Some(next) = next {
                    return Ok(Reported::GoOn(Box::new(next)));
                }
                if after.is_leased() && after.fence == payment.fence {
                    let kept = Lease { payment: after, ..lease };
                    return Ok(Reported::GoOn(Box::new(kept)));
                }
                self.tell_if_due(&after);
                return Ok(Reported::Done(after));
            }
            let fresh = self.load(payment.id).await?.ok_or(EngineError::NotFound)?;
            if fresh.fence != payment.fence {
                return self.report_late(fresh, &payment.psp, occurrence).await;
            }
            payment = fresh;
        }
        Err(EngineError::Contended)
    }

    /// Keeps the report of a worker that had lost the payment. Who has it now asks the PSP again, under the same key.
    async fn report_late(
        &self,
        mut payment: Arc<Payment>,
        psp: &str,
        mut occurrence: Occurrence,
    ) -> Result<Reported, EngineError> {
        let is_elsewhere = payment.psp != psp;
        if is_elsewhere {
            occurrence.event = occurrence.event.at_former(&payment);
        }
        let occurrence = &occurrence;
        let is_money =
            matches!(occurrence.event.kind(), EventKind::Authorized | EventKind::Captured | EventKind::AmountsDisagree);
        for _ in 0..MAX_CONFLICTS {
            let now = self.now();
            // When the payment has ended or gone to another PSP, nobody will ask there again: news of money counts now.
            let counts = is_money && (is_elsewhere || definition::has_ended(payment.state));
            let step = match counts.then(|| self.decide(&payment, occurrence, now)).transpose()? {
                Some(Decision::Record(step)) => *step,
                Some(Decision::Illegal(_)) | None => {
                    record_stale(&payment, occurrence, "another had taken the payment over", now)
                }
            };
            let after = Arc::clone(&step.payment);
            if self.write(&payment, vec![step], Origin::Plain).await? == Updated::Applied {
                self.tell_if_due(&after);
                return Ok(Reported::Late);
            }
            payment = self.load(payment.id).await?.ok_or(EngineError::NotFound)?;
        }
        Err(EngineError::Contended)
    }

    /// Payments whose time has come longer than `grace` ago: what the queue forgot, what backed off, whose worker died.
    /// The longest overdue first; the next ones after `after`.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn due(
        &self,
        grace: std::time::Duration,
        after: Option<Due>,
        limit: u32,
    ) -> Result<Vec<Due>, EngineError> {
        let until = self.now().saturating_sub(grace).unwrap_or(jiff::Timestamp::MIN);
        Ok(self.store.due(until, after, limit).await?)
    }
}

impl Engine {
    /// The refusal to call under a key whose lifetime may end before the lease does.
    fn expired_key(&self, payment: &Payment, activity: Activity, lease_until: jiff::Timestamp) -> Option<Event> {
        let (used, capabilities) = (payment.key_use?, self.capabilities.get(&payment.psp)?);
        let repeats = match (activity, capabilities.query) {
            (Activity::Reconcile, Query::ByReference) => false,
            (Activity::Reconcile, Query::ByReplay) => true,
            (Activity::Authorize | Activity::Finalize | Activity::Cancel | Activity::Refund, _) => {
                used.activity == activity
            }
        };
        let age_ms = u64::try_from(lease_until.duration_since(used.since).as_millis()).unwrap_or_default();
        (repeats && age_ms >= capabilities.key_lifetime_ms)
            .then_some(Event::KeyExpired { activity: used.activity, key_since: used.since })
    }
}

/// The lease that the last step gave, if it was a claim.
fn lease_of(steps: &[Step], worker: &str) -> Option<Lease> {
    let step = steps.last()?;
    if step.row.fact.event != EventKind::AttemptStarted || !step.payment.is_leased() {
        return None;
    }
    let activity = step.payment.activity()?;
    let key = key(&step.payment);
    Some(Lease { payment: Arc::clone(&step.payment), activity, key, worker: worker.to_owned() })
}

/// What the idempotency keys of this payment's calls begin with; the call's operation follows. It comes from the row
/// alone, so every attempt and every worker has the same; the number grows only after an authoritative refusal.
fn key(payment: &Payment) -> String {
    format!("{}-{}", payment.id, payment.operation)
}

/// Hash of what is asked of the PSP, kept with the intent: attempts under one key must ask the same.
fn asked_hash(payment: &Payment) -> Hash {
    let asked = match &payment.refund_of {
        Some(of) => serde_json::json!({"psp": payment.psp, "refund_of": of, "refund": payment.asked()}),
        None => serde_json::json!({
            "psp": payment.psp,
            "payment_method": payment.payment_method,
            "authorize": payment.asked(),
            "capture": payment.to_capture(),
        }),
    };
    Hash::of(asked.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::ids::PaymentId;
    use crate::port::gateway::{LONGEST_KEY, Operation};
    use strum::IntoEnumIterator;

    #[test]
    fn the_longest_idempotency_key_is_no_longer_than_gateways_are_told() {
        let id = PaymentId::new(Timestamp::UNIX_EPOCH, [0, 0]);
        for operation in Operation::iter() {
            assert!(format!("{id}-{}-{operation}", i32::MAX).len() <= LONGEST_KEY);
        }
    }
}
