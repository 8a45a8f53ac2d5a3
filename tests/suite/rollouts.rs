//! Two releases on one database, as a rollout has them: which of them starts, and what it says.
//!
//! Not here: what a store makes of each schema (`store_conformance/schema.rs`).

use fincore_tests::database::TestDatabase;
use fincore_tests::process::{Program, free_port};
use fincore_tests::site::PATIENCE;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET, http_client};
use reqwest::StatusCode;

fn program(database: &TestDatabase) -> Program {
    let env = vec![
        ("FINCORE_DATABASE_URL", database.url()),
        ("FINCORE_LISTEN", "127.0.0.1:0".to_owned()),
        ("FINCORE_STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
        ("FINCORE_STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
    ];
    Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env }
}

async fn readiness(listen: &str) -> Option<StatusCode> {
    let answer = http_client().get(format!("http://{listen}/readyz")).send().await;
    answer.ok().map(|answer| answer.status())
}

async fn until_readiness_is(listen: &str, status: StatusCode) {
    let is = async {
        while readiness(listen).await != Some(status) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is).await.expect("it comes to say so");
}

fincore_tests::on_each_database! {
    async fn a_program_goes_on_in_a_newer_database_until_that_is_contracted(database: TestDatabase) {
        let program = program(&database);
        assert!(program.run(&["migrate"]).contains("has the schema of fincore"));
        let known = database.number("select max(version) from _sqlx_migrations").await;
        database.migrate_further("create table things_to_come (id bigint primary key)").await;
        let told = program.run(&["migrate"]);
        let newer = format!("Nothing to do: the database has the schema of a newer release, up to migration {}", known + 1);
        assert!(told.contains(&newer) && told.contains(&format!("up to {known} and can use it")), "{told}");
        program.run(&["keys", "create"]);
        assert!(program.run(&["verify"]).contains("0 broken"));
        let contract = format!("update oldest_program set knows_migration = {}; drop table things_to_come", known + 1);
        database.migrate_further(&contract).await;
        for command in [&["migrate"][..], &["verify"], &["serve"]] {
            let refused = program.print(command);
            let what = format!("it takes programs that know migration {}", known + 1);
            assert!(!refused.is_success && refused.complaint.contains(&what), "{command:?}: {}", refused.complaint);
            assert!(refused.complaint.contains("start the release that migrated it"), "{}", refused.complaint);
        }
    }

    async fn a_program_that_runs_gets_no_requests_when_the_database_is_contracted_under_it(database: TestDatabase) {
        let mut program = program(&database);
        let listen = format!("127.0.0.1:{}", free_port());
        program.env.push(("FINCORE_LISTEN", listen.clone()));
        program.run(&["migrate"]);
        let _running = program.start(&["serve"]);
        until_readiness_is(&listen, StatusCode::OK).await;
        let known = database.migrate_further("create table things_to_come (id bigint primary key)").await - 1;
        assert_eq!(readiness(&listen).await, Some(StatusCode::OK));
        database.migrate_further(&format!("update oldest_program set knows_migration = {}", known + 1)).await;
        until_readiness_is(&listen, StatusCode::SERVICE_UNAVAILABLE).await;
    }

    async fn a_program_before_its_migrations_says_what_to_run(database: TestDatabase) {
        let refused = program(&database).print(&["verify"]);
        assert!(!refused.is_success && refused.complaint.contains("run `fincore migrate`"), "{}", refused.complaint);
    }
}
