//! A PostgreSQL behind a pooler in transaction mode, as RDS Proxy is: what the store leaves behind, and what it says when
//! it is used in the wrong way. That it works is shown by the store's conformance suite, by charges and by hang-ups, each
//! of which runs behind the pooler too.

use std::sync::Arc;

use fincore_tests::build;
use fincore_tests::database::TestDatabase;
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use workflow::port::store::{ListFilter, ListStep, Started, Store, StoreError};
use workflow_postgres::{Pooler, PostgresStore};

/// The pooler has two connections to the server. Statements that are prepared and run in two steps would meet there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_many_callers_never_meet_on_a_shared_connection() {
    let Some(database) = TestDatabase::pooled().await else { return };
    let stores: Vec<Arc<dyn Store>> =
        [database.store().await, database.unmigrated_store().await, database.unmigrated_store().await].into();
    let callers = (0..12_u64).map(|caller| {
        let store = Arc::clone(&stores[caller as usize % stores.len()]);
        tokio::spawn(async move {
            for round in 0..25 {
                let new = build::new_payment(build::payment(1 + caller * 100 + round));
                let payment = workflow::payment::Payment::clone(&new.payment);
                assert_eq!(store.start(std::slice::from_ref(&new)).await.unwrap(), [Started::Created]);
                assert_eq!(store.load(&[payment.id]).await.unwrap(), [Some(payment.clone())]);
                assert_eq!(store.history(payment.id).await.unwrap().len(), 1);
                assert!(store.request(&new.request.scope).await.unwrap().is_some());
                let filter = ListFilter::default();
                let step = ListStep { merchant_id: payment.merchant_id, ..build::step(1, &filter, 1) };
                assert_eq!(store.list(&step).await.unwrap().payments.len(), 1);
                assert_eq!(store.webhook("nobody", "nothing").await.unwrap(), None);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_left_on_connections_that_others_use_next() {
    let Some(database) = TestDatabase::pooled().await else { return };
    let store = database.store().await;
    super::store_conformance::one(&store, 1).await;
    let options: PgConnectOptions = database.postgres_options().url.parse().unwrap();
    let mut stranger = options.extra_float_digits(None).connect().await.unwrap();
    let left = "select count(*) from pg_settings where name in
        ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'enable_seqscan', 'plan_cache_mode')
        and setting <> reset_val";
    let count: i64 = sqlx::Row::get(&sqlx::raw_sql(left).fetch_one(&mut stranger).await.unwrap(), 0);
    assert_eq!(count, 0, "settings of ours");
    let names = sqlx::raw_sql("select name from pg_prepared_statements").fetch_all(&mut stranger).await.unwrap();
    assert!(names.is_empty(), "named statements of ours");
}

#[tokio::test]
async fn a_store_that_is_not_told_of_the_pooler_does_not_even_connect() {
    let Some(database) = TestDatabase::pooled().await else { return };
    let mut options = database.postgres_options();
    options.pooler = Pooler::None;
    let refused = PostgresStore::connect(options).await.map(drop);
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(error)) if error.to_string().contains("extra_float_digits")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn migrations_are_refused_behind_a_pooler() {
    let Some(database) = TestDatabase::pooled().await else { return };
    let store = PostgresStore::connect(database.postgres_options()).await.unwrap();
    let refused = store.migrate().await;
    assert!(
        matches!(&refused, Err(StoreError::Refused(error)) if error.to_string().contains("own address")),
        "{refused:?}"
    );
}
