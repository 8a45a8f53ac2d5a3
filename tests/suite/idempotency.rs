//! Requests that are repeated: while the first is under way, right after it, and long after it.

use std::time::{Duration, Instant};

use activities::sweeper::Sweeper;
use axum::http::HeaderMap;
use fincore_tests::crash::{Crash, CrashStore};
use fincore_tests::database::TestDatabase;
use fincore_tests::world::World;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const MONTH: Duration = Duration::from_hours(30 * 24);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

async fn post(world: &World, path: &str, key: &str, body: &str) -> Answer {
    let request = world.http.post(format!("http://{}{path}", world.api)).bearer_auth(world.secret.expose_secret());
    let request = request.header("Idempotency-Key", key).header("Content-Type", "application/json");
    let response = request.body(body.to_owned()).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

const BODY: &str = r#"{"amount":1200,"currency":"eur","payment_method":"pm_card_visa","metadata":{"a":"1","b":"2"}}"#;

crate::on_each_store! {
    async fn the_same_request_in_other_words_gets_the_first_answer_byte_for_byte(world: World) {
        let first = post(&world, "/v1/charges", "k", BODY).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::ACCEPTED, ""));
        world.work().await;
        for same in [
            BODY,
            r#" { "payment_method" : "pm_card_visa", "metadata": {"b":"2","a":"1"}, "currency":"EUR", "amount":1200 } "#,
            r#"{"amount":1200,"currency":"eur","payment_method":"\u0070m_card_visa","metadata":{"a":"1","b":"2"},"capture_method":"automatic","description":null}"#,
        ] {
            let again = post(&world, "/v1/charges", "k", same).await;
            assert_eq!((again.status, &again.text), (first.status, &first.text), "{same}");
            assert_eq!((again.header("idempotency-replayed"), again.header("idempotency-answer")), ("true", ""));
            assert_eq!(again.header("location"), first.header("location"));
        }
        for other in [BODY.replace("1200", "1201"), BODY.replace("\"2\"", "\"3\""), BODY.replace("eur", "usd")] {
            let refused = post(&world, "/v1/charges", "k", &other).await;
            assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
        }
        // A number has one notation, so no other can be another name for the same request.
        for number in ["1200.0", "1.2e3", "12e2", "\"1200\""] {
            assert_eq!(post(&world, "/v1/charges", "k", &BODY.replace("1200", number)).await.status, StatusCode::BAD_REQUEST, "{number}");
        }
        assert_eq!(world.store.walk(None, 10).await.unwrap().len(), 1);
        world.work().await;
        world.finish().await;
    }

    async fn a_key_belongs_to_one_merchant_and_one_route(world: World) {
        let stranger = World::over(std::sync::Arc::clone(&world.store)).await;
        let manual = BODY.replace("1200,", "1200,\"capture_method\":\"manual\",");
        let ids = [post(&world, "/v1/charges", "k", &manual).await, post(&world, "/v1/charges", "l", &manual).await, post(&stranger, "/v1/charges", "k", BODY).await]
            .map(|answer| answer.json()["id"].as_str().unwrap().to_owned());
        assert!(ids[0] != ids[1] && ids[0] != ids[2]);
        world.work().await;
        for path in [format!("/v1/charges/{}/capture", ids[0]), format!("/v1/charges/{}/cancel", ids[1])] {
            let done = post(&world, &path, "k", "{}").await;
            assert_eq!((done.status, done.header("idempotency-replayed")), (StatusCode::ACCEPTED, ""), "{path}");
            let again = post(&world, &path, "k", "").await;
            assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &done.text), "{path}");
        }
        for world in [&world, &stranger] {
            world.work_patiently().await;
        }
    }

    async fn answers_are_kept_for_thirty_days_and_keys_for_ever(world: World) {
        let first = post(&world, "/v1/charges", "k", BODY).await;
        world.work().await;
        let sweeper = Sweeper::new(std::sync::Arc::clone(&world.engine), std::sync::Arc::clone(&world.psps));
        world.clock.skip(MONTH - Duration::from_secs(1));
        assert_eq!(sweeper.drop_answers().await.unwrap(), 0);
        assert_eq!(post(&world, "/v1/charges", "k", BODY).await.text, first.text);
        let young = post(&world, "/v1/charges", "young", BODY).await;
        world.clock.skip(Duration::from_secs(2));
        assert_eq!(sweeper.drop_answers().await.unwrap(), 1);
        let late = post(&world, "/v1/charges", "k", BODY).await;
        assert_eq!((late.status, &late.json()["id"]), (first.status, &first.json()["id"]));
        assert_eq!(late.json()["status"], "succeeded", "it shows the charge as it stands now");
        assert_eq!((late.header("idempotency-replayed"), late.header("idempotency-answer")), ("true", "expired"));
        let other = post(&world, "/v1/charges", "k", &BODY.replace("1200", "1201")).await;
        assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(post(&world, "/v1/charges", "young", BODY).await.text, young.text);
        world.clock.skip(Duration::from_hours(24 * 3_650));
        assert_eq!(sweeper.drop_answers().await.unwrap(), 1);
        assert_eq!(post(&world, "/v1/charges", "young", BODY).await.json()["id"], young.json()["id"]);
        assert_eq!(world.store.walk(None, 10).await.unwrap().len(), 2, "however late, it makes no second charge");
        world.work_patiently().await;
        world.finish().await;
    }

    async fn answers_are_dropped_the_oldest_first_and_a_few_at_a_time(world: World) {
        for number in 0..5 {
            post(&world, "/v1/charges", &format!("k{number}"), BODY).await;
            world.clock.skip(Duration::from_secs(1));
        }
        let now = workflow::port::clock::Clock::now(world.clock.as_ref());
        assert_eq!(world.store.drop_answers(now, 2).await.unwrap(), 2);
        for number in 0..5 {
            let expected = if number < 2 { "expired" } else { "" };
            assert_eq!(post(&world, "/v1/charges", &format!("k{number}"), BODY).await.header("idempotency-answer"), expected, "k{number}");
        }
        assert_eq!(world.store.drop_answers(now, 10).await.unwrap(), 3);
        assert_eq!(world.store.drop_answers(now, 10).await.unwrap(), 0);
        world.work_patiently().await;
    }
}

