//! A database that goes away, a disk that fills up, callers that leave: nothing acknowledged is lost, and the store
//! works again by itself.

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::build;
use fincore_tests::database::{Afterwards, TestDatabase};
use workflow::port::store::{Started, Store, StoreError, Updated};

use super::{apply, one, stored};

/// Connections of a store that may each have to find out for itself that it was cut.
const CONNECTIONS: usize = 4;

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn callers_that_leave_in_the_middle_harm_nobody(database: TestDatabase) {
        let store = database.store().await;
        let mut answered = Vec::new();
        for round in 0..120_u64 {
            let batch: Vec<_> = (1..=4).map(|i| build::new_payment(build::payment(round * 10 + i))).collect();
            let patience = Duration::from_micros(100 * (round % 40));
            if let Ok(results) = tokio::time::timeout(patience, store.start(&batch)).await {
                assert_eq!(results.unwrap(), vec![Started::Created; 4]);
                answered.extend(batch.into_iter().map(|new| Arc::unwrap_or_clone(new.payment)));
            }
            // Whoever comes next is not written into the rest of somebody's transaction.
            let next = one(&store, round * 10 + 9).await;
            answered.push(apply(&store, build::update(&next, |_| {})).await);
        }
        for payment in answered {
            assert_eq!(stored(&store, &payment).await, payment);
        }
        let stray = "select count(*) from payments p where not exists
            (select 1 from payment_history h where h.payment_id = p.id and h.seq = p.seq)";
        assert_eq!(database.number(stray).await, 0, "a payment is stored with its history or not at all");
        let groups = "select count(*) from payments where id in (select payment_id from payment_history) and seq = 1";
        assert_eq!(database.number(groups).await % 4, 0, "a batch is stored as a whole or not at all");
    }

    async fn two_processes_share_one_database(database: TestDatabase) {
        const ROUNDS: u64 = 40;
        let stores = [database.store().await, database.unmigrated_store().await];
        let contested = one(&stores[0], 1_000).await;
        let working: Vec<_> = (0..)
            .zip(stores.clone())
            .map(|(process, store)| {
                let contested = contested.clone();
                tokio::spawn(async move {
                    let mut won = 0;
                    for round in 0..ROUNDS {
                        let payment = one(&store, process * ROUNDS + round + 1).await;
                        apply(&store, build::update(&payment, |_| {})).await;
                        let now = store.load(&[contested.id]).await.unwrap().remove(0).unwrap();
                        let result = store.update(&[build::update(&now, |_| {})]).await.unwrap();
                        won += i64::from(result == [Updated::Applied]);
                    }
                    won
                })
            })
            .collect();
        let mut won = 0;
        for process in working {
            won += process.await.unwrap();
        }
        assert_eq!(stored(&stores[1], &contested).await.seq, 1 + won);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_postgres_has_cut_all_connections_the_store_recovers() {
    for database in TestDatabase::each_way_to_postgres().await {
        let store = database.store().await;
        let before = busy(&store).await;
        database.cut_connections(Afterwards::Open).await;
        let mut failures = 0;
        for number in 100..150 {
            match store.start(&[build::new_payment(build::payment(number))]).await {
                Ok(results) => assert_eq!(results, [Started::Created]),
                Err(StoreError::Unavailable(_)) => failures += 1,
                Err(other) => panic!("{other:?}"),
            }
            failures += usize::from(unavailable(store.load(&[before[0].id]).await));
        }
        assert!(failures <= CONNECTIONS, "{failures} calls failed");
        for payment in before {
            assert_eq!(stored(&store, &payment).await, payment);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_calls_say_so_and_later_work_again() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let store = database.store().await;
    let payment = busy(&store).await.remove(0);
    database.cut_connections(Afterwards::Closed).await;
    let update = build::update(&payment, |_| {});
    for _ in 0..3 {
        assert!(unavailable(store.update(std::slice::from_ref(&update)).await));
        assert!(unavailable(store.start(&[build::new_payment(build::payment(999))]).await));
        assert!(unavailable(store.load(&[payment.id]).await));
        assert!(unavailable(store.check().await));
    }
    database.cut_connections(Afterwards::Open).await;
    store.check().await.unwrap();
    assert_eq!(stored(&store, &payment).await, payment, "what was not acknowledged did not happen");
    assert_eq!(store.update(&[update]).await.unwrap(), [Updated::Applied]);
    one(&store, 999).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_or_a_table_that_is_held_on_postgres_is_not_waited_for_long() {
    for database in TestDatabase::each_way_to_postgres().await {
        let store = database.store().await;
        let [held, free] = [one(&store, 1).await, one(&store, 2).await];
        let both = [build::update(&held, |_| {}), build::update(&free, |_| {})];
        let row = format!("select from payments where id = '{}' for update", held.id.uuid());
        for lock in [row.as_str(), "lock table payments in share mode"] {
            let operator = database.open_transaction(lock).await;
            let refused = store.update(&both).await;
            assert!(matches!(refused, Err(StoreError::Held(_))), "{lock}: {refused:?}");
            assert_eq!(stored(&store, &free).await, free, "nothing of it was stored");
            drop(operator);
        }
        // A statement that gave up costs no connection, and the update is as good as before.
        assert_eq!(store.update(&both).await.unwrap(), [Updated::Applied; 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_sqlite_says_so_and_later_works_again() {
    let database = TestDatabase::sqlite();
    database.migrate().await;
    let store = database.bounded_sqlite_store(200).await;
    let mut acknowledged = Vec::new();
    let mut number = 1;
    let refused = loop {
        let batch: Vec<_> = (0..5).map(|i| build::new_payment(build::full(number + i))).collect();
        number += 5;
        match store.start(&batch).await {
            Ok(_) => acknowledged.extend(batch.into_iter().map(|new| Arc::unwrap_or_clone(new.payment))),
            Err(StoreError::Unavailable(_)) => break batch,
            Err(other) => panic!("{other:?}"),
        }
        assert!(number < 5_000, "the file never filled up");
    };
    assert!(acknowledged.len() > 20, "only {} fitted", acknowledged.len());
    assert_eq!(store.walk(None, 10_000).await.unwrap(), acknowledged, "all that was acknowledged, and nothing else");
    assert!(unavailable(store.start(&refused).await));

    // Somebody makes room: as many pages as the webhooks below took are free again.
    database.execute("drop trigger payment_history_append_only_delete").await.unwrap();
    let last = acknowledged.len() as i64 / 2;
    let room = format!(
        "create temp table gone as select id from payments order by id limit {last};
        delete from payment_history where payment_id in (select id from gone);
        delete from idempotency_keys where payment_id in (select id from gone);
        delete from payments where id in (select id from gone)"
    );
    database.execute(&room).await.unwrap();
    assert_eq!(store.start(&refused).await.unwrap(), vec![Started::Created; 5]);
    for new in refused {
        assert_eq!(stored(&store, &new.payment).await, *new.payment);
    }
}

/// Puts every connection of the store to use.
async fn busy(store: &Arc<dyn Store>) -> Vec<workflow::payment::Payment> {
    let calls: Vec<_> = (1..=16)
        .map(|number| {
            let store = Arc::clone(store);
            tokio::spawn(async move { one(&store, number).await })
        })
        .collect();
    let mut payments = Vec::new();
    for call in calls {
        payments.push(call.await.unwrap());
    }
    payments
}

fn unavailable<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}
