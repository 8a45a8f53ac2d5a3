//! Step Functions is down, or comes into use or out of it while payments are under way: timeouts come later, and nothing
//! is lost.

use std::time::Duration;

use fincore_tests::stage::{Stage, Timed, until};
use fincore_tests::state_machine::{document, impatient};
use fincore_tests::world::{WEBHOOK_SECRET, World};
use reqwest::StatusCode;
use serde_json::json;
use workflow::definition::{EventKind, State};
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow_aws::sfn::{GRACE, Keeping};

use super::{BY_DATABASE, BY_STEP_FUNCTIONS, IMPATIENCE_S, timed, who};

const WEBHOOK: Duration = Duration::from_mins(30);
/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longer than the pause before an execution is looked at.
const A_LOOK: Duration = Duration::from_secs(61);

crate::on_each_store! {
    async fn while_it_is_down_the_database_keeps_the_time_a_little_later(world: World) {
        let Some(up) = timed(&world, &document()).await else { return };
        up.close().await;
        let down = up.cut_off().await;
        down.let_go().await;
        let id = down.world.charge("pm_sandbox_processing", "automatic").await;
        until(&down, id, State::AwaitingWebhook).await;
        down.sandbox().settle_processing();
        down.skip(WEBHOOK + GRACE - Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(down.payment(id).await.state, State::AwaitingWebhook, "its grace is not over");
        down.skip(Duration::from_secs(1)).await;
        until(&down, id, State::Succeeded).await;
        assert_eq!(who(&down, id, EventKind::DeadlinePassed).await, [BY_DATABASE]);
        // Another one is under way when it comes back: its execution is started late, where the payment stands.
        let late = down.world.charge("pm_card_visa", "manual").await;
        until(&down, late, State::Authorized).await;
        down.close().await;
        assert_eq!(down.machine.status(&late.to_string()).await, None);
        let up = up.again(Keeping::All).await;
        up.let_go().await;
        up.skip(A_LOOK).await;
        up.machine.until_in(&late.to_string(), State::Authorized).await;
        captured(&up, late).await;
        up.machine.until_followed(&up.payment(late).await).await;
        up.close().await;
    }

    async fn what_could_not_be_reported_is_reported_later(world: World) {
        let Some(up) = timed(&world, &document()).await else { return };
        let id = up.world.charge("pm_card_visa", "manual").await;
        until(&up, id, State::Authorized).await;
        up.close().await;
        let down = up.cut_off().await;
        down.let_go().await;
        captured(&down, id).await;
        down.close().await;
        up.machine.until_in(&id.to_string(), State::Authorized).await;
        assert_eq!(up.machine.status(&id.to_string()).await.as_deref(), Some("RUNNING"), "nobody told it");
        let up = up.again(Keeping::All).await;
        up.let_go().await;
        up.skip(A_LOOK).await;
        up.machine.until_followed(&up.payment(id).await).await;
        assert_eq!(up.store().executions(&[id]).await.unwrap(), [], "and then there is nothing to say any more");
        up.close().await;
    }

    async fn a_payment_that_began_by_the_databases_times_is_taken_over(world: World) {
        let waits = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        let goes_on = world.charge("pm_sandbox_processing", "automatic").await;
        let Some(stage) = timed(&world, &impatient(IMPATIENCE_S)).await else { return };
        // The one is seen to by a sweep, and Step Functions is told of it when it comes to rest.
        stage.skip(GRACE).await;
        until(&stage, goes_on, State::AwaitingWebhook).await;
        stage.sandbox().settle_processing();
        stage.skip(WEBHOOK).await;
        until(&stage, goes_on, State::Succeeded).await;
        assert_eq!(who(&stage, goes_on, EventKind::DeadlinePassed).await, [BY_STEP_FUNCTIONS]);
        stage.machine.until_followed(&stage.payment(goes_on).await).await;
        // Of the other nobody has told it, so that time was still the database's; there is no execution to look at.
        let succeeded = async {
            while stage.payment(waits).await.state != State::Succeeded {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, succeeded).await.expect("a sweep sees to it");
        assert_eq!(who(&stage, waits, EventKind::DeadlinePassed).await, [BY_DATABASE]);
        stage.close().await;
        world.finish().await;
    }

    async fn a_payment_that_it_times_is_handed_back_to_the_database(world: World) {
        let Some(stage) = timed(&world, &document()).await else { return };
        let (captures, waits) = (authorized(&stage).await, authorized(&stage).await);
        stage.close().await;
        // What it has, it keeps until the end; it gets nothing new.
        let draining = stage.again(Keeping::WhatItHas).await;
        draining.let_go().await;
        captured(&draining, captures).await;
        draining.machine.until_followed(&draining.payment(captures).await).await;
        let fresh = authorized(&draining).await;
        assert_eq!(draining.machine.status(&fresh.to_string()).await, None);
        draining.close().await;
        // Without it, the database has no patience: it knows of nobody else.
        world.clock.skip(Duration::from_hours(6 * 24 + 12));
        world.work().await;
        for id in [waits, fresh] {
            assert_eq!(world.payment(id).await.state, State::Expired);
            assert_eq!(who(&stage, id, EventKind::DeadlinePassed).await, [BY_DATABASE]);
        }
        world.finish().await;
    }

    async fn an_ended_payment_that_comes_back_gets_another_execution(world: World) {
        let Some(stage) = timed(&world, &document()).await else { return };
        let id = stage.world.charge("pm_card_visa", "automatic").await;
        until(&stage, id, State::Succeeded).await;
        stage.machine.until_followed(&stage.payment(id).await).await;
        stage.hold().await;
        told_to_have_failed(&stage, id).await;
        let again = stage.payment(id).await;
        assert_eq!(again.state, State::Reconciling);
        stage.let_go().await;
        until(&stage, id, State::Succeeded).await;
        stage.machine.until(&format!("{id}-{}", again.seq), "SUCCEEDED").await;
        stage.close().await;
    }
}

/// A charge that waits for its capture.
async fn authorized(stage: &Timed) -> PaymentId {
    let id = stage.world.charge("pm_card_visa", "manual").await;
    until(stage, id, State::Authorized).await;
    id
}

async fn captured(stage: &Timed, id: PaymentId) {
    let (status, answer) = stage.post(&format!("/v1/charges/{id}/capture"), &format!("capture-{id}"), &json!({})).await;
    assert!(status.is_success(), "{answer}");
    until(stage, id, State::Succeeded).await;
}

/// The PSP says of a charge what is true of another one: that it was declined.
async fn told_to_have_failed(stage: &Timed, id: PaymentId) {
    let world = &stage.world;
    let other = world.charge("pm_card_chargeDeclined", "automatic").await;
    world.work().await;
    let (declined, reference) = (world.payment(other).await, world.payment(id).await.psp_reference.unwrap());
    assert_eq!(declined.state, State::Failed);
    let events = world.events(other).await;
    let failed = events.into_iter().find(|event| event.kind == "payment_intent.payment_failed").unwrap();
    let body = String::from_utf8(failed.body.to_vec()).unwrap();
    let body = body.replace(&other.to_string(), &id.to_string()).replace(&failed.id, "evt_of_another");
    let body = body.replace(&declined.psp_reference.unwrap(), &reference);
    let signature = sandbox::sign(WEBHOOK_SECRET, world.clock.now().as_second(), body.as_bytes());
    assert_eq!(world.deliver_signed(body.into_bytes(), &signature).await, StatusCode::OK);
}
