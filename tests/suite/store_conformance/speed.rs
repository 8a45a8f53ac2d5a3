//! What the schema does for speed, where it could be lost without any other test noticing.

use std::sync::Arc;

use fincore_tests::build;
use fincore_tests::database::TestDatabase;
use workflow::definition::State;
use workflow::port::store::{
    Bounds, DeadLetterRow, HistoryPlace, LetterFilter, LetterScope, ListFilter, ListStep, NoticeOutcome, Store,
    Updated, Walk, WebhookOutcome,
};

/// How often the server is asked whether its sessions have told their counts, which they do at the latest when they end.
const STATISTICS_POLLS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_on_postgres_leave_the_indexes_alone() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let store = database.store().await;
    let payments = super::started(&store, (1..=100).map(build::payment)).await;
    // Claimed for less than an hour, so that the due index need not change either. Once only: to make room for a second
    // time the server has to clear dead rows away, and how soon it may depends on whatever else runs on it.
    let batch: Vec<_> = payments.iter().map(|payment| build::claim(payment, build::at(1))).collect();
    assert_eq!(store.update(&batch).await.unwrap(), vec![Updated::Applied; batch.len()]);
    drop(store);
    counted(&database, "n_tup_upd", 100).await;
    let hot = counted(&database, "n_tup_hot_upd", 1).await;
    assert!(hot >= 95, "{hot} of 100 updates were heap-only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_on_postgres_reads_a_table_from_end_to_end() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let store = database.store().await;
    // On empty tables first: plans are made then, and are kept while the tables grow.
    let updates = use_everything(&store, 0).await + use_everything(&store, 1).await;
    drop(store);
    counted(&database, "n_tup_upd", updates).await;
    let scanned = "select coalesce(string_agg(relname, ', '), 'none') as tables from pg_stat_user_tables
        where seq_tup_read > 0 and relname <> '_sqlx_migrations'";
    assert_eq!(database.texts(scanned, "tables").await, ["none"]);
}

/// A plan made on an empty table has nothing to choose an index by, and is kept while the table grows. An index that merely
/// contains the id would be read from end to end for each payment, and no count of rows read from the table would show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_on_postgres_find_payments_by_their_ids_alone() {
    for beforehand in ["select 1", "analyze payments"] {
        let Some(database) = TestDatabase::postgres().await else { return };
        let store = database.store().await;
        database.execute(beforehand).await.unwrap();
        // Nobody has this id: the plan is made, and nothing is stored.
        let nobody = build::claim(&build::payment(999), build::at(1));
        assert_eq!(store.update(&[nobody]).await.unwrap(), [Updated::Conflict]);
        let payments = super::started(&store, (1..=100).map(build::payment)).await;
        for payment in &payments {
            super::apply(&store, build::claim(payment, build::at(1))).await;
        }
        drop(store);
        counted(&database, "n_tup_upd", 100).await;
        let read = "select coalesce(string_agg(indexrelname, ', '), 'none') as indexes from pg_stat_user_indexes
            where relname = 'payments' and idx_scan > 0 and indexrelname <> 'payments_pkey'";
        assert_eq!(database.texts(read, "indexes").await, ["none"], "after {beforehand}");
    }
}

#[tokio::test]
async fn no_statement_on_sqlite_reads_a_table_from_end_to_end() {
    let database = TestDatabase::sqlite();
    database.migrate().await;
    let mut seen = 0;
    for query in super::schema::saved_queries("sqlite") {
        let plan = database.texts(&format!("explain query plan {query}"), "detail").await;
        for step in plan.iter().filter(|step| step.starts_with("SCAN") && !step.contains("USING")) {
            // `waiting` is what a recursive query has found so far.
            let harmless = [
                "SCAN (subquery",
                "SCAN place VIRTUAL TABLE",
                "SCAN CONSTANT ROW",
                "SCAN json_each VIRTUAL TABLE",
                "SCAN jsonb_each VIRTUAL TABLE",
                "SCAN told VIRTUAL TABLE",
                "SCAN chosen VIRTUAL TABLE",
                "SCAN _sqlx_migrations",
                "SCAN waiting",
                // As many rows as there are paused PSP accounts.
                "SCAN psp_pauses",
                // An operator's page sorts all endpoints by how long they have been failing: sixteen a merchant at most.
                "SCAN endpoint",
            ];
            // In the order of the key itself, which is the table, and only so many.
            let is_bounded = query.contains("from payments order by id desc limit");
            assert!(is_bounded || harmless.iter().any(|harmless| step.starts_with(harmless)), "{step}: {query}");
        }
        seen += plan.len();
    }
    assert!(seen > 10, "only {seen} steps of plans were looked at");
}

