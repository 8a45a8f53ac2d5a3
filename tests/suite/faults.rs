//! The PSP fails in every way at every call; the charge ends right, and the money moves once.

use fincore_tests::stage::{Act, InProcess, Scenario, Stage, play};
use fincore_tests::world::World;
use sandbox::{Fault, Operation};
use workflow::definition::State;

use crate::scenarios::on_a_site;

/// Quick ways to fail, and what they are evidence of: nothing happened, or nobody knows.
const FAULTS: [(Fault, &str); 8] = [
    (Fault::AnswerLost, "unknown"),
    (Fault::DropBefore, "unknown"),
    (Fault::Error500, "unknown"),
    (Fault::Error500AfterEffect, "unknown"),
    (Fault::Throttled, "throttled"),
    (Fault::HalfBody, "unknown"),
    (Fault::Garbage, "unknown"),
    (Fault::NeverAnswers, "unknown"),
];

const CAPTURED: Scenario = Scenario {
    name: "fault",
    payment_method: "pm_card_visa",
    capture_method: "automatic",
    acts: &[Act::Rests(State::Succeeded)],
    history: "",
};
const VOIDED: Scenario = Scenario {
    capture_method: "manual",
    acts: &[Act::Rests(State::Authorized), Act::Posts("cancel", "{}"), Act::Rests(State::Canceled)],
    ..CAPTURED
};

async fn ends_right(stage: &dyn Stage, operation: Operation, fault: Fault, evidence: &str) {
    stage.sandbox().fail_next(operation, fault, 1);
    let id = play(stage, if operation == Operation::Cancel { &VOIDED } else { &CAPTURED }).await;
    let ledger = stage.ledger(id).await;
    assert!(ledger.contains(evidence), "{operation:?} {fault:?} should be {evidence}\n{ledger}");
    stage.agree(id).await;
}

async fn any_fault_ends_right(stage: &dyn Stage, operation: Operation) {
    for (fault, evidence) in FAULTS {
        ends_right(stage, operation, fault, evidence).await;
    }
    if matches!(operation, Operation::Confirm | Operation::Capture) {
        ends_right(stage, operation, Fault::SlowDrip, "unknown").await;
    }
}

async fn in_one_process(world: World, operation: Operation) {
    let stage = InProcess::of(world);
    any_fault_ends_right(&stage, operation).await;
    stage.world.finish().await;
}

crate::on_each_store! {
    async fn any_fault_while_registering_ends_right(world: World) {
        in_one_process(world, Operation::Create).await;
    }

    async fn any_fault_while_authorizing_ends_right(world: World) {
        in_one_process(world, Operation::Confirm).await;
    }

    async fn any_fault_while_capturing_ends_right(world: World) {
        in_one_process(world, Operation::Capture).await;
    }

    async fn any_fault_while_voiding_ends_right(world: World) {
        in_one_process(world, Operation::Cancel).await;
    }

    async fn a_fault_while_asking_is_asked_again(world: World) {
        for fault in [Fault::AnswerLost, Fault::Error500, Fault::Throttled, Fault::Garbage, Fault::HalfBody] {
            let id = world.charge("pm_sandbox_answer_lost", "automatic").await;
            world.sandbox.fail_next(Operation::Retrieve, fault, 3);
            world.work_patiently().await;
            assert_eq!(world.payment(id).await.state, State::Succeeded, "{fault:?}\n{}", world.ledger(id).await);
        }
        world.finish().await;
    }

    async fn a_refused_connection_means_that_nothing_happened(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        world.sandbox.stop().await;
        world.work().await;
        let ledger = world.ledger(id).await;
        assert!(ledger.trim_end().ends_with("worker   not_sent          authorizing"), "{ledger}");
        assert_eq!(world.payment(id).await.state, State::Authorizing);
    }

    async fn retry_after_is_honoured_and_recorded(world: World) {
        let id = world.charge("pm_sandbox_throttled_twice", "automatic").await;
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        let rows = world.store.history(id).await.unwrap();
        let delays: Vec<u64> = rows.iter().filter_map(|row| row.fact.data["backoff_ms"].as_u64()).collect();
        assert_eq!(delays.len(), 2);
        assert!(delays.iter().all(|delay| *delay >= 1_000), "the PSP asked for a second each time: {delays:?}");
        world.finish().await;
    }

    async fn a_silent_psp_is_never_called_failed(world: World) {
        let id = world.charge("pm_sandbox_always_500", "automatic").await;
        for _ in 0..100 {
            world.clock.skip(std::time::Duration::from_mins(31));
            world.work().await;
        }
        assert_eq!(world.payment(id).await.state, State::InReview, "{}", world.ledger(id).await);
        world.finish().await;
    }
}

/// The same faults, with PostgreSQL, SQS and the function.
mod lambda {
    use super::{Operation, any_fault_ends_right, on_a_site};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn any_fault_while_registering_ends_right() {
        on_a_site(async |stage| any_fault_ends_right(stage, Operation::Create).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn any_fault_while_authorizing_ends_right() {
        on_a_site(async |stage| any_fault_ends_right(stage, Operation::Confirm).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn any_fault_while_capturing_ends_right() {
        on_a_site(async |stage| any_fault_ends_right(stage, Operation::Capture).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn any_fault_while_voiding_ends_right() {
        on_a_site(async |stage| any_fault_ends_right(stage, Operation::Cancel).await).await;
    }
}
