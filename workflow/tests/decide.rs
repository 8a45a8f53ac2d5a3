//! Random stories: whatever happens to a payment, in whatever order, the invariants hold after every step.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use strum::VariantArray;
use workflow::decide::{Decision, Occurrence, Step, decide, start};
use workflow::definition::{self, Activity, EventKind, Goal, Kind, State};
use workflow::event::{Actor, Approval, DisputeVerdict, Event, Timekeeper, Unknown};
use workflow::history::{self, Hash, HistoryRow, Prefix, Verdict};
use workflow::ids::{MerchantId, PaymentId};
use workflow::money::Money;
use workflow::notification::{EventType, Notification};
use workflow::payment::{
    CaptureMethod, Destination, Doubt, Failure, FailureCategory, NextAction, Outcome, Payment, Proposed, Refunds,
    Resolution, Route,
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
fn event(payment: &Payment, which: u8, random: u64, now: Timestamp) -> Event {
    let which = steered(payment, which, random, now);
    let reference = || payment.psp_reference.clone().unwrap_or_else(|| "pi_1".to_owned());
    let failure = Failure {
        category: FailureCategory::SoftDecline,
        code: "card_declined".to_owned(),
        decline_code: None,
        advice: None,
    };
    let expected = payment.asked();
    match which % 36 {
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
        27 => Event::RetryRequested { reason: "now".to_owned() },
        28 => Event::InquiryRequested { reason: "now".to_owned() },
        29 => Event::Noted { reason: "seen".to_owned() },
        30 | 31 => proposed(payment, random, now),
        32 => Event::ProposalWithdrawn { proposal: pending(payment), reason: "no".to_owned() },
        33 | 34 => approved(payment, which),
        24 => Event::ActionCompleted { result: "back".to_owned() },
        _ => match random / 8 % 2 {
            0 => Event::CancelRequested { reason: None },
            _ => Event::Redriven { reason: "again".to_owned(), decided: None },
        },
    }
}

/// Few payments come to where operators act, by chance: there every other event is theirs.
fn steered(payment: &Payment, which: u8, random: u64, now: Timestamp) -> u8 {
    let act = |first: u8, of: u64| first + u8::try_from(random / 64 % of).expect("it fits");
    let backs_off = payment.activity().is_some() && !payment.is_leased() && !payment.is_due(now);
    match payment.state {
        _ if !random.is_multiple_of(4) && !random.is_multiple_of(3) => which,
        _ if backs_off => act(27, 2),
        State::InReview | State::Succeeded => act(29, 6),
        State::Created
        | State::Authorizing
        | State::RequiresAction
        | State::AwaitingWebhook
        | State::Reconciling
        | State::Authorized
        | State::Finalizing
        | State::AwaitingCapture
        | State::Canceling
        | State::Refunding
        | State::Failed
        | State::Canceled
        | State::Expired => which,
    }
}

/// The number of the proposal that waits.
fn pending(payment: &Payment) -> i64 {
    payment.proposal.as_ref().map_or(7, |proposal| proposal.seq)
}

fn proposed(payment: &Payment, random: u64, now: Timestamp) -> Event {
    let (reason, expires_at) = ("seen at the PSP".to_owned(), now + SignedDuration::from_mins(30));
    if definition::has_ended(payment.state) {
        let amount_minor = i64::try_from(random % 700).expect("it fits");
        let money = Money { amount_minor, currency: payment.currency };
        return Event::RefundProposed { money, refund_reason: None, reason, expires_at };
    }
    let resolution = match random / 8 % 3 {
        0 => Resolution {
            outcome: Outcome::Succeeded,
            captured_minor: Some(i64::try_from(random % 1300).expect("it fits")),
            psp_reference: Some("pi_1".to_owned()),
        },
        1 => Resolution { outcome: Outcome::Failed, captured_minor: None, psp_reference: None },
        _ => Resolution { outcome: Outcome::Canceled, captured_minor: None, psp_reference: Some("pi_1".to_owned()) },
    };
    Event::ResolutionProposed { resolution, reason, expires_at }
}

/// What approving is, of what waits; else what somebody makes up.
fn approved(payment: &Payment, which: u8) -> Event {
    let approval = Approval {
        proposal: pending(payment),
        proposed_by: payment.proposal.as_ref().map_or("nobody".to_owned(), |proposal| proposal.by.clone()),
        evidence: "seen at the PSP".to_owned(),
        reason: "seen too".to_owned(),
    };
    let money = |amount_minor| Money { amount_minor, currency: payment.currency };
    match payment.proposal.as_ref().map(|proposal| proposal.what.clone()) {
        Some(Proposed::Refund { amount_minor, .. }) => Event::RefundRequested {
            refund: PaymentId::new_refund(payment.created_at, [u64::from(which), 1]),
            money: money(amount_minor),
            approval: Some(approval),
        },
        Some(Proposed::Resolution(Resolution { outcome, captured_minor, psp_reference })) => match outcome {
            Outcome::Succeeded => {
                Event::ResolvedSucceeded { money: captured_minor.map(money), psp_reference, approval }
            }
            Outcome::Failed => Event::ResolvedFailed { psp_reference, approval },
            Outcome::Canceled => Event::ResolvedCanceled { psp_reference, approval },
        },
        None => Event::ResolvedSucceeded { money: Some(money(1200)), psp_reference: None, approval },
    }
}

/// Who causes it: operators are two.
fn actor(event: &Event, random: u64) -> Actor {
    let acts = matches!(
        event,
        Event::RetryRequested { .. }
            | Event::InquiryRequested { .. }
            | Event::Noted { .. }
            | Event::ResolutionProposed { .. }
            | Event::RefundProposed { .. }
            | Event::ProposalWithdrawn { .. }
            | Event::ResolvedSucceeded { .. }
            | Event::ResolvedFailed { .. }
            | Event::ResolvedCanceled { .. }
            | Event::RefundRequested { .. }
            | Event::Redriven { .. }
    );
    let operator = if random.is_multiple_of(2) { "ada" } else { "Grace" };
    if acts { Actor::Operator(operator.to_owned()) } else { Actor::Clock(Timekeeper::Database) }
}

/// What books or moves money at people's word took two of them, who saw the same.
fn check_persons(before: &Payment, after: &Payment, event: &Event, actor: &Actor) {
    let told = format!("{event:?} by {actor} in {} → {}", before.state, after.state);
    let takes_two = matches!(
        event,
        Event::ResolvedSucceeded { .. }
            | Event::ResolvedFailed { .. }
            | Event::ResolvedCanceled { .. }
            | Event::RefundRequested { .. }
    );
    if takes_two {
        let first = before.proposal.as_ref().expect("somebody proposed it");
        assert_ne!(format!("operator:{}", first.by), actor.to_string(), "{told}");
        assert!(first.expires_at > after.updated_at, "it had not expired: {told}");
        assert_eq!(after.proposal, None, "it is approved once: {told}");
    }
    let proposes = matches!(event, Event::ResolutionProposed { .. } | Event::RefundProposed { .. });
    match &after.proposal {
        Some(proposal) if proposes => assert_eq!(proposal.seq, after.seq, "{told}"),
        Some(_) => {
            assert_eq!(after.proposal, before.proposal, "{told}");
            assert_eq!(after.state, before.state, "who approves has seen where it stands: {told}");
        }
        None => {}
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

#[test]
fn whatever_happens_the_invariants_hold() {
    let config = ProptestConfig { source_file: Some(file!()), ..ProptestConfig::with_cases(2_000) };
    let stories = (prop::collection::vec((any::<u8>(), 0_i64..600, any::<u64>()), 1..60), any::<bool>());
    let seen = RefCell::new(HashSet::new());
    let told = TestRunner::new(config).run(&stories, |(story, manual)| {
        let method = if manual { CaptureMethod::Manual } else { CaptureMethod::Automatic };
        let first = start(created(method), &Actor::Clock(Timekeeper::Database));
        let (mut payment, mut rows, mut now) = (first.payment, vec![first.row], Timestamp::UNIX_EPOCH);
        for (which, seconds, random) in story {
            // Much happens at once: backoffs are short.
            now += SignedDuration::from_secs(if random.is_multiple_of(2) { 0 } else { seconds });
            let event = event(&payment, which, random, now);
            let occurrence = Occurrence { event: event.clone(), actor: actor(&event, random), payload_hash: None };
            match decide(definition::current(Kind::Charge), &payment, &occurrence, now, random) {
                Decision::Illegal(why) => prop_assert!(!why.is_empty()),
                Decision::Record(step) => {
                    check(&payment, &step.payment, &event);
                    seen.borrow_mut().insert(event.kind());
                    if step.row.fact.verdict == Verdict::Applied {
                        check_persons(&payment, &step.payment, &event, &occurrence.actor);
                    }
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
        check_split(&payment, &rows)
    });
    if let Err(failed) = told {
        panic!("{failed}");
    }
    // What is asked of no charge, or begins one, is not in the stories.
    let left_out = [EventKind::Started, EventKind::RefundUpdated];
    let unseen: Vec<_> =
        EventKind::VARIANTS.iter().filter(|kind| !left_out.contains(kind) && !seen.borrow().contains(kind)).collect();
    assert!(unseen.is_empty(), "no story tells of {unseen:?}");
}

/// What the first rows told, half of them and all, vouches for the payment together with the rest: as JSON and back, too. A
/// proposal has to be in the rest.
fn check_split(payment: &Payment, rows: &[HistoryRow]) -> Result<(), TestCaseError> {
    let proposed = payment.proposal.as_ref().map_or(i64::MAX, |proposal| proposal.seq);
    for (first, rest) in [rows.len() / 2, rows.len()].map(|at| rows.split_at(at)) {
        let mut prefix = Prefix::default().followed_by(payment.id, first).expect("it is what was written");
        if prefix.seq >= proposed {
            continue;
        }
        let told = serde_json::to_string(&prefix.told).expect("it becomes JSON");
        prefix.told = serde_json::from_str(&told).expect("it was JSON");
        prop_assert_eq!(history::verify_after(prefix, payment, rest), Ok(()));
    }
    Ok(())
}
