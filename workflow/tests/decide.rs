//! Random stories: whatever happens to a payment, in whatever order, the invariants hold after every step.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use workflow::decide::{Decision, Occurrence, Step, decide, start};
use workflow::definition::{self, Activity, Goal, Kind, State};
use workflow::event::{Actor, DisputeVerdict, Event, Unknown};
use workflow::history::{self, Hash, Verdict};
use workflow::ids::{MerchantId, PaymentId};
use workflow::money::Money;
use workflow::notification::{EventType, Notification};
use workflow::payment::{
    CaptureMethod, Destination, Doubt, Failure, FailureCategory, NextAction, Payment, Refunds, Route,
};

fn created(capture_method: CaptureMethod) -> Payment {
    let now = Timestamp::UNIX_EPOCH;
    Payment {
        id: PaymentId::new(now, [1, 1]),
        merchant_id: MerchantId::new(now, [1, 1]),
        psp: "psp".to_owned(),
        payment_method: "pm".to_owned(),
        amount_minor: 1200,
        currency: "eur".parse().expect("a currency"),
        capture_method,
        return_url: None,
        description: None,
        metadata: BTreeMap::new(),
        definition_version: definition::current(Kind::Charge).version,
        created_at: now,
        refund_of: None,
        state: State::Created,
        state_since: now,
        goal: Goal::from(capture_method),
        seq: 0,
        head_hash: Hash::ZERO,
        fence: 0,
        lease_until: None,
        next_wake_at: Some(now),
        attempt: 0,
        claims: 0,
        operation: 1,
        psp_reference: None,
        amount_authorized_minor: 0,
        amount_to_capture_minor: None,
        amount_captured_minor: 0,
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
        route: Route {
            former: Vec::new(),
            next: vec![Destination { psp: "other".to_owned(), payment_method: "pm_other".to_owned() }],
        },
        updated_at: now,
    }
}

/// One thing that happens. Money is always the money asked for: other amounts arrive as `AmountsDisagree`.
fn event(payment: &Payment, which: u8, now: Timestamp) -> Event {
    let reference = || payment.psp_reference.clone().unwrap_or_else(|| "pi_1".to_owned());
    let failure = Failure {
        category: FailureCategory::SoftDecline,
        code: "card_declined".to_owned(),
        decline_code: None,
        advice: None,
    };
    let expected = payment.asked();
    match which % 28 {
        0 => Event::AttemptStarted {
            activity: Activity::Authorize,
            key: "key".to_owned(),
            lease_until: now + SignedDuration::from_secs(60),
        },
        1 => Event::Registered { psp_reference: reference() },
        2 => Event::Authorized { psp_reference: reference(), money: expected },
        3 => Event::Captured { psp_reference: reference(), money: payment.to_capture() },
        4 => Event::Accepted { psp_reference: Some(reference()) },
        5 => Event::ActionRequired { psp_reference: Some(reference()), next_action: NextAction::UseSdk {} },
        6 => Event::Declined { failure },
        7 => Event::Rejected { failure },
        8 => Event::Voided { psp_reference: Some(reference()) },
        9 => Event::Refunded {
            money: Money { amount_minor: payment.kept_minor(), currency: payment.currency },
            psp_refund: (!which.is_multiple_of(3)).then(|| format!("re_{}", which % 3)),
        },
        10 => Event::Untouched { evidence: "asked".to_owned() },
        11 => Event::Unknown { why: Unknown::Timeout, detail: "late".to_owned() },
        12 => Event::Unknown { why: Unknown::EndedInError, detail: "500".to_owned() },
        13 => Event::NotSent { why: "refused".to_owned(), retry_after_ms: None },
        14 => Event::Throttled { retry_after_ms: Some(1_000) },
        15 => Event::AmountsDisagree { psp_reference: reference(), expected, seen: expected, captured: false },
        16 => Event::DeadlinePassed {},
        17 => Event::CaptureRequested { amount_minor: 600 },
        18 => Event::CaptureFailed { failure },
        19 => Event::RefundFailed {
            money: expected,
            psp_refund: (!which.is_multiple_of(3)).then(|| format!("re_{}", which % 3)),
            failure,
        },
        20 => Event::DisputeOpened { reason: None },
        21 => Event::ChargedBack { money: expected },
        22 => Event::ChargebackReversed { money: expected },
        23 => Event::KeyExpired { activity: Activity::Authorize, key_since: now },
        26 => Event::VoidFailed { failure },
        25 => Event::DisputeClosed { verdict: DisputeVerdict::Won },
        24 => Event::ActionCompleted { result: "back".to_owned() },
        _ => match which % 2 {
            0 => Event::CancelRequested { reason: None },
            _ => Event::Redriven { reason: "again".to_owned(), decided: None },
        },
    }
}

