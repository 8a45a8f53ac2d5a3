//! Migrations, the check for them, and the lists that repeat the definition.

use fincore_tests::build;
use fincore_tests::database::TestDatabase;
use workflow::port::schema::Schema;
use workflow::port::store::{Started, StoreError};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn an_unmigrated_database_is_told_apart(database: TestDatabase) {
        let store = database.unmigrated_store().await;
        let missing = refused(store.check().await);
        assert!(missing.contains("migration 1 is missing") && missing.contains("fincore migrate"), "{missing}");
        database.migrate().await;
        store.check().await.unwrap();
        assert_eq!(store.start(&[build::new_payment(build::payment(1))]).await.unwrap(), [Started::Created]);
    }

    async fn migrating_twice_and_side_by_side_is_harmless(database: TestDatabase) {
        tokio::join!(database.migrate(), database.migrate(), database.migrate());
        database.store().await.check().await.unwrap();
    }

    async fn another_schema_is_told_apart(database: TestDatabase) {
        let store = database.store().await;
        let changed = "update _sqlx_migrations set checksum = installed where version = 2";
        let changed = changed.replace("installed", if database.is_postgres() { "'\\x00'" } else { "x'00'" });
        database.execute(&changed).await.unwrap();
        assert!(refused(store.check().await).contains("migration 2 is another one"));
        database.execute("delete from _sqlx_migrations where version >= 2").await.unwrap();
        assert!(refused(store.check().await).contains("migration 2 is missing"));
    }

    async fn a_later_schema_can_be_used_until_it_is_contracted(database: TestDatabase) {
        let store = database.store().await;
        let known = match store.check().await.unwrap() {
            Schema::Own => database.number("select max(version) from _sqlx_migrations").await,
            newer @ Schema::Newer { .. } => panic!("{newer:?}"),
        };
        database.migrate_further("alter table payments add column colour text").await;
        assert_eq!(store.check().await.unwrap(), Schema::Newer { known, applied: known + 1 });
        assert_eq!(store.start(&[build::new_payment(build::payment(1))]).await.unwrap(), [Started::Created]);
        // A program that knows less has nothing to migrate, and takes nothing away.
        database.migrate().await;
        assert_eq!(store.check().await.unwrap(), Schema::Newer { known, applied: known + 1 });
        let contract = format!("update oldest_program set knows_migration = {}", known + 1);
        database.migrate_further(&contract).await;
        let refused = refused(store.check().await);
        assert!(refused.contains(&format!("know migration {}", known + 1)), "{refused}");
        assert!(refused.contains(&format!("up to {known}")) && refused.contains("start the release"), "{refused}");
    }

    async fn the_note_about_programs_is_one_row_and_stays(database: TestDatabase) {
        database.migrate().await;
        let second = "insert into oldest_program (one, knows_migration) values (2, 10)";
        for refused in [second, "insert into oldest_program (knows_migration) values (10)"] {
            assert!(database.execute(refused).await.unwrap_err().to_lowercase().contains("constraint"), "{refused}");
        }
        assert_eq!(database.number("select knows_migration from oldest_program").await, 10);
    }

    async fn the_due_query_uses_its_index(database: TestDatabase) {
        let store = database.store().await;
        super::started(&store, (1..=200).map(build::payment)).await;
        let plan = plan_of_due(&database).await;
        let index = if database.is_postgres() { "payments_wake_hour" } else { "payments_next_wake" };
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("SCAN payments") || plan.contains("USING INDEX"), "{plan}");
    }
}

fn refused(result: Result<Schema, StoreError>) -> String {
    match result {
        Err(StoreError::Refused(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The plan of the statement that the store really uses.
async fn plan_of_due(database: &TestDatabase) -> String {
    let saved = saved_queries(if database.is_postgres() { "postgres" } else { "sqlite" });
    let query = saved.into_iter().find(|query| query.contains("order by next_wake_at_us")).unwrap();
    if database.is_postgres() {
        let explain = format!(
            "set enable_seqscan = off; set enable_bitmapscan = off; set plan_cache_mode = force_generic_plan;
            prepare due as {query}; explain execute due(1, 2, 3, 4, '00000000-0000-0000-0000-000000000000', 6)"
        );
        return database.texts(&explain, "QUERY PLAN").await.join("\n");
    }
    database.texts(&format!("explain query plan {query}"), "detail").await.join("\n")
}

/// The statements of a store, as its crate saves them for building without a database.
pub(crate) fn saved_queries(store: &str) -> Vec<String> {
    let folder = format!("{}/../workflow/{store}/.sqlx", env!("CARGO_MANIFEST_DIR"));
    let query = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let saved: serde_json::Value = serde_json::from_str(&text).unwrap();
        saved["query"].as_str().unwrap().to_owned()
    };
    std::fs::read_dir(folder).unwrap().map(query).collect()
}