/// Walks along every index that lists have, both ways and further than there is anything.
async fn list_by_everything(store: &Arc<dyn Store>) {
    let all = ListFilter::default();
    for filter in [
        ListFilter { state: Some(State::Failed), ..all.clone() },
        ListFilter { psp_reference: Some("pi_1".to_owned()), ..all.clone() },
        ListFilter { metadata: [("order".to_owned(), "7".to_owned())].into(), ..all.clone() },
        all,
    ] {
        for walk in [Walk::Older, Walk::Newer] {
            store.list(&ListStep { walk, ..build::step(1, &filter, 1_000) }).await.unwrap();
        }
    }
}

/// Calls every method of the port and returns how many payments it has moved.
async fn use_everything(store: &Arc<dyn Store>, round: u64) -> i64 {
    let payments = super::started(store, (1..=10).map(|number| build::payment(number + 100 * round))).await;
    let event = format!("evt_{round}");
    let waiting = build::webhook(&format!("evt_waiting_{round}"), None, WebhookOutcome::Unmatched);
    store.keep_webhooks(std::slice::from_ref(&waiting)).await.unwrap();
    let batch = [
        build::claim(&payments[0], build::at(60)),
        build::by_webhook(build::end(&payments[1]), &event),
        build::by_webhook(build::end(&payments[2]), &waiting.event_id),
        build::by_request(build::review(&payments[3]), &event),
    ];
    assert_eq!(store.update(&batch).await.unwrap(), vec![Updated::Applied; batch.len()]);
    let id = payments[0].id;
    store.load(&[id]).await.unwrap();
    store.due(build::at(0), None, 10).await.unwrap();
    store.history(id).await.unwrap();
    list_by_everything(store).await;
    store.history_since(&[HistoryPlace { payment_id: id, seq: 0 }]).await.unwrap();
    store.drop_answers(build::at(-1), 10).await.unwrap();
    store.walk(None, 10).await.unwrap();
    store.request(&build::request(&payments[0]).scope).await.unwrap();
    store.start(&[build::new_payment(payments[0].clone())]).await.unwrap();
    store.webhook("sandbox", &event).await.unwrap();
    store.by_psp_reference("sandbox", "pi_1").await.unwrap();
    store.unmatched_webhooks(build::at(0), 10).await.unwrap();
    let letters = store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap();
    let place = letters.first().map(DeadLetterRow::place);
    let open = LetterFilter { scope: LetterScope::Open, ..LetterFilter::default() };
    store.dead_letters(&open, place, 10).await.unwrap();
    store.dead_letters_of(payments[3].id, 10).await.unwrap();
    let notices = store.claim_notices(build::notice_claim("log", build::at(10))).await.unwrap();
    let told = build::told(&notices[0], "log", NoticeOutcome::Told(build::at(11)));
    store.settle_notices(&[told]).await.unwrap();
    store.notices_of(payments[3].id, 10).await.unwrap();
    store.open_payments(build::at(60)).await.unwrap();
    let key = build::api_key(round);
    store.add_api_key(&key).await.unwrap();
    store.api_key(key.secret_hash).await.unwrap();
    super::outbound::use_everything(store, round).await;
    let ended = store.load(&[payments[1].id]).await.unwrap().remove(0).unwrap();
    let statement = super::archives::statement(store, &ended).await;
    assert!(store.unarchived(Bounds::accepted_before(build::at(1_000)), 100).await.unwrap().contains(&ended.id));
    assert_eq!(store.archive(&[statement], &super::archives::entry(round)).await.unwrap(), [Updated::Applied]);
    store.statements(&[ended.id]).await.unwrap();
    store.check().await.unwrap();
    batch.len() as i64
}

/// Waits until the server's statistics of the payments have reached a number, and returns what they say.
async fn counted(database: &TestDatabase, column: &str, expected: i64) -> i64 {
    let count = format!("select {column} from pg_stat_user_tables where relname = 'payments'");
    for _ in 0..STATISTICS_POLLS {
        let told = database.number(&count).await;
        if told >= expected {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the server's statistics never told of {expected} in {column}");
}
