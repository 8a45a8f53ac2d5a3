//! Random stories of a charge and its refunds: whatever becomes of them, in whatever order, the charge counts exactly
//! their money, and never gives back more than it took.

use std::sync::Arc;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use workflow::decide::{Decision, Occurrence, decide, start};
use workflow::definition::{self, Activity, Goal, Kind, State};
use workflow::event::{Actor, Approval, Event, Timekeeper, Unknown};
use workflow::history::{self, Hash, HistoryRow};
use workflow::ids::{MerchantId, PaymentId};
use workflow::money::Money;
use workflow::payment::{
    CaptureMethod, Failure, FailureCategory, Outcome, Payment, Proposed, RefundOf, RefundStatus, Refunds, Resolution,
    Route,
};

const CAPTURED: i64 = 1_000;

/// A payment with its history.
struct Told {
    payment: Arc<Payment>,
    rows: Vec<HistoryRow>,
}

impl Told {
    fn started(payment: Payment) -> Self {
        let step = start(payment, &Actor::Clock(Timekeeper::Database));
        Self { payment: step.payment, rows: vec![step.row] }
    }

    /// Lets something happen, and returns whether it was recorded.
    fn happens(&mut self, event: Event, now: Timestamp, random: u64) -> bool {
        let definition = self.payment.definition().expect("a version that is known");
        // Whoever proposes is not who approves.
        let actor = if matches!(event, Event::ResolutionProposed { .. }) {
            Actor::Operator("ada".to_owned())
        } else if matches!(event, Event::ResolvedSucceeded { .. } | Event::ResolvedFailed { .. }) {
            Actor::Operator("grace".to_owned())
        } else {
            Actor::Clock(Timekeeper::Database)
        };
        let occurrence = Occurrence { event, actor, payload_hash: None };
        match decide(definition, &self.payment, &occurrence, now, random) {
            Decision::Illegal(why) => {
                assert!(!why.is_empty());
                false
            }
            Decision::Record(step) => {
                self.payment = step.payment;
                self.rows.push(step.row);
                true
            }
        }
    }
}

fn payment(id: PaymentId, amount_minor: i64) -> Payment {
    let now = Timestamp::UNIX_EPOCH;
    Payment {
        id,
        merchant_id: MerchantId::new(now, [1, 1]),
        psp: "psp".to_owned(),
        payment_method: "pm".to_owned(),
        amount_minor,
        currency: "eur".parse().expect("a currency"),
        capture_method: CaptureMethod::Automatic,
        return_url: None,
        description: None,
        metadata: BTreeMap::new(),
        definition_version: definition::current(id.kind()).version,
        created_at: now,
        refund_of: None,
        state: State::Created,
        state_since: now,
        goal: Goal::Capture,
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
        route: Route::default(),
        updated_at: now,
    }
}

/// A charge whose money is there.
fn captured() -> Told {
    let now = Timestamp::UNIX_EPOCH;
    let mut charge = Told::started(payment(PaymentId::new(now, [1, 1]), CAPTURED));
    let money = charge.payment.asked();
    assert!(charge.happens(Event::Captured { psp_reference: "pi_1".to_owned(), money }, now, 0));
    assert_eq!(charge.payment.state, State::Succeeded);
    charge
}

/// A refund that the charge allows.
fn refund_of(charge: &mut Told, amount_minor: i64, number: u64, now: Timestamp) -> Option<Told> {
    let id = PaymentId::new_refund(now, [number, 1]);
    let money = Money { amount_minor, currency: charge.payment.currency };
    charge.happens(Event::RefundRequested { refund: id, money, approval: None }, now, 0).then(|| {
        let of = RefundOf { charge: charge.payment.id, psp_reference: "pi_1".to_owned(), reason: None };
        Told::started(Payment { goal: Goal::Reverse, refund_of: Some(of), ..payment(id, amount_minor) })
    })
}

fn event(refund: &Payment, which: u8, now: Timestamp) -> Event {
    // Not every PSP names it each time, and one that made two of one names another.
    let names = [Some(format!("first of {}", refund.id)), Some(format!("second of {}", refund.id)), None];
    let name = || refund.psp_reference.clone().or_else(|| names[usize::from(which / 14) % 3].clone());
    let failure = Failure {
        category: FailureCategory::InvalidRequest,
        code: "refund_failed".to_owned(),
        decline_code: None,
        advice: None,
    };
    let money = refund.asked();
    if which.is_multiple_of(5) {
        return resolved(refund, which, now);
    }
    match which % 14 {
        0 => Event::AttemptStarted {
            activity: Activity::Refund,
            key: "key".to_owned(),
            lease_until: now + SignedDuration::from_secs(60),
        },
        1 | 2 => Event::Refunded { money, psp_refund: name() },
        3 => Event::Accepted { psp_reference: name() },
        4 => Event::Declined { failure },
        5 => Event::Rejected { failure },
        6 => Event::Untouched { evidence: "asked".to_owned() },
        7 => Event::Unknown { why: Unknown::Timeout, detail: "late".to_owned() },
        8 => Event::NotSent { why: "refused".to_owned(), retry_after_ms: None },
        9 => Event::DeadlinePassed {},
        10 | 11 => Event::RefundFailed { money, psp_refund: name(), failure },
        12 => Event::AmountsDisagree {
            psp_reference: name().unwrap_or_else(|| format!("third of {}", refund.id)),
            expected: money,
            seen: money,
            captured: false,
        },
        _ => Event::Redriven { reason: "again".to_owned(), decided: None },
    }
}

