//! The rig: payments from the request to the end in front of a mock PSP.

use std::time::Duration;

use testkit::dialect::Happened;
use testkit::{MockPsp, Rig};
use workflow::definition::State;
use workflow::payment::CaptureMethod;
use workflow::port::gateway::{Operation, WebhookRefused};
use workflow::port::store::WebhookOutcome;

#[tokio::test]
async fn a_charge_is_authorized_and_captured() {
    let psp = MockPsp::stripe().await;
    let rig = Rig::stripe(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    rig.assert_history(
        id,
        "1  client  started           created
         2  worker  attempt_started   created → authorizing
         3  worker  registered        authorizing
         4  worker  authorized        authorizing → finalizing
         5  worker  attempt_started   finalizing
         6  worker  captured          finalizing → succeeded",
    )
    .await;
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_decline_then_a_timeout_after_charging_then_an_approval_end_right_and_charge_once_each() {
    let psp = MockPsp::stripe().await;
    psp.authorize().declines("insufficient_funds").then().times_out_after_charging().then().approves();
    let rig = Rig::stripe(&psp).await;
    let mut ends = Vec::new();
    for _ in 0..3 {
        let id = rig.charge(1_200, "eur").await;
        rig.work_patiently().await;
        ends.push((rig.state(id).await, psp.effects().of(id).captured()));
    }
    assert_eq!(ends, [(State::Failed, 0), (State::Succeeded, 1), (State::Succeeded, 1)]);
    rig.finish(&psp).await;
}

#[tokio::test]
async fn whatever_breaks_in_whichever_call_the_money_moves_once() {
    let psp = MockPsp::stripe().await;
    let rig = Rig::stripe(&psp).await;
    for operation in [Operation::Register, Operation::Authorize, Operation::Capture] {
        let faults: [&dyn Fn(); 6] = [
            &|| drop(psp.script(operation).hangs_up()),
            &|| drop(psp.script(operation).approves().but_hangs_up()),
            &|| drop(psp.script(operation).answers_500()),
            &|| drop(psp.script(operation).approves().but_answers_500()),
            &|| drop(psp.script(operation).is_throttled(Duration::from_secs(1))),
            &|| drop(psp.script(operation).approves().but_answers_garbage()),
        ];
        for fault in faults {
            fault();
            let id = rig.charge(1_200, "eur").await;
            rig.work_patiently().await;
            assert_eq!(rig.state(id).await, State::Succeeded, "{operation}");
        }
    }
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_customer_who_authenticates_is_charged_by_webhook() {
    let psp = MockPsp::stripe().await;
    psp.authorize().requires_action();
    let rig = Rig::stripe(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    assert_eq!(rig.state(id).await, State::RequiresAction);
    psp.customer_authenticates(id);
    let told = psp.webhooks().telling(Happened::Authorized);
    assert_eq!(rig.deliver(told.clone().forged()).await, [Err(WebhookRefused::SignatureMismatch)]);
    let stale = told.clone().stale(jiff::SignedDuration::from_hours(1));
    assert_eq!(rig.deliver(stale).await, [Err(WebhookRefused::TimestampOutsideTolerance)]);
    assert_eq!(rig.deliver(told.doubled()).await, [Ok(WebhookOutcome::Applied); 2]);
    rig.work().await;
    assert_eq!(rig.state(id).await, State::Succeeded);
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_canceled_charge_is_voided_and_a_partly_captured_one_keeps_the_part() {
    let psp = MockPsp::stripe().await;
    let rig = Rig::stripe(&psp).await;
    let canceled = rig.charge_with(1_200, "eur", "pm_card", CaptureMethod::Manual).await;
    let partly = rig.charge_with(1_200, "eur", "pm_card", CaptureMethod::Manual).await;
    rig.work().await;
    rig.cancel(canceled).await;
    rig.capture(partly, Some(500)).await;
    rig.work().await;
    testkit::assert_ledger(&psp.effects().of(canceled).to_string(), "authorized 12.00 EUR\nvoided 12.00 EUR");
    testkit::assert_ledger(&psp.effects().of(partly).to_string(), "authorized 12.00 EUR\ncaptured 5.00 EUR");
    rig.finish(&psp).await;
}

#[tokio::test]
async fn another_history_than_expected_is_shown_as_a_difference() {
    let psp = MockPsp::stripe().await;
    let rig = Rig::stripe(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    let rows = rig.history(id).await;
    let failed = std::panic::catch_unwind(|| testkit::assert_history(&rows, "1 client started succeeded")).unwrap_err();
    let message = failed.downcast::<String>().unwrap();
    assert!(
        message.contains("-1 client started succeeded") && message.contains("+1 client started created"),
        "{message}"
    );
}
