//! Real processes, real databases, `kill -9` at random moments.

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::database::TestDatabase;
use fincore_tests::emulators::Emulator;
use fincore_tests::process::Running;
use fincore_tests::site::{Site, Webhooks, Workers};
use rand::{RngExt, SeedableRng};
use sandbox::EntryKind;
use serde_json::json;
use workflow::definition::State;

use crate::plan;

/// Charges in one run.
const CHARGES: usize = 200;
/// How often the process is killed in one run.
const KILLS: usize = 8;
async fn every_accepted_charge_ends_once(database: &TestDatabase, workers: Workers, emulator: Option<Emulator>) {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let site = Arc::new(Site::build(database, plan(workers, emulator, Webhooks::Sent)).await);
    let mut running = site.start();
    let clients: Vec<_> = (0..CHARGES)
        .map(|number| {
            let (site, start) = (Arc::clone(&site), Duration::from_millis(rng.random_range(0..6_000)));
            tokio::spawn(async move {
                tokio::time::sleep(start).await;
                site.charge(&format!("client-{number}"), &body(number)).await
            })
        })
        .collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_200))).await;
        running.into_iter().for_each(Running::kill);
        site.signal_functions("KILL");
        running = site.start();
    }
    let mut ids = Vec::new();
    for client in clients {
        ids.push(client.await.unwrap());
    }
    site.until_ended(&ids).await;
    for process in running {
        assert!(process.terminate().await, "SIGTERM ends the process well");
    }
    let payments = site.store.walk(None, 1_000).await.unwrap();
    assert_eq!(payments.len(), CHARGES, "one charge a client");
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    let captured: Vec<_> =
        site.sandbox.ledger().into_iter().filter(|entry| entry.kind == EntryKind::Captured).collect();
    let references: std::collections::HashSet<_> = captured.iter().map(|entry| entry.reference.clone()).collect();
    assert_eq!((captured.len(), references.len()), (CHARGES, CHARGES), "one capture a charge");
    let theirs: i64 = captured.iter().map(|entry| entry.amount_minor).sum();
    let ours: i64 = payments.iter().map(|payment| payment.amount_captured_minor).sum();
    assert_eq!(theirs, ours);
    let verified = site.program.run(&["verify"]);
    assert!(verified.contains("200 payments") && verified.contains("0 broken"), "{verified}");
    let shown = site.program.run(&["show", &ids[0].to_string()]);
    assert!(shown.contains("SUCCEEDED") && shown.contains("hash chain intact"), "{shown}");
}

fn body(number: usize) -> serde_json::Value {
    let methods = ["pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_sandbox_answer_lost", "pm_sandbox_processing"];
    json!({"amount": 1000 + number, "currency": "eur", "payment_method": methods[number % methods.len()]})
}

fincore_tests::on_each_database! {
    async fn killed_at_any_moment_every_accepted_charge_ends_and_is_captured_once(database: TestDatabase) {
        every_accepted_charge_ends_once(&database, Workers::Inside, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_with_workers_behind_sqs_every_charge_ends_once() {
    if let (Some(database), Some(emulator)) = (TestDatabase::postgres().await, Emulator::moto()) {
        every_accepted_charge_ends_once(&database, Workers::Apart, Some(emulator)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_with_a_lambda_function_behind_sqs_every_charge_ends_once() {
    if let (Some(database), Some(emulator)) = (TestDatabase::postgres().await, Emulator::ministack()) {
        every_accepted_charge_ends_once(&database, Workers::Lambda, Some(emulator)).await;
    }
}
