//! Every state of both workflows explained: who can unblock it, until when, and what an operator can do about it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use workflow::acts::ActKind;
use workflow::decide::{DeadLetter, ReviewReason};
use workflow::definition::{self, Goal, Kind, State, StateKind};
use workflow::explain::{Explanation, Known, Who, explain};
use workflow::history::Hash;
use workflow::ids::{MerchantId, PaymentId};
use workflow::payment::{CaptureMethod, Outcome, Payment, Proposal, Proposed, RefundOf, Refunds, Resolution, Route};
use workflow::port::pauses::Pause;
use workflow::port::store::DeadLetterRow;

/// A minute into the state.
fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(1)
}

/// A payment that has stood in this state for a minute and is due, or waits, as it does there.
fn standing(kind: Kind, state: State) -> Payment {
    let began = Timestamp::UNIX_EPOCH;
    let id = match kind {
        Kind::Charge => PaymentId::new(began, [1, 1]),
        Kind::Refund => PaymentId::new_refund(began, [1, 1]),
    };
    let charge = PaymentId::new(began, [2, 2]);
    let captured = if state == State::Succeeded && kind == Kind::Charge { 1200 } else { 0 };
    Payment {
        id,
        merchant_id: MerchantId::new(began, [1, 1]),
        psp: "psp_eu".to_owned(),
        payment_method: "pm".to_owned(),
        amount_minor: 1200,
        currency: "eur".parse().expect("a currency"),
        capture_method: CaptureMethod::Automatic,
        return_url: None,
        description: None,
        metadata: BTreeMap::new(),
        definition_version: definition::current(kind).version,
        created_at: began,
        refund_of: (kind == Kind::Refund).then(|| RefundOf { charge, psp_reference: "pi_1".to_owned(), reason: None }),
        state,
        state_since: began,
        goal: if kind == Kind::Refund { Goal::Reverse } else { Goal::Capture },
        seq: 5,
        head_hash: Hash::ZERO,
        fence: 0,
        lease_until: None,
        next_wake_at: match definition::current(kind).state(state).kind {
            StateKind::Works(_) => Some(now()),
            StateKind::Waits { deadline_ms, .. } => {
                Some(began + SignedDuration::from_millis(deadline_ms.try_into().expect("it fits")))
            }
            StateKind::Ended | StateKind::Outside => None,
        },
        attempt: 2,
        claims: 2,
        operation: 1,
        psp_reference: Some("pi_1".to_owned()),
        amount_authorized_minor: captured,
        amount_to_capture_minor: None,
        amount_captured_minor: captured,
        amount_refunded_minor: 0,
        amount_refund_pending_minor: 0,
        refunds: Refunds::default(),
        proposal: None,
        failure: None,
        next_action: None,
        action_result: None,
        amount_charged_back_minor: 0,
        key_use: None,
        doubt: None,
        route: Route::default(),
        updated_at: began,
    }
}

fn told(payment: &Payment, known: Known<'_>) -> Explanation {
    explain(definition::current(payment.kind()), payment, known)
}

fn plainly(payment: &Payment) -> Explanation {
    told(payment, Known { letter: None, pause: None, now: now() })
}

/// What can be done now, in one line.
fn allowed(told: &Explanation) -> String {
    let acts: Vec<&str> = told.acts.iter().filter(|act| act.is_allowed()).map(|act| act.act.into()).collect();
    acts.join(" ")
}

