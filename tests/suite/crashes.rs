//! The process dies at every write of a charge, before it and after it; another one carries on.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;

use activities::worker::Worker;
use fincore_tests::crash::{Crash, CrashStore};
use fincore_tests::database::TestDatabase;
use fincore_tests::stage::{Crashed, InProcess, Stage, play};
use fincore_tests::world::{self, BACKOFF, LEASE, World};
use serde_json::json;
use workflow::definition::State;
use workflow::engine::worker::{Claimed, Reported, Then};
use workflow::event::Event;
use workflow::port::gateway::Operation;
use workflow::port::queue::Wake;
use workflow::port::store::Store;

use crate::scenarios::{named, on_a_site};

/// More writes than any of the flows below has.
const MOST_WRITES: i64 = 20;

/// What a client and a worker do in one flow. Safe to run again from the start.
async fn flow(world: &World, payment_method: &str, capture_method: &str, then: Option<&str>) {
    let id = world.charge_as("the-key", payment_method, capture_method).await;
    world.work().await;
    if world.payment(id).await.state == State::AwaitingWebhook {
        world.sandbox.settle_processing();
        for event in world.events(id).await {
            world.deliver(&event).await;
        }
        world.work().await;
    }
    if let Some(act) = then {
        world.post(&format!("/v1/charges/{id}/{act}"), "the-act", &json!({})).await;
        world.work().await;
    }
    if then == Some("refunds") && world.payment(id).await.amount_refund_pending_minor > 0 {
        world.sandbox.settle();
        for event in world.events(id).await {
            world.deliver(&event).await;
        }
    }
}

/// Crashes the flow at every write; each time a new process ends it.
async fn crash_everywhere(world: World, payment_method: &str, capture_method: &str, then: Option<&str>, end: State) {
    let healthy = Arc::clone(&world.store);
    let mut crashes = 0;
    for crash in [Crash::BeforeWrite, Crash::AfterWrite] {
        for write in 1..MOST_WRITES {
            let round = World::over(Arc::clone(&healthy)).await;
            let store = CrashStore::new(Arc::clone(&healthy), crash, write);
            let dying = round.again(Arc::clone(&store) as Arc<dyn Store>).await;
            let ended = tokio::select! {
                () = flow(&dying, payment_method, capture_method, then) => true,
                () = store.died.cancelled() => false,
            };
            drop(dying);
            if ended && !store.died.is_cancelled() {
                round.finish().await;
                break;
            }
            crashes += 1;
            round.clock.skip(LEASE);
            flow(&round, payment_method, capture_method, then).await;
            for _ in 0..4 {
                round.clock.skip(BACKOFF);
                round.work().await;
            }
            // A capture or cancel that met the payment while it was being asked about is made again, as clients do.
            flow(&round, payment_method, capture_method, then).await;
            let id = round.charge_as("the-key", payment_method, capture_method).await;
            let state = round.payment(id).await.state;
            assert_eq!(state, end, "{crash:?} {write}:\n{}", round.ledger(id).await);
            if then == Some("refunds") {
                let refunds = round.store.refunds(id, None, 10).await.unwrap();
                let ends: Vec<State> = refunds.iter().map(|refund| refund.state).collect();
                assert_eq!(ends, [State::Succeeded], "{crash:?} {write}:\n{}", round.ledger(id).await);
            }
            round.finish().await;
        }
    }
    assert!(crashes >= 10, "only {crashes} crashes were injected");
    world.finish().await;
}

/// Kills whoever works at each of these writes of a scenario, the last of which is its last; somebody else goes on.
/// Returns the histories.
async fn workers_crash(stage: &dyn Stage, scenario: &str, writes: RangeInclusive<u32>) -> String {
    let mut histories = String::new();
    for crash in [Crash::BeforeWrite, Crash::AfterWrite] {
        for write in *writes.start()..=*writes.end() + 1 {
            stage.crash_at(crash, write).await;
            let id = play(stage, named(scenario)).await;
            let expected = if writes.contains(&write) { Crashed::Yes } else { Crashed::No };
            assert_eq!(stage.spare().await, expected, "{crash:?} {write}");
            stage.agree(id).await;
            writeln!(histories, "{scenario}, {crash:?} {write}:\n{}", stage.ledger(id).await).unwrap();
        }
    }
    histories
}

