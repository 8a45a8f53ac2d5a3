//! What one kind of caller can take away from another: nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::world::World;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use workflow::port::store::Store;
use workflow_postgres::{PostgresOptions, PostgresStore};

/// Lists that are asked for at the same time.
const LISTS: usize = 30;

/// Clients who make the database slow with lists take no connection from PSPs who tell what happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_taken_while_clients_wait_for_slow_lists() {
    let Some(database) = TestDatabase::postgres().await else { return };
    database.migrate().await;
    // Two that write, two that read.
    let options = PostgresOptions { max_connections: 4, ..database.postgres_options() };
    let store = Arc::new(PostgresStore::connect(options).await.unwrap()) as Arc<dyn Store>;
    let world = Arc::new(World::over(store).await);
    let id = world.charge("pm_sandbox_processing", "automatic").await;
    world.work().await;
    world.sandbox.settle_processing();
    let held = database.open_transaction("lock table payment_metadata in access exclusive mode").await;
    let lists: Vec<_> = (0..LISTS)
        .map(|_| {
            let url = format!("http://{}/v1/charges?metadata[order]=7", world.api);
            let request = world.http.get(url).bearer_auth(world.secret.expose_secret());
            tokio::spawn(async move { request.send().await.unwrap().status() })
        })
        .collect();
    // Until the lists have come and wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    for event in world.events(id).await {
        assert_eq!(world.deliver(&event).await, StatusCode::OK);
    }
    let took = begun.elapsed();
    assert!(!lists.iter().all(tokio::task::JoinHandle::is_finished), "the lists are still waiting");
    assert!(took < Duration::from_secs(1), "webhooks took {took:?}");
    drop(held);
    for list in lists {
        let status = list.await.unwrap();
        assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{status}");
    }
    world.work_patiently().await;
}
