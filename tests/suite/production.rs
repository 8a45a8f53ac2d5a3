//! The production shape: PostgreSQL, SQS and the Lambda function, as processes. What messages do must change nothing.

use std::time::Duration;

use fincore_tests::database::{Afterwards, TestDatabase};
use fincore_tests::emulators::Emulator;
use fincore_tests::lambda::Feeding;
use fincore_tests::site::{Plan, Site, Webhooks, Workers};
use sandbox::EntryKind;
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::ids::PaymentId;

use crate::plan;

/// A site with a function, ready to be charged.
pub(crate) async fn site(webhooks: Webhooks) -> Option<(TestDatabase, Site)> {
    site_with(webhooks, plan(Workers::Lambda, None, webhooks).visibility_s).await
}

/// The same, with Step Functions to keep the time; the PSP sends no webhooks by itself.
pub(crate) async fn timed_site(document: &Value) -> Option<(TestDatabase, Site)> {
    let (database, emulator) = (TestDatabase::postgres().await?, Emulator::ministack()?);
    let plan = plan(Workers::Lambda, Some(emulator), Webhooks::Lost);
    let site = Site::build(&database, Plan { state_machine: Some(document.clone()), ..plan }).await;
    Some((database, site))
}

/// The same, with a queue that hands a message out again after so many seconds.
async fn site_with(webhooks: Webhooks, visibility_s: u32) -> Option<(TestDatabase, Site)> {
    let (database, emulator) = (TestDatabase::postgres().await?, Emulator::ministack()?);
    let plan = Plan { visibility_s, ..plan(Workers::Lambda, Some(emulator), webhooks) };
    let site = Site::build(&database, plan).await;
    Some((database, site))
}

/// The PSP's books: every charge captured once, none twice.
fn captured_once(site: &Site, ids: &[PaymentId]) {
    let ledger = site.sandbox.ledger();
    for id in ids {
        let reference = Some(id.to_string());
        let captures =
            ledger.iter().filter(|entry| entry.reference == reference && entry.kind == EntryKind::Captured).count();
        assert_eq!(captures, 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_lost_doubled_or_poisoned_change_nothing() {
    let Some((_database, site)) = site(Webhooks::Lost).await else { return };
    let (lambda, queue) = (site.lambda.as_ref().unwrap(), site.queue.as_ref().unwrap());
    lambda.feed(Feeding::Off).await;
    let running = site.start();
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(site.charge_with("pm_card_visa").await);
    }
    // The first three are deleted behind everybody's back; each of the next three comes ten times more, in reverse.
    let told = |id: &PaymentId| json!({"v": 1, "payment": id, "seq": 1}).to_string();
    let mut messages: Vec<String> = queue.take(&queue.url).await.into_iter().map(|letter| letter.body).collect();
    messages.retain(|body| !ids[..3].iter().any(|id| body.contains(&id.to_string())));
    messages.extend(ids[3..6].iter().flat_map(|id| std::iter::repeat_n(told(id), 10)));
    messages.reverse();
    messages.insert(4, "not one of ours".to_owned());
    queue.send(&messages).await;
    lambda.feed(Feeding::On).await;
    let payments = site.until_ended(&ids).await;
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    captured_once(&site, &ids);
    // Long after the end, everything once more.
    let before = site.ledger(ids[0]).await;
    queue.send(&ids.iter().map(told).collect::<Vec<_>>()).await;
    queue.until_counted(&queue.url, |counts| counts.ready + counts.delayed == 0 && counts.in_flight <= 1).await;
    assert_eq!(site.ledger(ids[0]).await, before);
    captured_once(&site, &ids);
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_back_in_the_middle_of_its_activity_changes_nothing() {
    let Some((_database, site)) = site_with(Webhooks::Lost, 1).await else { return };
    let running = site.start();
    let id = site.charge_with("pm_sandbox_slow_drip").await;
    let payments = site.until_ended(&[id]).await;
    assert_eq!(payments[0].state, State::Succeeded, "{}", site.ledger(id).await);
    captured_once(&site, &[id]);
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_invocation_runs_out_of_time_comes_back_and_ends_once() {
    let Some((_database, site)) = site(Webhooks::Lost).await else { return };
    let lambda = site.lambda.as_ref().unwrap();
    lambda.feed(Feeding::Off).await;
    let running = site.start();
    let mut ids = Vec::new();
    for number in 0..10 {
        let slow = ["pm_card_visa", "pm_sandbox_slow_drip"][usize::from(number % 2 == 1)];
        ids.push(site.charge_with(slow).await);
    }
    lambda.feed(Feeding::On).await;
    // In the middle of the batch the function stands still, and its time goes by: Lambda ends it.
    let frozen = async {
        while site.signal_functions("STOP") == 0 || !begun(&site, &ids).await {
            site.signal_functions("CONT");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), frozen).await.expect("the batch is worked on");
    let payments = site.until_ended(&ids).await;
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    captured_once(&site, &ids);
    drop(running);
}

/// Whether some of these charges are being worked on and some have not ended.
async fn begun(site: &Site, ids: &[PaymentId]) -> bool {
    let payments = site.store.load(ids).await.unwrap();
    payments.iter().flatten().any(workflow::payment::Payment::is_leased)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_connections_that_are_cut_again_and_again_cost_nothing_but_time() {
    let Some((database, site)) = site(Webhooks::Lost).await else { return };
    let running = site.start();
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(site.charge_with("pm_card_visa").await);
        if number % 8 == 7 {
            database.cut_connections(Afterwards::Open).await;
        }
    }
    let payments = site.until_ended(&ids).await;
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    captured_once(&site, &ids);
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_queue_is_down_requests_are_accepted_and_the_sweep_works() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let Some(emulator) = Emulator::ministack() else { return };
    let mut site = Site::build(&database, plan(Workers::Lambda, Some(emulator), Webhooks::Lost)).await;
    // The processes look for the queue where nothing listens.
    let nowhere = format!("http://127.0.0.1:{}", fincore_tests::process::free_port());
    for (name, value) in &mut site.program.env {
        if *name == "FINCORE_AWS_ENDPOINT_URL" {
            value.clone_from(&nowhere);
        }
    }
    let running = site.start();
    let begun = std::time::Instant::now();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(site.charge_with("pm_card_visa").await);
    }
    // One call to a dead queue takes up to twelve seconds to fail; none of the twenty waits for one.
    assert!(begun.elapsed() < Duration::from_secs(30), "a dead queue holds up no request");
    let payments = site.until_ended(&ids).await;
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    captured_once(&site, &ids);
    drop(running);
}
