//! Timeouts that really fire, and those that fire too early, too late or twice.

use std::time::Duration;

use fincore_tests::stage::{Stage, until};
use fincore_tests::state_machine::{document, impatient, strict};
use fincore_tests::world::{LEASE, World};
use serde_json::json;
use workflow::definition::{EventKind, State};
use workflow::history::Verdict;
use workflow::ids::PaymentId;
use workflow::port::queue::Wake;

use super::{BY_STEP_FUNCTIONS, IMPATIENCE_S, timed, who};

/// What a manual capture may wait for.
const CAPTURE: Duration = Duration::from_hours(6 * 24 + 12);
/// What a webhook may.
const WEBHOOK: Duration = Duration::from_mins(30);
const REFUND_WEBHOOK: Duration = Duration::from_hours(12);

crate::on_each_store! {
    async fn a_client_that_never_captures_and_a_webhook_that_never_comes(world: World) {
        let Some(stage) = timed(&world, &impatient(IMPATIENCE_S)).await else { return };
        for (method, capture, rests, wait, ends) in [
            ("pm_card_visa", "manual", State::Authorized, CAPTURE, State::Expired),
            ("pm_sandbox_processing", "automatic", State::AwaitingWebhook, WEBHOOK, State::Succeeded),
        ] {
            let id = stage.world.charge(method, capture).await;
            until(&stage, id, rests).await;
            stage.sandbox().settle_processing();
            stage.skip(wait).await;
            until(&stage, id, ends).await;
            assert_eq!(who(&stage, id, EventKind::DeadlinePassed).await, [BY_STEP_FUNCTIONS]);
            stage.machine.until_followed(&stage.payment(id).await).await;
            let entered = stage.machine.entered(&id.to_string()).await;
            assert!(entered.contains(&format!("{rests:?}TimedOut")), "{entered:?}");
        }
        stage.close().await;
    }

    async fn a_refund_is_timed_by_an_execution_of_its_own(world: World) {
        let Some(stage) = timed(&world, &impatient(IMPATIENCE_S)).await else { return };
        let charge = stage.world.charge("pm_card_pendingRefund", "automatic").await;
        until(&stage, charge, State::Succeeded).await;
        let (_, refund) = stage.post(&format!("/v1/charges/{charge}/refunds"), "refund", &json!({})).await;
        let id: PaymentId = refund["id"].as_str().unwrap().parse().unwrap();
        until(&stage, id, State::AwaitingWebhook).await;
        stage.sandbox().settle();
        stage.skip(REFUND_WEBHOOK).await;
        until(&stage, id, State::Succeeded).await;
        assert_eq!(who(&stage, id, EventKind::DeadlinePassed).await, [BY_STEP_FUNCTIONS]);
        let refunded = stage.payment(charge).await;
        assert_eq!((refunded.amount_refunded_minor, refunded.amount_refund_pending_minor), (1200, 0));
        stage.machine.until_followed(&stage.payment(id).await).await;
        stage.close().await;
    }

    async fn a_worker_that_never_answers_is_given_up(world: World) {
        let Some(stage) = timed(&world, &strict(document(), 2)).await else { return };
        stage.hold().await;
        let id = stage.world.charge("pm_card_visa", "automatic").await;
        stage.world.engine.wake(Wake::of(id, 1), "doomed").await.unwrap();
        stage.let_go().await;
        stage.machine.until_in(&id.to_string(), State::Authorizing).await;
        // The lease is over, and no sweep looks for a while yet.
        stage.skip(LEASE).await;
        until(&stage, id, State::Succeeded).await;
        assert_eq!(who(&stage, id, EventKind::Unknown).await, [BY_STEP_FUNCTIONS]);
        stage.agree(id).await;
        stage.machine.until_followed(&stage.payment(id).await).await;
        stage.close().await;
    }

    async fn ticks_that_are_late_or_doubled_are_old_news(world: World) {
        let Some(stage) = timed(&world, &document()).await else { return };
        let id = stage.world.charge("pm_card_visa", "manual").await;
        until(&stage, id, State::Authorized).await;
        let tick = |state: &str| tick(id, state);
        // For another state, and for this one, whose time is far from over.
        stage.queue.send(&[tick("created"), tick("authorized"), tick("authorized")]).await;
        ticks(&stage, id, 3).await;
        stage.post(&format!("/v1/charges/{id}/capture"), "capture", &json!({})).await;
        until(&stage, id, State::Succeeded).await;
        stage.queue.send(&[tick("authorized"), tick("finalizing")]).await;
        ticks(&stage, id, 5).await;
        let history = stage.store().history(id).await.unwrap();
        let ticks = history.iter().filter(|row| row.fact.event == EventKind::DeadlinePassed);
        assert!(ticks.clone().all(|row| row.fact.verdict == Verdict::Stale && row.fact.actor == BY_STEP_FUNCTIONS));
        assert_eq!(stage.payment(id).await.state, State::Succeeded);
        stage.agree(id).await;
        stage.machine.until_followed(&stage.payment(id).await).await;
        stage.close().await;
    }

    async fn a_tick_that_is_a_little_early_comes_again_and_counts_once(world: World) {
        let Some(stage) = timed(&world, &document()).await else { return };
        let id = stage.world.charge("pm_card_visa", "manual").await;
        until(&stage, id, State::Authorized).await;
        stage.skip(CAPTURE - Duration::from_secs(2)).await;
        stage.queue.send(&[tick(id, "authorized")]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(who(&stage, id, EventKind::DeadlinePassed).await, [""; 0], "not yet, and no old news either");
        stage.skip(Duration::from_secs(2)).await;
        until(&stage, id, State::Expired).await;
        assert_eq!(who(&stage, id, EventKind::DeadlinePassed).await, [BY_STEP_FUNCTIONS]);
        stage.close().await;
    }

    async fn retries_are_waited_for_by_step_functions_for_as_long_as_the_engine_chose(world: World) {
        let Some(stage) = timed(&world, &document()).await else { return };
        let id = stage.world.charge("pm_sandbox_throttled_twice", "automatic").await;
        stage.machine.until_entered(&id.to_string(), "AuthorizingBackoff").await;
        until(&stage, id, State::Succeeded).await;
        stage.machine.until_followed(&stage.payment(id).await).await;
        stage.close().await;
    }
}

/// A message of Step Functions that says the time in this state is over, of a task that nobody knows.
fn tick(id: PaymentId, state: &str) -> String {
    json!({"v": 1, "payment": id, "seq": 1, "state": state, "task_token": "gone", "timed_out": true}).to_string()
}

/// Waits until so many ticks are in the history.
async fn ticks(stage: &dyn Stage, id: PaymentId, count: usize) {
    for _ in 0..200 {
        if who(stage, id, EventKind::DeadlinePassed).await.len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{count} ticks are not recorded:\n{}", stage.ledger(id).await);
}
