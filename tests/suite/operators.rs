//! What operators do: each act by the table, shown before it is done, in history and in the audit log, and money only by
//! two of them. Processes die at every write of an act.

mod pauses;
mod proposals;

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::build;
use fincore_tests::crash::{Crash, CrashStore};
use fincore_tests::world::World;
use reqwest::StatusCode;
use sandbox::{Authentication, Fault, Operation};
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::engine::operator::{Act, ActKind, Done, Performed, Planned};
use workflow::ids::PaymentId;
use workflow::payment::{Outcome, Payment, Proposed, Resolution};
use workflow::port::audit::{AuditAct, AuditEntry, AuditFilter, AuditOutcome, Via};
use workflow::port::store::Store;

crate::on_each_store! {
    async fn a_payment_that_backs_off_is_tried_now(world: World) {
        world.sandbox.fail_next(Operation::Create, Fault::Throttled, 1);
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let before = world.payment(id).await;
        assert!(before.next_wake_at.is_some_and(|at| at > before.updated_at), "it backs off");
        let after = done(&world, id, &Act::Retry, "ada").await.payment;
        assert_eq!(after.next_wake_at, Some(after.updated_at));
        let again = refused(&world, id, &Act::Retry, "grace").await;
        assert!(again.contains("it is due already"), "{again}");
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        assert!(refused(&world, id, &Act::Retry, "ada").await.contains("the payment has ended"));
        let rows = world.store.history(id).await.unwrap();
        let row = rows.iter().find(|row| row.fact.actor == "operator:ada").unwrap();
        assert_eq!((row.fact.event.to_string().as_str(), &row.fact.data["reason"]), ("retry_requested", &"the PSP is back".into()));
        let entered: Vec<_> = audit(&world, id).await.iter().map(|entry| (entry.actor.clone(), entry.act, entry.outcome.clone())).collect();
        let no = |why: &str| AuditOutcome::Refused(why.to_owned());
        assert_eq!(entered, [
            ("ada".to_owned(), AuditAct::Retry, AuditOutcome::Done),
            ("grace".to_owned(), AuditAct::Retry, no("it is due already: no backoff keeps it waiting")),
            ("ada".to_owned(), AuditAct::Retry, no("the payment has ended")),
        ]);
        world.finish().await;
    }

    async fn a_webhook_that_got_lost_is_asked_after(world: World) {
        let processing = world.charge("pm_sandbox_processing", "automatic").await;
        let authenticates = world.charge("pm_card_authenticationRequired", "automatic").await;
        world.work().await;
        assert_eq!(world.payment(processing).await.state, State::AwaitingWebhook);
        assert_eq!(world.payment(authenticates).await.state, State::RequiresAction);
        // The PSP knows; nobody tells us.
        world.sandbox.settle_processing();
        let reference = world.payment(authenticates).await.psp_reference.unwrap();
        world.sandbox.authenticate(&reference, Authentication::Complete);
        for id in [processing, authenticates] {
            assert_eq!(done(&world, id, &Act::Inquire, "ada").await.payment.state, State::Reconciling);
            assert!(refused(&world, id, &Act::Inquire, "ada").await.contains("being asked already"));
        }
        world.work().await;
        for id in [processing, authenticates] {
            assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        }
        world.finish().await;
    }

    async fn a_customer_who_still_acts_is_not_charged_elsewhere_when_somebody_asks(world: World) {
        let id = world.charge_with_fallback("pm_card_authenticationRequired", "pm_card_visa").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::RequiresAction);
        done(&world, id, &Act::Inquire, "ada").await;
        world.sandbox.set_down(true);
        for _ in 0..10 {
            world.clock.skip(Duration::from_mins(2));
            world.work().await;
        }
        world.sandbox.set_down(false);
        // By now it asks as seldom as it ever does.
        world.clock.skip(Duration::from_mins(30));
        world.work().await;
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.psp.as_str()), (State::RequiresAction, "sandbox"), "{}", world.ledger(id).await);
        world.sandbox.authenticate(&payment.psp_reference.unwrap(), Authentication::Complete);
        done(&world, id, &Act::Inquire, "ada").await;
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        world.finish().await;
    }

    async fn an_operator_gives_a_payment_up_for_its_merchant(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Authorized);
        let Planned::Would(plan) = world.engine.plan(id, &Act::Cancel, &build::by("ada")).await.unwrap() else { panic!() };
        assert_eq!((plan.from, plan.to, plan.act), (State::Authorized, State::Canceling, ActKind::Cancel));
        assert_eq!(plan.effect, "12.00 EUR that are reserved are released at the PSP");
        assert_eq!(done(&world, id, &Act::Cancel, "ada").await.payment, Payment { head_hash: world.payment(id).await.head_hash, ..Payment::clone(&plan.after) }.into());
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Canceled, "{}", world.ledger(id).await);
        assert!(refused(&world, id, &Act::Cancel, "ada").await.contains("already canceled"));
        world.finish().await;
    }

    async fn a_note_is_written_down_anywhere_and_changes_nothing(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        for _ in 0..2 {
            let before = world.payment(id).await;
            let after = done(&world, id, &Act::Note, "ada").await.payment;
            assert_eq!(after, Payment { seq: before.seq + 1, head_hash: after.head_hash, updated_at: after.updated_at, ..before }.into());
            world.work().await;
        }
        let mut by = build::by("ada");
        by.why = "the card is 4242 4242 4242 4242".to_owned();
        let Performed::Refused(refusal) = world.engine.perform(id, &Act::Note, &by).await.unwrap() else { panic!() };
        assert!(refusal.why.contains("looks like a card number"), "{}", refusal.why);
        // Who tried is entered; the number is not.
        let entries = audit(&world, id).await;
        let left_out = |entry: &AuditEntry| entry.reason.as_deref() == Some("(left out: it looks like a card number)");
        assert!(entries.iter().any(left_out) && !format!("{entries:?}").contains("4242"), "{entries:?}");
        world.finish().await;
    }

    async fn a_plan_writes_nothing_and_says_what_then_is_done(world: World) {
        let review = in_review(&world).await;
        let waits = world.charge("pm_sandbox_processing", "automatic").await;
        let paid = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let refund = Act::Propose(Proposed::Refund { amount_minor: 500, refund_reason: None });
        let failed = Act::Propose(Proposed::Resolution(resolution(Outcome::Failed)));
        for (id, act) in [(review, failed), (review, Act::Redrive(Decided::No)), (waits, Act::Inquire), (paid, refund), (waits, Act::Cancel)] {
            let (before, entries) = (world.payment(id).await, audit(&world, id).await);
            let Planned::Would(plan) = world.engine.plan(id, &act, &build::by("ada")).await.unwrap() else { panic!("{act:?}") };
            assert_eq!((&world.payment(id).await, &audit(&world, id).await), (&before, &entries), "{act:?}");
            assert_eq!(plan.approval.is_some(), act.kind().takes_two(), "{act:?}");
            assert!(!plan.effect.is_empty() && !plan.next.what.is_empty());
            let after = done(&world, id, &act, "ada").await.payment;
            assert_eq!((after.state, after.goal, after.next_wake_at, after.seq), (plan.after.state, plan.after.goal, plan.after.next_wake_at, plan.after.seq), "{act:?}");
            assert_eq!(world.payment(id).await, *after);
        }
        let unknown = build::payment_id(77);
        assert!(world.engine.plan(unknown, &Act::Retry, &build::by("ada")).await.is_err());
        assert!(world.engine.perform(unknown, &Act::Retry, &build::by("ada")).await.is_err());
        assert!(audit(&world, unknown).await.is_empty());
    }

    async fn who_dies_in_the_middle_of_an_act_has_done_all_of_it_or_nothing(world: World) {
        let healthy = Arc::clone(&world.store);
        for crash in [Crash::BeforeWrite, Crash::AfterWrite] {
            let charge = world.charge("pm_card_visa", "automatic").await;
            world.work().await;
            let review = in_review(&world).await;
            let held = world.charge("pm_card_visa", "manual").await;
            world.work().await;
            let failed = Act::Propose(Proposed::Resolution(resolution(Outcome::Failed)));
            let refund = Act::Propose(Proposed::Refund { amount_minor: 500, refund_reason: None });
            for (id, operator, first) in [
                (charge, "ada", Some(refund)),
                (charge, "grace", None),
                (review, "ada", Some(failed)),
                (review, "grace", None),
                (held, "ada", Some(Act::Cancel)),
            ] {
                let before = world.payment(id).await;
                let proposal = before.proposal.as_ref().map_or(0, |proposal| proposal.seq);
                let act = first.unwrap_or(Act::Approve { proposal });
                let store = CrashStore::new(Arc::clone(&healthy), crash, 1);
                let dying = world.again(Arc::clone(&store) as Arc<dyn Store>).await;
                let by = build::by(operator);
                tokio::select! {
                    _ = dying.engine.perform(id, &act, &by) => panic!("it died"),
                    () = store.died.cancelled() => {}
                }
                let (after, entries) = (world.payment(id).await, audit(&world, id).await);
                let is_done = after.seq > before.seq;
                assert_eq!(is_done, crash == Crash::AfterWrite, "{act:?}");
                let entered = entries.iter().filter(|entry| entry.act == act.audited()).count();
                assert_eq!(entered, usize::from(is_done), "{act:?}: the entry is there when the act is");
                // Whoever was not answered does it again: nothing is done twice.
                let again = world.engine.perform(id, &act, &build::by(operator)).await.unwrap();
                let is_same_again = matches!(again, Performed::Refused(_)) || act == Act::Cancel;
                assert_eq!(is_same_again, is_done || act == Act::Cancel, "{act:?} {again:?}");
            }
            world.work().await;
            assert_eq!(world.payment(charge).await.amount_refunded_minor, 500, "{}", world.ledger(charge).await);
            assert_eq!(world.store.refunds(charge, None, 10).await.unwrap().len(), 1, "one refund");
            assert_eq!(world.payment(review).await.state, State::Failed);
            assert_eq!(world.payment(held).await.state, State::Canceled);
        }
        world.finish().await;
    }
}

