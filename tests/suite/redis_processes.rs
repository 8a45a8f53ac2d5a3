//! The program as it is deployed: an API and a worker in processes of their own, with one Redis between them.

use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::process::{Program, free_port};
use fincore_tests::redis::OwnRedis;
use fincore_tests::world::{SECRET_KEY, WEBHOOK_SECRET, http_client};
use sandbox::Sandbox;
use serde_json::{Value, json};

/// How long a process may take to start.
const START: Duration = Duration::from_secs(30);

struct Client {
    api: String,
    secret: String,
    http: reqwest::Client,
}

impl Client {
    /// Charges and waits for the end.
    async fn charge(&self, key: &str) -> Value {
        let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
        let request = self.http.post(format!("{}/v1/charges", self.api)).bearer_auth(&self.secret).json(&body);
        let request = request.header("Idempotency-Key", key).header("Prefer", "wait=25");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()["preference-applied"], "wait=25");
        response.json().await.unwrap()
    }

    async fn until_ready(&self) {
        let begun = Instant::now();
        while self.http.get(format!("{}/readyz", self.api)).send().await.is_err() {
            assert!(begun.elapsed() < START, "the API does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_and_a_worker_share_one_redis_and_go_on_when_it_is_killed() {
    let Some(mut redis) = OwnRedis::start() else { return };
    let database = TestDatabase::sqlite();
    let sandbox = Sandbox::start(sandbox::Config {
        secret_key: SECRET_KEY.to_owned(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
        ..sandbox::Config::default()
    })
    .await
    .unwrap();
    let api = format!("127.0.0.1:{}", free_port());
    let program = Program {
        binary: env!("CARGO_BIN_EXE_fincore-under-test"),
        env: vec![
            ("FINCORE_DATABASE_URL", database.url()),
            ("FINCORE_LISTEN", api.clone()),
            ("FINCORE_REDIS_URL", redis.part().url),
            ("FINCORE_REDIS_PREFIX", redis.part().prefix),
            ("FINCORE_RATE_LIMIT_PER_SECOND", "100".to_owned()),
            ("FINCORE_STRIPE_URL", sandbox.url().to_owned()),
            ("FINCORE_STRIPE_SECRET_KEY", SECRET_KEY.to_owned()),
            ("FINCORE_STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
        ],
    };
    program.run(&["migrate"]);
    let created = program.run(&["keys", "create"]);
    let secret = created.lines().find_map(|line| line.strip_prefix("secret")).unwrap().trim().to_owned();
    let (serving, working) = (program.start(&["serve"]), program.start(&["work"]));
    let client = Client { api: format!("http://{api}"), secret, http: http_client() };
    client.until_ready().await;

    let charge = client.charge("with").await;
    assert_eq!(charge["status"], "succeeded");
    let id: workflow::ids::PaymentId = charge["id"].as_str().unwrap().parse().unwrap();
    let seq: Option<i64> = redis.part().run(&["HGET", &redis.part().view_key(id), "seq"]).await;
    assert!(seq.is_some(), "both have left their marks");
    redis.kill();
    for number in 0..3 {
        assert_eq!(client.charge(&format!("without-{number}")).await["status"], "succeeded");
    }
    redis.restart();
    assert_eq!(client.charge("again").await["status"], "succeeded");
    assert!(serving.terminate().await && working.terminate().await, "SIGTERM ends both well");
    assert!(program.run(&["verify"]).contains("0 broken"));
}
