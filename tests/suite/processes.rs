//! Real processes, real databases, `kill -9` at random moments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::process::{Program, free_port};
use rand::{RngExt, SeedableRng};
use sandbox::{EntryKind, Sandbox};
use serde_json::json;
use workflow::definition::{self, State};
use workflow::ids::PaymentId;

/// Charges in one run.
const CHARGES: usize = 200;
/// How often the process is killed in one run.
const KILLS: usize = 8;
/// Leases of killed workers run out after a minute; then there is a little work left.
const PATIENCE: Duration = Duration::from_secs(180);

struct Site {
    program: Program,
    api: String,
    secret: String,
    sandbox: Sandbox,
    http: reqwest::Client,
}

async fn site(database: &TestDatabase) -> Site {
    let port = free_port();
    let api = format!("http://127.0.0.1:{port}");
    let sandbox = Sandbox::start(sandbox::Config {
        secret_key: "sk_test_0123456789abcdef0123456789abcdef".to_owned(),
        webhook_secret: "whsec_0123456789abcdef0123456789abcdef".to_owned(),
        webhook_url: Some(format!("{api}/v1/webhooks/stripe")),
        ..sandbox::Config::default()
    })
    .await
    .unwrap();
    let program = Program {
        binary: env!("CARGO_BIN_EXE_fincore-under-test"),
        env: vec![
            ("FINCORE_DATABASE_URL", database.url()),
            ("FINCORE_LISTEN", format!("127.0.0.1:{port}")),
            ("FINCORE_STRIPE_URL", sandbox.url().to_owned()),
            ("FINCORE_STRIPE_SECRET_KEY", "sk_test_0123456789abcdef0123456789abcdef".to_owned()),
            ("FINCORE_STRIPE_WEBHOOK_SECRET", "whsec_0123456789abcdef0123456789abcdef".to_owned()),
        ],
    };
    program.run(&["migrate"]);
    let created = program.run(&["keys", "create"]);
    let secret = created.lines().find_map(|line| line.strip_prefix("secret")).unwrap().trim().to_owned();
    let http = fincore_tests::world::http_client();
    Site { program, api, secret, sandbox, http }
}

impl Site {
    /// A client that repeats its request, under the same key, until it is accepted.
    async fn charge(&self, number: usize) -> PaymentId {
        let methods =
            ["pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_sandbox_answer_lost", "pm_sandbox_processing"];
        let body =
            json!({"amount": 1000 + number, "currency": "eur", "payment_method": methods[number % methods.len()]});
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let request = self.http.post(format!("{}/v1/charges", self.api)).bearer_auth(&self.secret);
            let sent = request.header("Idempotency-Key", format!("client-{number}")).json(&body).send().await;
            if let Ok(response) = sent
                && response.status() == 202
                && let Ok(charge) = response.json::<serde_json::Value>().await
            {
                return charge["id"].as_str().unwrap().parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("charge {number} was never accepted");
    }
}

async fn every_accepted_charge_ends_once(database: TestDatabase) {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let site = Arc::new(site(&database).await);
    let mut running = site.program.start(&["serve", "--with-worker"]);
    let clients: Vec<_> = (0..CHARGES)
        .map(|number| {
            let (site, start) = (Arc::clone(&site), Duration::from_millis(rng.random_range(0..6_000)));
            tokio::spawn(async move {
                tokio::time::sleep(start).await;
                site.charge(number).await
            })
        })
        .collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_200))).await;
        running.kill();
        running = site.program.start(&["serve", "--with-worker"]);
    }
    let mut ids = Vec::new();
    for client in clients {
        ids.push(client.await.unwrap());
    }
    let store = database.store().await;
    let begun = Instant::now();
    loop {
        let payments = store.load(&ids).await.unwrap();
        let open = payments.iter().flatten().filter(|payment| !definition::has_ended(payment.state)).count();
        if open == 0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{open} charges are still open");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(running.terminate().await, "SIGTERM ends the process well");
    let payments = store.walk(None, 1_000).await.unwrap();
    assert_eq!(payments.len(), CHARGES, "one charge a client");
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    let captured: Vec<_> =
        site.sandbox.ledger().into_iter().filter(|entry| entry.kind == EntryKind::Captured).collect();
    let references: std::collections::HashSet<_> = captured.iter().map(|entry| entry.reference.clone()).collect();
    assert_eq!((captured.len(), references.len()), (CHARGES, CHARGES), "one capture a charge");
    let theirs: i64 = captured.iter().map(|entry| entry.amount_minor).sum();
    let ours: i64 = payments.iter().map(|payment| payment.amount_captured_minor).sum();
    assert_eq!(theirs, ours);
    let verified = site.program.run(&["verify"]);
    assert!(verified.contains("200 payments") && verified.contains("0 broken"), "{verified}");
    let shown = site.program.run(&["show", &ids[0].to_string()]);
    assert!(shown.contains("SUCCEEDED") && shown.contains("hash chain intact"), "{shown}");
}

fincore_tests::on_each_database! {
    async fn killed_at_any_moment_every_accepted_charge_ends_and_is_captured_once(database: TestDatabase) {
        every_accepted_charge_ends_once(database).await;
    }
}