/// A first person says how it ended, or a second one agrees.
fn resolved(refund: &Payment, which: u8, now: Timestamp) -> Event {
    let Some(pending) = &refund.proposal else {
        let outcome = if which.is_multiple_of(2) { Outcome::Succeeded } else { Outcome::Failed };
        let resolution = Resolution { outcome, captured_minor: None, psp_reference: refund.psp_reference.clone() };
        let (reason, expires_at) = ("seen".to_owned(), now + SignedDuration::from_hours(1));
        return Event::ResolutionProposed { resolution, reason, expires_at };
    };
    let approval = Approval {
        proposal: pending.seq,
        proposed_by: pending.by.clone(),
        evidence: pending.why.clone(),
        reason: "seen too".to_owned(),
    };
    match &pending.what {
        Proposed::Resolution(Resolution { outcome: Outcome::Succeeded, psp_reference, .. }) => {
            Event::ResolvedSucceeded { money: None, psp_reference: psp_reference.clone(), approval }
        }
        Proposed::Resolution(Resolution { psp_reference, .. }) => {
            Event::ResolvedFailed { psp_reference: psp_reference.clone(), approval }
        }
        Proposed::Refund { .. } => unreachable!("a refund has no refunds"),
    }
}

/// What the charge's columns have to say, from the refunds themselves.
fn sums(refunds: &[Told]) -> (i64, i64) {
    let sum = |status| {
        let these =
            refunds.iter().map(|refund| &refund.payment).filter(|refund| RefundStatus::of(refund.state) == status);
        these.map(|refund| refund.amount_minor).sum()
    };
    (sum(RefundStatus::Succeeded), sum(RefundStatus::Pending))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_charge_counts_its_refunds(story in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u64>()), 1..80)) {
        let (mut charge, mut refunds, mut now) = (captured(), Vec::new(), Timestamp::UNIX_EPOCH);
        // Refunds that failed once and whose money was given back otherwise meanwhile: a person's business.
        let mut was_given_up = false;
        for (number, (who, which, random)) in (0..).zip(story) {
            now += SignedDuration::from_secs(10);
            if who.is_multiple_of(4) || refunds.is_empty() {
                let amount = i64::from(which) * 4;
                let room = charge.payment.refundable_minor();
                let refund = refund_of(&mut charge, amount, number, now);
                prop_assert_eq!(refund.is_some(), (1..=room).contains(&amount));
                refunds.extend(refund);
            } else {
                let place = usize::from(who) % refunds.len();
                let refund: &mut Told = &mut refunds[place];
                let was = RefundStatus::of(refund.payment.state);
                refund.happens(event(&refund.payment, which, now), now, random);
                let is = RefundStatus::of(refund.payment.state);
                was_given_up |= was == RefundStatus::Failed && is != was;
                if was != is {
                    let update = Event::RefundUpdated {
                        refund: refund.payment.id,
                        money: refund.payment.asked(),
                        was,
                        is,
                        psp_refund: refund.payment.psp_reference.clone(),
                    };
                    prop_assert!(charge.happens(update, now, random));
                }
            }
            let (given, pending) = sums(&refunds);
            prop_assert_eq!(charge.payment.state, State::Succeeded);
            prop_assert_eq!(charge.payment.amount_refund_pending_minor, pending);
            if !was_given_up {
                prop_assert_eq!(charge.payment.amount_refunded_minor, given);
                prop_assert!(given + pending <= CAPTURED);
            }
            prop_assert!(charge.payment.amount_refunded_minor <= CAPTURED);
        }
        for told in refunds.iter().chain([&charge]) {
            prop_assert_eq!(history::verify(&told.payment, &told.rows), Ok(()));
            // What the first half told vouches for the amounts as well as its rows did. A proposal has to be in the rest.
            let (first, rest) = told.rows.split_at(told.rows.len() / 2);
            let prefix = history::Prefix::default().followed_by(told.payment.id, first).unwrap();
            if told.payment.proposal.as_ref().is_none_or(|proposal| proposal.seq > prefix.seq) {
                prop_assert_eq!(history::verify_after(prefix, &told.payment, rest), Ok(()));
            }
            prop_assert_eq!(told.payment.next_wake_at.is_none(), definition::has_ended(told.payment.state));
        }
        prop_assert_eq!(charge.payment.kind(), Kind::Charge);
    }
}
