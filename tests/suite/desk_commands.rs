//! The operators' commands that read across merchants, and those that say who operates: as a person types them.

use fincore_tests::database::TestDatabase;
use fincore_tests::process::Program;
use fincore_tests::world::World;
use serde_json::Value;
use workflow::port::audit::{AuditAct, AuditFilter, AuditOutcome};
use workflow::port::operators::Role;

fn program(database: &TestDatabase) -> Program {
    let env = vec![("FINCORE_DATABASE_URL", database.url())];
    Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env }
}

fincore_tests::on_each_database! {
    async fn payments_of_all_merchants_are_listed_and_counted(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let review = world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        world.clock.skip(std::time::Duration::from_millis(1));
        let good = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let program = program(&database);
        let all = program.run(&["list"]);
        assert!(all.find(&good.to_string()) < all.find(&review.to_string()), "newest first:\n{all}");
        let found: Value = serde_json::from_str(&program.run(&["list", "--state", "in_review", "--json"])).unwrap();
        assert_eq!(found["payments"].as_array().unwrap().len(), 1);
        assert_eq!(found["payments"][0]["id"], review.to_string());
        assert_eq!(found["payments"][0]["status"], "in_review");
        let limited: Value = serde_json::from_str(&program.run(&["list", "--limit", "1", "--json"])).unwrap();
        assert_eq!(limited["next"], good.to_string());
        let rest = program.run(&["list", "--after", &good.to_string()]);
        assert!(rest.contains(&review.to_string()) && !rest.contains(&good.to_string()), "{rest}");
        assert_eq!(program.run(&["list", "--error", "nobody_had_this"]), "No payment is like that.\n");
        let stats: Value = serde_json::from_str(&program.run(&["stats", "--json"])).unwrap();
        assert_eq!(stats["open"][0]["status"], "in_review");
        assert_eq!((&stats["recent"]["payments"], &stats["recent"]["came_to"]["succeeded"]), (&2.into(), &1.into()));
        let told = program.run(&["stats"]);
        assert!(told.contains("in_review") && told.contains("1 succeeded, 1 under_way"), "{told}");
    }

    async fn operators_are_added_listed_given_passwords_and_shut_out(database: TestDatabase) {
        database.migrate().await;
        let (program, store) = (program(&database), database.desk().await.operators);
        let added = program.run(&["operators", "add", "Ada", "--role", "operator"]);
        let password = |printed: &str| -> secrecy::SecretString {
            let line = printed.lines().find_map(|line| line.strip_prefix("password")).expect("they have one");
            line.trim().to_owned().into()
        };
        let ada = store.operator("ada").await.unwrap().expect("names are in lower case");
        assert_eq!(ada.role, Role::Operator);
        let opens = |password: &secrecy::SecretString, operator: &workflow::port::operators::Operator| {
            ops::password::compare(password, operator.password_hash.as_ref()) == ops::password::Match::Yes
        };
        assert!(opens(&password(&added), &ada));
        let taken = program.print(&["operators", "add", "ada"]);
        assert!(!taken.is_success && taken.complaint.contains("operators password ada"), "{}", taken.complaint);
        program.run(&["operators", "disable", "ada"]);
        assert!(store.operator("ada").await.unwrap().unwrap().disabled_at.is_some());
        let another = program.run(&["operators", "password", "ada"]);
        let ada = store.operator("ada").await.unwrap().unwrap();
        assert!(ada.disabled_at.is_none() && opens(&password(&another), &ada) && !opens(&password(&added), &ada));
        program.run(&["operators", "add", "bob@example.com", "--no-password"]);
        let listed = program.run(&["operators", "list", "--json"]);
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = listed.iter().map(|one| (one["name"].as_str().unwrap(), one["password"] == true)).collect();
        assert_eq!(told, [("ada", true), ("bob@example.com", false)]);
        assert!(!program.run(&["operators", "list"]).contains("$argon2id"));
        let unknown = program.print(&["operators", "disable", "nobody"]);
        assert!(!unknown.is_success && unknown.complaint.contains("nobody is called nobody"), "{}", unknown.complaint);
        let entries = database.store().await.entries(&AuditFilter::default(), None, 10).await.unwrap();
        let told: Vec<_> = entries
            .iter()
            .rev()
            .map(|entry| (entry.act, entry.subject.as_deref().unwrap(), entry.outcome == AuditOutcome::Done))
            .collect();
        assert_eq!(
            told,
            [
                (AuditAct::AddOperator, "ada", true),
                (AuditAct::AddOperator, "ada", false),
                (AuditAct::DisableOperator, "ada", true),
                (AuditAct::ChangeOperator, "ada", true),
                (AuditAct::AddOperator, "bob@example.com", true),
                (AuditAct::DisableOperator, "nobody", false),
            ]
        );
        for bad in ["", "ada lovelace", "<b>"] {
            assert!(!program.print(&["operators", "add", bad]).is_success, "{bad}");
        }
    }
}
