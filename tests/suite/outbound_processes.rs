//! Real processes, `kill -9` while events are on their way: each arrives at least once, and their order can be restored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fincore_tests::process::Running;
use fincore_tests::site::{PATIENCE, Site, Webhooks, Workers};
use rand::{RngExt, SeedableRng};
use serde_json::json;
use workflow::signing::SigningKey;

use crate::outbound::receiver::{Received, Receiver};
use crate::plan;

/// Charges in one run.
const CHARGES: usize = 60;
/// How often the process is killed in one run.
const KILLS: usize = 5;

/// The types of event of each charge, as a receiver orders them: each event once, by `sequence`.
fn ordered(received: &[Received]) -> BTreeMap<String, Vec<String>> {
    let mut events = BTreeMap::new();
    for received in received {
        let body = &received.body;
        let charge = body["data"]["object"]["id"].as_str().unwrap().to_owned();
        events.insert((charge, body["sequence"].as_i64().unwrap()), body["type"].as_str().unwrap().to_owned());
    }
    let mut ordered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((charge, _), event_type) in events {
        ordered.entry(charge).or_default().push(event_type);
    }
    ordered
}

/// A merchant that captures what it is told to be authorized, under the event's name, so twice told is once captured. Its
/// server does not always keep up.
async fn merchant(site: Arc<Site>, receiver: Arc<Receiver>, seed: u64) {
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let mut seen = 0;
    loop {
        let received = receiver.until_forever(seen + 1).await;
        for event in &received[seen..] {
            if event.body["type"] == "charge.authorized" {
                let id = event.body["data"]["object"]["id"].as_str().unwrap();
                site.insist(&format!("/v1/charges/{id}/capture"), event.header("webhook-id"), &json!({})).await;
            }
        }
        seen = received.len();
        // Slow enough for a kill to come while it has an event and has not answered.
        let status = if rng.random_bool(0.3) { 500 } else { 200 };
        receiver.answer_late(status, Duration::from_millis(rng.random_range(0..400)));
    }
}

fincore_tests::on_each_database! {
    async fn killed_at_any_moment_every_event_arrives_and_can_be_ordered(database: TestDatabase) {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let mut site = Site::build(&database, plan(Workers::Inside, None, Webhooks::Sent)).await;
        site.program.env.push(("FINCORE_ALLOW_LOOPBACK_ENDPOINTS", "true".to_owned()));
        let (site, receiver) = (Arc::new(site), Arc::new(Receiver::start().await));
        let mut running = site.start();
        let endpoint = site.insist("/v1/webhook_endpoints", "listen", &json!({"url": receiver.url()})).await;
        let acting = tokio::spawn(merchant(Arc::clone(&site), Arc::clone(&receiver), seed)).abort_handle();
        let clients: Vec<_> = (0..CHARGES)
            .map(|number| {
                let (site, start) = (Arc::clone(&site), Duration::from_millis(rng.random_range(0..4_000)));
                tokio::spawn(async move {
                    tokio::time::sleep(start).await;
                    let body = json!({
                        "amount": 1000 + number, "currency": "eur", "payment_method": "pm_card_visa",
                        "capture_method": "manual",
                    });
                    site.charge(&format!("client-{number}"), &body).await
                })
            })
            .collect();
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_000))).await;
            running.into_iter().for_each(Running::kill);
            running = site.start();
        }
        let mut expected = BTreeMap::new();
        for client in clients {
            let told = vec!["charge.authorized".to_owned(), "charge.succeeded".to_owned()];
            expected.insert(client.await.unwrap().to_string(), told);
        }
        let begun = Instant::now();
        while ordered(&receiver.received()) != expected {
            assert!(begun.elapsed() < PATIENCE, "some events never came: {:?}", ordered(&receiver.received()));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        acting.abort();
        let key = SigningKey::parse(endpoint["secret"].as_str().unwrap()).unwrap();
        let mut bodies = BTreeMap::new();
        for event in receiver.received() {
            let id = event.header("webhook-id").to_owned();
            let signed = key.sign(&id, event.header("webhook-timestamp"), &event.raw);
            assert_eq!(event.header("webhook-signature"), signed);
            let body = bodies.entry(id).or_insert_with(|| event.raw.clone());
            assert_eq!(*body, event.raw, "the same event, however often");
        }
        assert_eq!(bodies.len(), 2 * CHARGES, "and no other");
        for process in running {
            assert!(process.terminate().await, "SIGTERM ends the process well");
        }
    }
}