/// Where the function dies, a worker in this process dies too, and their histories are the same.
async fn functions_crash(scenario: &str, writes: RangeInclusive<u32>) {
    let database = TestDatabase::sqlite();
    let in_process = InProcess::of(World::over(database.store().await).await);
    let expected = workers_crash(&in_process, scenario, writes.clone()).await;
    on_a_site(async |stage| assert_eq!(workers_crash(stage, scenario, writes).await, expected)).await;
    in_process.world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_dies_at_any_write_of_an_automatic_charge_changes_nothing() {
    functions_crash("good_card", 1..=4).await;
}

// Up to being authorized, or accepted, all charges are alike.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_dies_at_any_later_write_of_a_captured_charge_changes_nothing() {
    functions_crash("captured_in_part", 4..=5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_dies_at_any_later_write_of_a_canceled_charge_changes_nothing() {
    functions_crash("canceled", 4..=5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_dies_at_any_later_write_of_a_charge_driven_by_webhooks_changes_nothing() {
    functions_crash("webhook", 4..=5).await;
}

crate::on_each_store! {
    async fn a_crash_at_any_write_of_an_automatic_charge_changes_nothing(world: World) {
        crash_everywhere(world, "pm_card_visa", "automatic", None, State::Succeeded).await;
    }

    async fn a_crash_at_any_write_of_a_captured_charge_changes_nothing(world: World) {
        crash_everywhere(world, "pm_card_visa", "manual", Some("capture"), State::Succeeded).await;
    }

    async fn a_crash_at_any_write_of_a_canceled_charge_changes_nothing(world: World) {
        crash_everywhere(world, "pm_card_visa", "manual", Some("cancel"), State::Canceled).await;
    }

    async fn a_crash_at_any_write_of_a_charge_driven_by_webhooks_changes_nothing(world: World) {
        crash_everywhere(world, "pm_sandbox_processing", "automatic", None, State::Succeeded).await;
    }

    async fn a_crash_at_any_write_of_a_refunded_charge_changes_nothing(world: World) {
        crash_everywhere(world, "pm_card_visa", "automatic", Some("refunds"), State::Succeeded).await;
    }

    async fn a_crash_at_any_write_of_a_refund_driven_by_webhooks_changes_nothing(world: World) {
        crash_everywhere(world, "pm_card_pendingRefund", "automatic", Some("refunds"), State::Succeeded).await;
    }

    async fn two_workers_on_the_same_payments_charge_each_once(world: World) {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(world.charge("pm_card_visa", "automatic").await);
        }
        let others: Vec<Worker> = (0..4).map(|n| world::worker(&world.engine, &world.psps, &format!("w{n}"))).collect();
        let running = others.iter().map(|worker| worker.run_once());
        for worked in futures_util::future::join_all(running).await {
            worked.unwrap();
        }
        world.work().await;
        for id in ids {
            assert_eq!(world.payment(id).await.state, State::Succeeded);
        }
        world.finish().await;
    }

    async fn a_worker_that_wakes_up_after_its_lease_changes_nothing(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let wake = Wake::of(id, 1);
        let Claimed::Work(slow) = world.engine.wake(wake, "slow").await.unwrap() else { panic!("it was due") };
        world.clock.skip(LEASE);
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        // It makes its calls all the same, under the same keys, and reports.
        for operation in [Operation::Register, Operation::Authorize] {
            let mut payment = workflow::payment::Payment::clone(&slow.payment);
            payment.psp_reference = world.payment(id).await.psp_reference;
            world.call(operation, &payment, &slow.key).await;
        }
        let event = Event::Registered { psp_reference: "pi_other".to_owned() };
        let reported = world.engine.report(*slow, event, None, Then::GoOn).await.unwrap();
        assert_eq!(reported, Reported::Late);
        let payment = world.payment(id).await;
        assert_ne!(payment.psp_reference.as_deref(), Some("pi_other"));
        assert!(world.ledger(id).await.trim_end().ends_with("registered        succeeded  (stale)"));
        world.finish().await;
    }

    async fn every_call_made_twice_moves_the_money_once(world: World) {
        for (capture_method, last) in [("automatic", Operation::Capture), ("manual", Operation::Void)] {
            let id = world.charge("pm_card_visa", capture_method).await;
            world.work().await;
            if last == Operation::Void {
                world.post(&format!("/v1/charges/{id}/cancel"), "c", &json!({})).await;
                world.work().await;
            }
            let payment = world.payment(id).await;
            for operation in [Operation::Register, Operation::Authorize, last, Operation::Inquire] {
                world.call(operation, &payment, &format!("{id}-1")).await;
            }
            world.work().await;
            assert_eq!(world.payment(id).await, payment);
        }
        world.finish().await;
    }

    async fn a_call_that_outlives_its_lease_is_asked_about(world: World) {
        let id = world.charge("pm_sandbox_timeout_after_charge", "automatic").await;
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        assert!(world.ledger(id).await.contains("unknown           authorizing → reconciling"));
        world.finish().await;
    }
}
