//! Two releases on one database, as a rollout has them: which of them starts, and what it says.
//!
//! Not here: what a store makes of each schema (`store_conformance/schema.rs`).

use fincore_tests::database::TestDatabase;
use fincore_tests::process::Program;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET};

fn program(database: &TestDatabase) -> Program {
    let env = vec![
        ("FINCORE_DATABASE_URL", database.url()),
        ("FINCORE_LISTEN", "127.0.0.1:0".to_owned()),
        ("FINCORE_STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
        ("FINCORE_STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
    ];
    Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env }
}

/// Migrates the database further than this program knows.
async fn migrate_further(database: &TestDatabase, number: i64, sql: &str) {
    let noted = format!(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        select {number}, 'later', success, checksum, execution_time from _sqlx_migrations where version = 1"
    );
    database.execute(sql).await.unwrap();
    database.execute(&noted).await.unwrap();
}

fincore_tests::on_each_database! {
    async fn a_program_goes_on_in_a_newer_database_until_that_is_contracted(database: TestDatabase) {
        let program = program(&database);
        assert!(program.run(&["migrate"]).contains("has the schema of fincore"));
        let known = database.number("select max(version) from _sqlx_migrations").await;
        migrate_further(&database, known + 1, "create table things_to_come (id bigint primary key)").await;
        let told = program.run(&["migrate"]);
        let newer = format!("Nothing to do: the database has the schema of a newer release, up to migration {}", known + 1);
        assert!(told.contains(&newer) && told.contains(&format!("up to {known} and can use it")), "{told}");
        program.run(&["keys", "create"]);
        assert!(program.run(&["verify"]).contains("0 broken"));
        let contract = format!("update oldest_program set knows_migration = {}; drop table things_to_come", known + 1);
        migrate_further(&database, known + 2, &contract).await;
        for command in [&["migrate"][..], &["verify"], &["serve"]] {
            let refused = program.print(command);
            let what = format!("it takes programs that know migration {}", known + 1);
            assert!(!refused.is_success && refused.complaint.contains(&what), "{command:?}: {}", refused.complaint);
            assert!(refused.complaint.contains("start the release that migrated it"), "{}", refused.complaint);
        }
    }

    async fn a_program_before_its_migrations_says_what_to_run(database: TestDatabase) {
        let refused = program(&database).print(&["verify"]);
        assert!(!refused.is_success && refused.complaint.contains("run `fincore migrate`"), "{}", refused.complaint);
    }
}