/// The first request never comes to an end; who repeats it is not kept waiting with it.
async fn a_repetition_of_what_is_under_way_is_told_to_come_back(database: TestDatabase) {
    let store = CrashStore::new(database.store().await, Crash::BeforeWrite, 1);
    let world = std::sync::Arc::new(World::over(store.clone()).await);
    let first = tokio::spawn({
        let world = std::sync::Arc::clone(&world);
        async move { post(&world, "/v1/charges", "k", BODY).await }
    });
    store.died.cancelled().await;
    let begun = Instant::now();
    let again = post(&world, "/v1/charges", "k", BODY).await;
    assert_eq!((again.status, &again.json()["code"]), (StatusCode::CONFLICT, &json!("idempotency_key_in_use")));
    assert_eq!((again.header("retry-after"), &again.json()["retryable"]), ("1", &json!(true)));
    assert!(begun.elapsed() >= Duration::from_secs(1), "it waits a little first");
    assert!(begun.elapsed() < Duration::from_secs(10));
    first.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_of_what_is_under_way_is_told_to_come_back_on_sqlite() {
    a_repetition_of_what_is_under_way_is_told_to_come_back(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_of_what_is_under_way_is_told_to_come_back_on_postgres() {
    if let Some(database) = TestDatabase::postgres().await {
        a_repetition_of_what_is_under_way_is_told_to_come_back(database).await;
    }
}

/// On PostgreSQL another process may be storing the key: its transaction holds the key's place in the index.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_process_is_storing_is_in_use() {
    for database in TestDatabase::each_way_to_postgres().await {
        let world = World::over(database.store().await).await;
        let by_the_other = format!(
            "insert into idempotency_keys (merchant_id, route, key, fingerprint, payment_id, status, created_at_us)
            values ('{}', 'POST /v1/charges', 'k', sha256(''), gen_random_uuid(), 202, 0)",
            world.merchant.uuid()
        );
        let other = database.open_transaction(&by_the_other).await;
        let answer = post(&world, "/v1/charges", "k", BODY).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::CONFLICT, &json!("idempotency_key_in_use")));
        assert_eq!(answer.header("retry-after"), "1");
        // It dies before it commits.
        drop(other);
        let mut answer = post(&world, "/v1/charges", "k", BODY).await;
        for _ in 0..50 {
            if answer.status == StatusCode::ACCEPTED {
                break;
            }
            answer = post(&world, "/v1/charges", "k", BODY).await;
        }
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (StatusCode::ACCEPTED, ""));
        world.work().await;
        world.finish().await;
    }
}