/// Does something that has to be allowed. Nobody does two things in one millisecond, by which the audit log is ordered.
async fn done(world: &World, id: PaymentId, act: &Act, operator: &str) -> Done {
    let performed = world.engine.perform(id, act, &build::by(operator)).await.unwrap();
    world.clock.skip(Duration::from_millis(1));
    match performed {
        Performed::Done(done) => *done,
        Performed::Refused(refusal) => panic!("{act:?} was refused: {refusal:?}\n{}", world.ledger(id).await),
    }
}

/// Tries something that has to be refused, and returns why.
async fn refused(world: &World, id: PaymentId, act: &Act, operator: &str) -> String {
    let before = world.payment(id).await;
    let performed = world.engine.perform(id, act, &build::by(operator)).await.unwrap();
    world.clock.skip(Duration::from_millis(1));
    match performed {
        Performed::Done(done) => panic!("{act:?} was done: {}", done.payment.state),
        Performed::Refused(refusal) => {
            assert_eq!(world.payment(id).await, before, "what is refused changes nothing");
            refusal.why
        }
    }
}

/// What the audit log has of a payment, the oldest first.
async fn audit(world: &World, id: PaymentId) -> Vec<AuditEntry> {
    let of = AuditFilter { payment_id: Some(id), ..AuditFilter::default() };
    let mut entries = world.store.entries(&of, None, 100).await.unwrap();
    entries.reverse();
    assert!(entries.iter().all(|entry| entry.via == Via::Cli && entry.remote.as_deref() == Some("ada@desk")));
    entries
}

