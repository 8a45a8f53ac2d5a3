//! The database goes away, comes back, or is full: clients are told, nothing acknowledged is lost, nobody restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fincore_tests::database::{Afterwards, TestDatabase};
use fincore_tests::world::{BACKOFF, LEASE, World};
use reqwest::StatusCode;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use workflow::definition::State;
use workflow::engine::EngineError;
use workflow::engine::worker::Claimed;
use workflow::port::queue::Wake;
use workflow::port::store::StoreError;

/// Clients that charge at the same time.
const CLIENTS: usize = 8;
/// Charges of each.
const CHARGES: usize = 25;
/// Tries of one request: an outage takes a fraction of a second.
const TRIES: usize = 200;

/// Charges until accepted, under one key; counts what it was refused with.
async fn insist(world: &World, key: &str, refused: &AtomicUsize) {
    let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
    for _ in 0..TRIES {
        let (status, answer) = world.post("/v1/charges", key, &body).await;
        if status == StatusCode::ACCEPTED {
            return;
        }
        assert_eq!((status, &answer["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("store_unavailable")));
        assert_eq!(answer["retryable"], true);
        refused.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{key} was never accepted");
}

async fn clients(world: &Arc<World>, refused: &Arc<AtomicUsize>) {
    let clients = (0..CLIENTS).map(|client| {
        let (world, refused) = (Arc::clone(world), Arc::clone(refused));
        tokio::spawn(async move {
            for charge in 0..CHARGES {
                insist(&world, &format!("client-{client}-{charge}"), &refused).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_going_away_in_the_middle_of_a_run_loses_nothing() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let world = Arc::new(World::over(database.store().await).await);
    let refused = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (worker, stop) = (world.worker.clone(), stop.clone());
        async move { worker.run(stop).await }
    });
    let charging = tokio::spawn({
        let (world, refused) = (Arc::clone(&world), Arc::clone(&refused));
        async move { clients(&world, &refused).await }
    });
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        database.cut_connections(Afterwards::Closed).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        database.cut_connections(Afterwards::Open).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        // As a failover does: connections break in the middle of statements, new ones work at once.
        database.cut_connections(Afterwards::Open).await;
    }
    charging.await.unwrap();
    stop.cancel();
    working.await.unwrap();
    assert!(refused.load(Ordering::Relaxed) > 0, "the outages were noticed");
    let world = Arc::into_inner(world).unwrap();
    world.clock.skip(LEASE);
    world.work_until_idle().await;
    for _ in 0..3 {
        world.clock.skip(BACKOFF);
        world.work_until_idle().await;
    }
    let payments = world.store.walk(None, 1_000).await.unwrap();
    assert_eq!(payments.len(), CLIENTS * CHARGES, "each key made one charge");
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_an_operator_holds_on_postgres_keeps_no_other_payment_waiting() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let world = World::over(database.store().await).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(world.charge("pm_card_visa", "automatic").await);
    }
    let held = ids[7];
    let by_hand = format!("select from payments where id = '{}' for update", held.uuid());
    let operator = database.open_transaction(&by_hand).await;
    let claims: Vec<_> = ids
        .iter()
        .map(|id| {
            let (engine, wake) = (Arc::clone(&world.engine), Wake::of(*id, 1));
            tokio::spawn(async move { engine.wake(wake, "test").await })
        })
        .collect();
    for (id, claim) in ids.iter().zip(claims) {
        match claim.await.unwrap() {
            Ok(Claimed::Work(_)) => assert_ne!(*id, held, "nobody can move a row that somebody else holds"),
            Err(EngineError::Store(error)) if matches!(*error, StoreError::Held(_)) => assert_eq!(*id, held),
            other => panic!("{id}: {other:?}"),
        }
    }
    let (status, answer) = world.post(&format!("/v1/charges/{held}/cancel"), "cancel", &json!({})).await;
    assert_eq!((status, &answer["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("store_unavailable")));
    drop(operator);
    world.clock.skip(LEASE);
    world.work_patiently().await;
    assert_eq!(world.payment(held).await.state, State::Succeeded, "as if nothing had been");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_sqlite_disk_acknowledges_nothing_it_did_not_store() {
    let database = TestDatabase::sqlite();
    database.migrate().await;
    let world = World::over(database.bounded_sqlite_store(150).await).await;
    let mut accepted = 0;
    let problem = loop {
        let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
        let (status, answer) = world.post("/v1/charges", &format!("key-{accepted}"), &body).await;
        if status != StatusCode::ACCEPTED {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 5_000, "the file never filled up");
    };
    assert_eq!((&problem["code"], &problem["status"]), (&json!("store_unavailable"), &json!(503)));
    assert_eq!(world.store.walk(None, 5_000).await.unwrap().len(), accepted);
    let (status, listed) = world.get("/v1/charges?limit=1").await;
    assert_eq!((status, listed["data"].as_array().unwrap().len()), (StatusCode::OK, 1), "reading goes on");
}