fn check(before: &Payment, after: &Payment, event: &Event) {
    let told = format!("{event:?} in {} → {}", before.state, after.state);
    let ended = definition::has_ended(after.state);
    assert_eq!(after.next_wake_at.is_none(), ended, "an open payment has something due, an ended one nothing: {told}");
    assert!(after.lease_until.is_none() || after.activity().is_some(), "only work is leased: {told}");
    assert!(after.lease_until.is_none() || after.lease_until == after.next_wake_at, "a lease is looked after: {told}");
    assert_eq!(after.seq, before.seq + 1, "{told}");
    assert!(after.fence >= before.fence, "a fence only grows: {told}");
    assert!(after.lease_until.is_none() || before.lease_until.is_none() || after.fence >= before.fence, "{told}");
    assert!(
        before.lease_until.is_none() || after.lease_until.is_some() || after.fence > before.fence,
        "who loses a lease is fenced: {told}"
    );
    assert!(after.amount_captured_minor <= after.amount_authorized_minor, "{told}");
    assert!(after.amount_refunded_minor <= after.amount_captured_minor, "{told}");
    assert!(after.operation >= before.operation, "{told}");
    let is_no = matches!(
        event,
        Event::Rejected { .. }
            | Event::Unknown { why: Unknown::EndedInError, .. }
            | Event::CaptureFailed { .. }
            | Event::VoidFailed { .. }
            | Event::RefundFailed { .. }
    );
    let goes_on = matches!(event, Event::ActionCompleted { .. });
    let is_asked_after_expiry = before.doubt == Some(Doubt::KeyExpired);
    let is_elsewhere = after.psp != before.psp;
    let undoes = definition::has_ended(before.state) && after.state == State::Canceling;
    assert!(
        after.operation == before.operation || is_no || goes_on || is_asked_after_expiry || is_elsewhere || undoes,
        "a key is renewed only when the call under the old one is surely over: {told}"
    );
    let is_soft_no = matches!(event, Event::Declined { failure } if failure.category == FailureCategory::SoftDecline);
    let is_unsent = matches!(event, Event::NotSent { .. }) && before.doubt.is_none();
    assert!(!is_elsewhere || is_soft_no || is_unsent, "another PSP only when this one surely has not charged: {told}");
    assert!(after.goal == before.goal || before.goal != Goal::Reverse, "what has to be undone stays so: {told}");
    assert!((after.state == State::RequiresAction) == after.next_action.is_some(), "{told}");
}

/// Whoever hears of every event knows where the payment comes to rest, and of all money that is given or taken back.
fn check_told(before: &Payment, step: &Step, event: &Event) {
    let (after, told) = (&step.payment, Notification::of(before, step, [1, 2]));
    let what = format!("{event:?} in {} → {}: {told:?}", before.state, after.state);
    let came_to_rest = before.state != after.state && definition::rests(after.state);
    let money_went = before.amount_refunded_minor != after.amount_refunded_minor
        || before.amount_charged_back_minor != after.amount_charged_back_minor
        || before.amount_captured_minor > after.amount_captured_minor;
    assert!(told.is_some() || !(came_to_rest || money_went), "it is told: {what}");
    let Some(told) = told else { return };
    assert_eq!(step.row.fact.verdict, Verdict::Applied, "old news is not told: {what}");
    let named_after_state = format!("charge.{}", after.state);
    let is_named =
        told.event_type.to_string() == named_after_state || told.event_type == EventType::ChargeCaptureFailed;
    assert!(!came_to_rest || is_named, "{what}");
    let said: serde_json::Value = serde_json::from_str(&told.payload).expect("it is JSON");
    let charge = serde_json::to_value(workflow::view::ChargeView::of(after)).expect("it becomes JSON");
    assert_eq!((&said["data"]["object"], &said["sequence"]), (&charge, &step.row.seq.into()), "{what}");
    assert_eq!((told.sequence, told.at, told.payment_id), (Some(step.row.seq), step.row.fact.at, Some(after.id)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happens_the_invariants_hold(story in prop::collection::vec((any::<u8>(), 0_i64..600, any::<u64>()), 1..60), manual: bool) {
        let method = if manual { CaptureMethod::Manual } else { CaptureMethod::Automatic };
        let first = start(created(method), &Actor::Clock);
        let (mut payment, mut rows, mut now) = (first.payment, vec![first.row], Timestamp::UNIX_EPOCH);
        for (which, seconds, random) in story {
            now += SignedDuration::from_secs(seconds);
            let event = event(&payment, which, now);
            let occurrence = Occurrence::by_clock(event.clone());
            match decide(definition::current(Kind::Charge), &payment, &occurrence, now, random) {
                Decision::Illegal(why) => prop_assert!(!why.is_empty()),
                Decision::Record(step) => {
                    check(&payment, &step.payment, &event);
                    check_told(&payment, &step, &event);
                    if step.dead_letter.is_some() {
                        prop_assert_eq!(step.payment.state, State::InReview);
                    }
                    rows.push(step.row);
                    payment = step.payment;
                }
            }
        }
        prop_assert_eq!(history::verify(&payment, &rows), Ok(()));
    }
}
