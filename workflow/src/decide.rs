//! What one event does to one payment: the table applied. Pure and total; the same inputs give the same step.
//!
//! Not here: where events come from, and storing the step ([`crate::engine`]).

mod absorb;
mod guards;
mod review;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::definition::{Activity, Definition, ErrorClass, EventKind, Goal, Next, Rule, State, StateKind};
use crate::event::{Actor, Event, Timekeeper};
use crate::history::{Fact, Hash, HistoryRow, Verdict};
use crate::payment::{Failure, FailureCategory, KeyUse, Payment};

use absorb::{absorb, is_counted, is_told_again, renew_key};

pub use guards::proposal_expires_at;
pub use review::{DeadLetter, Decided, Redriving, ReviewReason, Signature};

/// Attempts that did not reach the PSP, after which another account may be tried.
const ATTEMPTS_BEFORE_ELSEWHERE: i32 = 2;

/// Claims after which going round between asking and acting slows down; a normal recovery needs four.
const CLAIMS_BEFORE_SLOWING_DOWN: i32 = 4;

/// An event, who caused it, and the bytes it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occurrence {
    /// What happened.
    pub event: Event,
    /// Who caused it.
    pub actor: Actor,
    /// Hash of the raw answer or webhook body.
    pub payload_hash: Option<Hash>,
}

impl Occurrence {
    /// Something that somebody's clock noticed.
    #[must_use]
    pub fn by_clock(event: Event, keeper: Timekeeper) -> Self {
        Self { event, actor: Actor::Clock(keeper), payload_hash: None }
    }
}

/// What an event does to a payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is recorded: as a move, as a fact, or as old news.
    Record(Box<Step>),
    /// It is refused, and says why; nothing is recorded.
    Illegal(&'static str),
}

/// A payment one history row later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The payment after the event. Shared: it does not change any more, and many hands get it.
    pub payment: Arc<Payment>,
    /// The row that tells of it.
    pub row: HistoryRow,
    /// Set when the event sent the payment to a person.
    pub dead_letter: Option<DeadLetter>,
}