/// Kind, state, who can unblock it, when its stay ends at the latest (in minutes from its beginning), what is allowed.
const TABLE: [(Kind, State, Who, Option<i64>, &str); 21] = [
    (Kind::Charge, State::Created, Who::Worker, Some(120), "cancel note"),
    (Kind::Charge, State::Authorizing, Who::Worker, Some(120), "cancel note"),
    (Kind::Charge, State::RequiresAction, Who::Customer, Some(60), "inquire cancel note"),
    (Kind::Charge, State::AwaitingWebhook, Who::Psp, Some(30), "inquire cancel note"),
    (Kind::Charge, State::Reconciling, Who::Worker, Some(24 * 60), "cancel note"),
    (Kind::Charge, State::Authorized, Who::Merchant, Some(6 * 24 * 60 + 12 * 60), "cancel note"),
    (Kind::Charge, State::Finalizing, Who::Worker, Some(120), "note"),
    (Kind::Charge, State::AwaitingCapture, Who::Psp, Some(30), "inquire note"),
    (Kind::Charge, State::Canceling, Who::Worker, Some(120), "cancel note"),
    (Kind::Charge, State::Succeeded, Who::Nobody, None, "refund note"),
    (Kind::Charge, State::Failed, Who::Nobody, None, "note"),
    (Kind::Charge, State::Canceled, Who::Nobody, None, "note"),
    (Kind::Charge, State::Expired, Who::Nobody, None, "note"),
    (Kind::Charge, State::InReview, Who::Operator, None, "redrive resolve cancel note"),
    (Kind::Refund, State::Created, Who::Worker, Some(120), "note"),
    (Kind::Refund, State::AwaitingWebhook, Who::Psp, Some(12 * 60), "inquire note"),
    (Kind::Refund, State::Reconciling, Who::Worker, Some(24 * 60), "note"),
    (Kind::Refund, State::Refunding, Who::Worker, Some(120), "note"),
    (Kind::Refund, State::Succeeded, Who::Nobody, None, "note"),
    (Kind::Refund, State::Failed, Who::Nobody, None, "note"),
    (Kind::Refund, State::InReview, Who::Operator, None, "redrive resolve note"),
];

#[test]
fn every_state_says_who_can_unblock_it_until_when_and_what_can_be_done() {
    let mut states: Vec<(Kind, State)> = Vec::new();
    for (kind, state, who, until_min, acts) in TABLE {
        let payment = standing(kind, state);
        let told = plainly(&payment);
        let until = until_min.map(|min| payment.state_since + SignedDuration::from_mins(min));
        assert_eq!((told.who, told.until), (who, until), "{kind} {state}");
        assert_eq!(allowed(&told), acts, "{kind} {state}");
        assert_eq!((told.state, told.since), (state, payment.state_since));
        assert_eq!(told.next.at, payment.next_wake_at, "{kind} {state}: what comes next comes when it is looked at");
        assert!(!told.next.is_overdue, "{kind} {state}");
        assert!(told.waits_for.ends_with('.') && told.waits_for.len() > 10, "{}", told.waits_for);
        for act in &told.acts {
            assert!(act.refused.as_ref().is_none_or(|why| why.len() > 10), "{kind} {state}: {act:?} gives no reason");
            assert_eq!(act.takes_two, matches!(act.act, ActKind::Resolve | ActKind::Refund));
        }
        assert!(
            serde_json::to_value(&told).expect("it becomes JSON")["acts"].as_array().is_some_and(|all| all.len() == 9)
        );
        states.push((kind, state));
    }
    let all: Vec<(Kind, State)> = [Kind::Charge, Kind::Refund]
        .into_iter()
        .flat_map(|kind| definition::current(kind).reached().map(move |row| (kind, row.state)))
        .collect();
    assert_eq!(states, all, "every state of both workflows is in the table");
}

#[test]
fn work_that_backs_off_waits_for_the_clock_and_can_be_had_now() {
    for (kind, state, ..) in TABLE {
        let mut payment = standing(kind, state);
        if payment.activity().is_none() {
            continue;
        }
        payment.next_wake_at = Some(now() + SignedDuration::from_mins(2));
        let told = plainly(&payment);
        assert_eq!(told.who, Who::Clock, "{kind} {state}");
        assert!(told.next.what.starts_with("attempt 3 of"), "{}", told.next.what);
        assert!(allowed(&told).starts_with("retry"), "{kind} {state}: {}", allowed(&told));

        payment.next_wake_at = Some(now() - SignedDuration::from_mins(2));
        let told = plainly(&payment);
        assert!(told.next.is_overdue && told.waits_for.contains("none has come"), "{}", told.waits_for);

        (payment.lease_until, payment.next_wake_at) = (Some(now()), Some(now()));
        let told = plainly(&payment);
        assert!(told.waits_for.starts_with("The worker that runs"), "{}", told.waits_for);
        let retry = told.acts.iter().find(|act| act.act == ActKind::Retry).expect("it is there");
        assert!(retry.refused.as_ref().is_some_and(|why| why.contains("a worker has it in hand")), "{retry:?}");
    }
}

