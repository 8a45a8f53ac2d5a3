//! The PSP fails in every way at every call; the charge ends right, and the money moves once.

use fincore_tests::world::World;
use sandbox::{Fault, Operation};
use serde_json::json;
use workflow::definition::State;

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

async fn ends_right(world: &World, operation: Operation, fault: Fault, evidence: &str) {
    let manual = operation == Operation::Cancel;
    let id = world.charge("pm_card_visa", if manual { "manual" } else { "automatic" }).await;
    world.sandbox.fail_next(operation, fault, 1);
    world.work().await;
    if manual {
        world.post(&format!("/v1/charges/{id}/cancel"), &format!("{id}"), &json!({})).await;
    }
    world.work_patiently().await;
    let ledger = world.ledger(id).await;
    let end = if manual { State::Canceled } else { State::Succeeded };
    assert_eq!(world.payment(id).await.state, end, "{operation:?} {fault:?}\n{ledger}");
    assert!(ledger.contains(evidence), "{operation:?} {fault:?} should be {evidence}\n{ledger}");
    world.agree(&world.payment(id).await);
}

crate::on_each_store! {
    async fn any_fault_while_registering_ends_right(world: World) {
        for (fault, evidence) in FAULTS {
            ends_right(&world, Operation::Create, fault, evidence).await;
        }
        world.finish().await;
    }

    async fn any_fault_while_authorizing_ends_right(world: World) {
        for (fault, evidence) in FAULTS {
            ends_right(&world, Operation::Confirm, fault, evidence).await;
        }
        ends_right(&world, Operation::Confirm, Fault::SlowDrip, "unknown").await;
        world.finish().await;
    }

    async fn any_fault_while_capturing_ends_right(world: World) {
        for (fault, evidence) in FAULTS {
            ends_right(&world, Operation::Capture, fault, evidence).await;
        }
        ends_right(&world, Operation::Capture, Fault::SlowDrip, "unknown").await;
        world.finish().await;
    }

    async fn any_fault_while_voiding_ends_right(world: World) {
        for (fault, evidence) in FAULTS {
            ends_right(&world, Operation::Cancel, fault, evidence).await;
        }
        world.finish().await;
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