fn resolution(outcome: Outcome) -> Resolution {
    Resolution { outcome, captured_minor: None, psp_reference: None }
}

/// A charge whose retries are exhausted, of which the PSP knows nothing. The PSP is well again.
async fn in_review(world: &World) -> PaymentId {
    world.sandbox.fail_next(Operation::Create, Fault::Throttled, 1_000);
    let id = world.charge("pm_card_visa", "automatic").await;
    until_review(world, id).await;
    world.sandbox.fail_next(Operation::Create, Fault::Throttled, 0);
    id
}

/// A charge that the PSP has captured, which we were never told. The PSP is well again.
async fn captured_unknown_to_us(world: &World) -> PaymentId {
    world.sandbox.fail_next(Operation::Capture, Fault::AnswerLost, 1);
    let id = world.charge("pm_card_visa", "automatic").await;
    world.sandbox.fail_next(Operation::Retrieve, Fault::Throttled, 10_000);
    until_review(world, id).await;
    world.sandbox.fail_next(Operation::Retrieve, Fault::Throttled, 0);
    id
}

async fn until_review(world: &World, id: PaymentId) {
    for _ in 0..200 {
        world.work().await;
        if world.payment(id).await.state == State::InReview {
            return;
        }
        world.clock.skip(Duration::from_mins(30));
    }
    panic!("it never came to review:\n{}", world.ledger(id).await);
}

/// Asks for something over the API, which has to be accepted.
async fn posts(world: &World, path: &str, body: &serde_json::Value) {
    let (status, answer) = world.post(path, &format!("key-{:032x}", rand::random::<u128>()), body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}