#[test]
fn a_paused_psp_holds_up_what_would_call_it_and_nothing_else() {
    let pause = Pause { psp: "psp_eu".to_owned(), since: now(), by: "ada".to_owned(), why: "it is down".to_owned() };
    for (kind, state, who, ..) in TABLE {
        let payment = standing(kind, state);
        let told = told(&payment, Known { letter: None, pause: Some(&pause), now: now() });
        let works = payment.activity().is_some();
        assert_eq!(told.who, if works { Who::Operator } else { who }, "{kind} {state}");
        assert_eq!(told.waits_for.contains("ada paused psp_eu (it is down)"), works, "{}", told.waits_for);
        assert_eq!(told.pause.is_some(), !definition::has_ended(state), "{kind} {state}");
        assert_eq!(told.next.at.is_some(), !works && !definition::has_ended(state), "{kind} {state}");
    }
}

#[test]
fn a_review_says_why_and_what_has_to_be_settled() {
    let payment = standing(Kind::Charge, State::InReview);
    let letter = |reason| DeadLetterRow {
        payment_id: payment.id,
        seq: 5,
        at: payment.state_since,
        letter: DeadLetter { reason, last_error: json!({"event": "throttled", "retry_after_ms": null}) },
        merchant_id: payment.merchant_id,
        psp: payment.psp.clone(),
        money: payment.asked(),
        state: payment.state,
        goal: payment.goal,
        is_last: true,
    };
    let redrive =
        |told: &Explanation| told.acts.iter().find(|act| act.act == ActKind::Redrive).cloned().expect("it is there");
    let exhausted = letter(ReviewReason::RetriesExhausted);
    let first = told(&payment, Known { letter: Some(&exhausted), pause: None, now: now() });
    let review = first.review.as_ref().expect("it is in review");
    assert_eq!((review.reason, review.told.as_str(), review.settle_first), ("retries_exhausted", "throttled", None));
    assert_eq!(redrive(&first).settle_first, None);
    let failed = letter(ReviewReason::CaptureFailed);
    let second = told(&payment, Known { letter: Some(&failed), pause: None, now: now() });
    assert!(redrive(&second).settle_first.is_some_and(|what| what.contains("captures once more")));
    let ended = told(&standing(Kind::Charge, State::Failed), Known { letter: Some(&failed), pause: None, now: now() });
    assert_eq!(ended.review, None, "it is over");
}

#[test]
fn a_proposal_waits_for_a_second_person_until_it_expires() {
    let mut payment = standing(Kind::Charge, State::InReview);
    let resolution = Resolution { outcome: Outcome::Succeeded, captured_minor: Some(1200), psp_reference: None };
    payment.proposal = Some(Proposal {
        seq: 5,
        by: "ada".to_owned(),
        at: payment.state_since,
        expires_at: now() + SignedDuration::from_secs(1),
        why: "seen in the dashboard".to_owned(),
        what: Proposed::Resolution(resolution),
    });
    let told = plainly(&payment);
    assert_eq!(told.waits_for, "A second operator, not ada, to approve: it succeeded, with 12.00 EUR captured.");
    assert_eq!(allowed(&told), "redrive cancel approve withdraw note");
    let pending = told.proposal.expect("it waits");
    assert_eq!((pending.proposal, pending.has_expired), (5, false));

    let later = now() + SignedDuration::from_secs(1);
    let told = explain(definition::current(Kind::Charge), &payment, Known { letter: None, pause: None, now: later });
    assert_eq!(told.waits_for, "An operator to decide.");
    assert_eq!(allowed(&told), "redrive resolve cancel withdraw note");
    assert!(told.proposal.is_some_and(|pending| pending.has_expired));
}

#[test]
fn a_refund_that_is_proposed_waits_for_a_second_person_although_its_charge_has_ended() {
    let mut payment = standing(Kind::Charge, State::Succeeded);
    payment.proposal = Some(Proposal {
        seq: 5,
        by: "ada".to_owned(),
        at: payment.state_since,
        expires_at: now() + SignedDuration::from_secs(1),
        why: "ticket 1".to_owned(),
        what: Proposed::Refund { amount_minor: 300, refund_reason: None },
    });
    let told = plainly(&payment);
    assert_eq!(told.waits_for, "A second operator, not ada, to approve: give 3.00 EUR back.");
    assert_eq!((told.who, allowed(&told).as_str()), (Who::Operator, "approve withdraw note"));
}