/// Where a rule leads this payment, with limits counted in.
enum Way {
    Go(Next),
    Review(ReviewReason),
    Old(&'static str),
    Refused(&'static str),
}

/// Decides what an event does to a payment. `random` chooses the backoff within its bounds.
#[must_use]
pub fn decide(
    definition: &Definition,
    payment: &Payment,
    occurrence: &Occurrence,
    now: Timestamp,
    random: u64,
) -> Decision {
    let event = &occurrence.event;
    let mut data = fields(event);
    let mut after = payment.clone();
    let (verdict, dead_letter) = match way(definition, payment, occurrence, now) {
        Way::Refused(why) => return Decision::Illegal(why),
        Way::Old(why) => {
            data.insert("stale".into(), json!(why));
            (Verdict::Stale, None)
        }
        Way::Review(reason) => {
            absorb(&mut after, event);
            guards::heed(&mut after, payment, occurrence, now, &mut data);
            enter(definition, &mut after, State::InReview, now, random);
            data.insert("review".into(), json!(<&str>::from(reason)));
            let mut last_error = fields(event);
            last_error.insert("event".into(), json!(<&str>::from(event.kind())));
            (Verdict::Applied, Some(DeadLetter { reason, last_error: Value::Object(last_error) }))
        }
        Way::Go(next) => {
            absorb(&mut after, event);
            guards::heed(&mut after, payment, occurrence, now, &mut data);
            let calls_for_it = matches!(event.kind(), EventKind::Captured | EventKind::RetryRequested);
            let changed = after.goal != payment.goal || calls_for_it;
            go(definition, &mut after, next, &Happening { event, changed, now, random }, &mut data);
            (Verdict::Applied, None)
        }
    };
    let attempt = if after.state == payment.state { after.attempt } else { after.attempt.max(payment.attempt) };
    let told = Told { verdict, attempt, data };
    Decision::Record(Box::new(record(payment, after, occurrence, told, dead_letter, now)))
}

/// The first step of a payment that a client asked for.
#[must_use]
pub fn start(mut payment: Payment, actor: &Actor) -> Step {
    let event = Event::Started {
        money: payment.asked(),
        capture_method: payment.capture_method,
        merchant_id: payment.merchant_id,
        psp: payment.psp.clone(),
        payment_method: payment.payment_method.clone(),
        definition_version: payment.definition_version,
        refund_of: payment.refund_of.clone(),
    };
    let fact = Fact {
        at: payment.created_at,
        event: event.kind(),
        actor: actor.to_string(),
        from: None,
        to: payment.state,
        attempt: 0,
        verdict: Verdict::Applied,
        data: Value::Object(fields(&event)),
        payload_hash: None,
    };
    payment.seq = 1;
    let row = HistoryRow::chained(payment.id, payment.seq, fact, payment.head_hash);
    payment.head_hash = row.hash;
    Step { payment: Arc::new(payment), row, dead_letter: None }
}

/// Records an event that came too late to matter: the payment has moved on, or another worker has it.
#[must_use]
pub fn record_stale(payment: &Payment, occurrence: &Occurrence, why: &str, now: Timestamp) -> Step {
    let mut data = fields(&occurrence.event);
    data.insert("stale".into(), json!(why));
    let told = Told { verdict: Verdict::Stale, attempt: payment.attempt, data };
    record(payment, payment.clone(), occurrence, told, None, now)
}

/// What a row tells beyond the event itself.
struct Told {
    verdict: Verdict,
    attempt: i32,
    data: Map<String, Value>,
}

/// Writes the row that leads from one version of the payment to the next.
fn record(
    before: &Payment,
    mut after: Payment,
    occurrence: &Occurrence,
    told: Told,
    dead_letter: Option<DeadLetter>,
    now: Timestamp,
) -> Step {
    let fact = Fact {
        at: now,
        event: occurrence.event.kind(),
        actor: occurrence.actor.to_string(),
        from: Some(before.state),
        to: after.state,
        attempt: told.attempt,
        verdict: told.verdict,
        data: Value::Object(told.data),
        payload_hash: occurrence.payload_hash,
    };
    after.seq += 1;
    after.updated_at = now;
    let row = HistoryRow::chained(after.id, after.seq, fact, before.head_hash);
    after.head_hash = row.hash;
    Step { payment: Arc::new(after), row, dead_letter }
}

/// The event's fields as they enter history.
fn fields(event: &Event) -> Map<String, Value> {
    match serde_json::to_value(event) {
        Ok(Value::Object(mut object)) => {
            object.remove("event");
            // A page for the customer may carry a secret in its query; history keeps where it was.
            if let Some(Value::String(url)) = object.get_mut("next_action").and_then(|action| action.get_mut("url")) {
                url.truncate(url.find(['?', '#']).unwrap_or(url.len()));
            }
            object
        }
        // An event is a struct of texts and numbers; it always becomes an object.
        Ok(_) | Err(_) => Map::new(),
    }
}

fn way(definition: &Definition, payment: &Payment, occurrence: &Occurrence, now: Timestamp) -> Way {
    let event = &occurrence.event;
    let rule = definition.state(payment.state).rule(event.kind());
    let next = match rule {
        Rule::Stale(why) => return Way::Old(why),
        Rule::Illegal(why) => return Way::Refused(why),
        Rule::Move(next) => *next,
        Rule::ByGoal { .. } => rule.next(payment.goal).unwrap_or(Next::Stay),
    };
    if let Some(why) = guards::refused(payment, occurrence, now) {
        return Way::Refused(why);
    }
    if is_told_again(payment, event) {
        return Way::Old("the PSP has told this of the refund before, or something later");
    }
    match next {
        Next::Reverse if is_counted(payment, event) => {
            Way::Old("this money moved before the payment ended, and is already accounted for")
        }
        Next::FailOver(_) if may_fail_over(payment, event) => Way::Go(next),
        Next::FailOver(otherwise) => Way::Go(Next::To(otherwise)),
        Next::RetryElsewhere(_) if may_fail_over(payment, event) => Way::Go(Next::FailOver(payment.state)),
        Next::Retry(class) | Next::RetryElsewhere(class) if !allows_another(definition, payment, class, now) => {
            Way::Review(ReviewReason::RetriesExhausted)
        }
        Next::RetryElsewhere(class) => Way::Go(Next::Retry(class)),
        Next::To(State::InReview) => Way::Review(ReviewReason::of(event)),
        Next::To(_) | Next::Stay
            if event.kind() == EventKind::AttemptStarted && payment.claims >= definition.max_claims =>
        {
            Way::Review(ReviewReason::ClaimsExhausted)
        }
        Next::To(_) | Next::Stay | Next::Retry(_) | Next::Reverse => Way::Go(next),
    }
}

/// Whether another PSP account may be tried: after an authoritative soft no, or when nothing of this payment can have
/// reached this one. Never while an earlier call is in doubt, nor after the customer has acted: a PSP may go on by itself
/// then, and not reaching it says nothing of that. Nor where money was reserved once: what became of it is for a person.
fn may_fail_over(payment: &Payment, event: &Event) -> bool {
    let is_soft_no = matches!(event, Event::Declined { failure } if failure.category == FailureCategory::SoftDecline);
    let cannot_reach =
        event.kind() == EventKind::NotSent && payment.doubt.is_none() && payment.attempt >= ATTEMPTS_BEFORE_ELSEWHERE;
    let cannot_reach = cannot_reach && payment.action_result.is_none();
    (is_soft_no || cannot_reach) && payment.amount_authorized_minor == 0 && !payment.route.next.is_empty()
}

fn allows_another(definition: &Definition, payment: &Payment, class: ErrorClass, now: Timestamp) -> bool {
    definition.state(payment.state).activity().is_some_and(|activity| {
        let elapsed = now.duration_since(payment.state_since).as_millis();
        let elapsed_ms = u64::try_from(elapsed).unwrap_or_default();
        definition.activity(activity).policy(class).allows_another(count(payment.attempt), elapsed_ms)
    })
}

/// An event on its way into a payment.
struct Happening<'a> {
    event: &'a Event,
    /// Whether it changed what is to be done.
    changed: bool,
    now: Timestamp,
    random: u64,
}

fn go(
    definition: &Definition,
    after: &mut Payment,
    next: Next,
    happening: &Happening<'_>,
    data: &mut Map<String, Value>,
) {
    let Happening { event, changed, now, random } = *happening;
    match next {
        Next::To(state) => {
            enter(definition, after, state, now, random);
            match (state, event) {
                (
                    State::Failed,
                    Event::Declined { failure } | Event::Rejected { failure } | Event::RefundFailed { failure, .. },
                ) => after.failure = Some(failure.clone()),
                (State::Failed, Event::ResolvedFailed { .. }) => {
                    after.failure.get_or_insert_with(Failure::resolved);
                }
                (State::Succeeded, _) => after.failure = None,
                (_, _) => {}
            }
        }
        Next::Reverse => {
            after.goal = Goal::Reverse;
            // A void that ended the payment was another call: under its key the PSP would only repeat its answer.
            renew_key(after);
            enter(definition, after, State::Canceling, now, random);
        }
        // `way` has turned what retries elsewhere into one or the other.
        Next::FailOver(_) => {
            fail_over(after, data);
            enter(definition, after, State::Authorizing, now, random);
            (after.attempt, after.state_since) = (0, now);
        }
        Next::Retry(class) | Next::RetryElsewhere(class) => {
            let delay_ms = backoff_ms(definition, after, class, event, random);
            drop_lease(after);
            after.next_wake_at = Some(later(now, delay_ms));
            data.insert("backoff_ms".into(), json!(delay_ms));
        }
        Next::Stay => match definition.state(after.state).kind {
            // Something else is to be done now: look at once. (The same wish again does not shorten a backoff.)
            StateKind::Works(_) if !after.is_leased() && changed => after.next_wake_at = Some(now),
            StateKind::Waits { deadline_ms, .. } if event.kind() == EventKind::DeadlinePassed => {
                after.next_wake_at = Some(later(now, deadline_ms));
            }
            StateKind::Works(_) | StateKind::Waits { .. } | StateKind::Ended | StateKind::Outside => {}
        },
    }
    if let Event::AttemptStarted { activity, lease_until, .. } = event {
        use_key(after, *activity, now);
        after.attempt += 1;
        after.claims += 1;
        after.fence += 1;
        after.lease_until = Some(*lease_until);
        after.next_wake_at = Some(*lease_until);
    }
}

/// Sends the payment to the next PSP account, where it is unknown.
fn fail_over(payment: &mut Payment, data: &mut Map<String, Value>) {
    if payment.route.next.is_empty() {
        return;
    }
    let destination = payment.route.next.remove(0);
    data.insert("failed_over_to".into(), json!(destination));
    let former = std::mem::replace(&mut payment.psp, destination.psp);
    payment.route.former.push(former);
    payment.payment_method = destination.payment_method;
    payment.psp_reference = None;
    payment.doubt = None;
    renew_key(payment);
}

/// From the first claim on, a call may have been made under the key. An inquiry has none.
fn use_key(payment: &mut Payment, activity: Activity, now: Timestamp) {
    let is_in_use = payment.key_use.is_some_and(|used| used.activity == activity);
    if activity != Activity::Reconcile && !is_in_use {
        payment.key_use = Some(KeyUse { activity, since: now });
    }
}

fn backoff_ms(definition: &Definition, payment: &Payment, class: ErrorClass, event: &Event, random: u64) -> u64 {
    definition.state(payment.state).activity().map_or(0, |activity| {
        definition.activity(activity).policy(class).delay_ms(count(payment.attempt), event.retry_after_ms(), random)
    })
}

/// Enters a state: sets what is due there and when.
fn enter(definition: &Definition, payment: &mut Payment, state: State, now: Timestamp, random: u64) {
    let from = payment.state;
    drop_lease(payment);
    if from != state {
        payment.attempt = 0;
        payment.state_since = now;
    }
    payment.state = state;
    if state != State::RequiresAction {
        payment.next_action = None;
    }
    // While what it led to is unknown, the same call may have to be made again.
    if !matches!(state, State::Authorizing | State::Reconciling) {
        payment.action_result = None;
    }
    payment.next_wake_at = match definition.state(state).kind {
        StateKind::Ended | StateKind::Outside => None,
        StateKind::Waits { deadline_ms, .. } => Some(later(now, deadline_ms)),
        StateKind::Works(activity) if from == State::Reconciling && payment.claims > CLAIMS_BEFORE_SLOWING_DOWN => {
            let rounds = count(payment.claims - CLAIMS_BEFORE_SLOWING_DOWN);
            Some(later(now, definition.activity(activity).not_sent.delay_ms(rounds, None, random)))
        }
        StateKind::Works(_) => Some(now),
    };
}

/// Takes the payment from the worker that holds it: its report will be too late.
fn drop_lease(payment: &mut Payment) {
    if payment.lease_until.take().is_some() {
        payment.fence += 1;
    }
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    now.saturating_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
