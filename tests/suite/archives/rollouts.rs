//! The previous release beside this one, on a database from which histories were archived: it reports what it does not know, and
//! breaks nothing.

use std::time::Duration;

use fincore_tests::database::TestDatabase;
use fincore_tests::previous;
use fincore_tests::process::{Program, free_port};
use fincore_tests::site::PATIENCE;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET, http_client};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::port::clock::Clock as _;

use super::Archive;

/// The previous release's program on this database, with the world's PSP.
fn previous_program(binary: &'static str, archive: &Archive, database: &TestDatabase, listen: &str) -> Program {
    let env = vec![
        ("FINCORE_DATABASE_URL", database.url()),
        ("FINCORE_LISTEN", listen.to_owned()),
        ("FINCORE_PSP", "sandbox".to_owned()),
        ("FINCORE_STRIPE_URL", archive.world.sandbox.url().to_owned()),
        ("FINCORE_STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
        ("FINCORE_STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
    ];
    Program { binary, env }
}

async fn beside(database: &TestDatabase, binary: &'static str) {
    let archive = Archive::over(database).await;
    let world = &archive.world;
    let [told_late, refunded] = archive.charges(2).await[..] else { panic!() };
    let seq = world.payment(told_late).await.seq;
    assert_eq!(archive.remove()["removed"], 2);
    let listen = format!("127.0.0.1:{}", free_port());
    let old = previous_program(binary, &archive, database, &listen);
    let running = old.start(&["serve", "--with-worker"]);
    let ready = async {
        let url = format!("http://{listen}/readyz");
        while !http_client().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("a release that knows no archives starts on them");
    // The old one takes late news and a refund, and works on it.
    for event in world.events(told_late).await {
        let signature = sandbox::sign(WEBHOOK_SECRET, world.clock.now().as_second(), &event.body);
        let sent = http_client().post(format!("http://{listen}/v1/webhooks/sandbox")).body(event.body.to_vec());
        let sent = sent.header("Stripe-Signature", signature).header("Content-Type", "application/json").send().await;
        assert_eq!(sent.unwrap().status(), StatusCode::OK);
    }
    let asked = http_client().post(format!("http://{listen}/v1/charges/{refunded}/refunds"));
    let asked =
        asked.bearer_auth(world.secret.expose_secret()).header("Idempotency-Key", "r").json(&json!({"amount": 500}));
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    let refund = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
    let has_ended = async {
        while world.payment(refund).await.state != State::Succeeded
            || world.payment(refunded).await.amount_refund_pending_minor > 0
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, has_ended).await.expect("the old release's worker ends it");
    let (_, history) = world.get(&format!("/v1/charges/{told_late}/history")).await;
    assert_eq!(history["data"][0]["seq"], seq + 1, "what it wrote is chained to what went: {history}");
    assert!(running.terminate().await, "SIGTERM ends the process well");
    let verified = old.print(&["verify"]);
    assert!(!verified.is_success && verified.text.contains("2 broken"), "it knows no archives: {}", verified.text);
    assert!(old.run(&["audit"]).contains("histories-"), "it can read the log");
    assert!(old.run(&["show", &told_late.to_string()]).contains("HASH CHAIN BROKEN"));
    archive.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_release_goes_on_beside_an_archive_on_postgres() {
    let (Some(binary), Some(database)) = (previous::program(), TestDatabase::postgres().await) else { return };
    beside(&database, binary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_previous_release_goes_on_beside_an_archive_on_sqlite() {
    let Some(binary) = previous::program() else { return };
    beside(&TestDatabase::sqlite(), binary).await;
}
