//! Several processes with one Redis, and a Redis that holds what nobody of us wrote.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use activities::gateway::breaker::BreakerPolicy;
use activities::gateway::client::{Account, Connections, PspClient};
use fincore_tests::crash::CrashStore;
use fincore_tests::database::TestDatabase;
use fincore_tests::redis::TestRedis;
use fincore_tests::shared::Pair;
use fincore_tests::world::{Process, World};
use reqwest::StatusCode;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::definition::State;
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::port::breakers::{BreakerNews, Breakers, Told};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::gateway::{Method, Operation, Outcome, Request};
use workflow::port::moves::{Moved, Moves, News};
use workflow::port::rate_limits::{Drawn, RateLimit, RateLimits};
use workflow::port::views::{View, Views};
use workflow::shared::Shared;

/// The longest that a key may live.
const LONGEST_LIFE_MS: i64 = 60_000;

fn payment() -> PaymentId {
    PaymentId::new(SystemClock.now(), [rand::random(), rand::random()])
}

fn merchant() -> MerchantId {
    MerchantId::new(SystemClock.now(), [rand::random(), rand::random()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_that_opened_in_one_process_keeps_calls_of_another_from_the_psp() {
    let Some(redis) = TestRedis::find() else { return };
    let pair = Pair::on(&redis).await;
    let down = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).expect(3).mount(&down).await;
    let connections = Connections::new().unwrap();
    let process = |shared: &Shared| {
        let account = Account::bearer("psp", &down.uri(), "sk_test_0123456789".into()).unwrap();
        let policy = BreakerPolicy { no_answers_to_open: 3, ..BreakerPolicy::default() };
        PspClient::sharing(&connections, account, Arc::new(SystemClock), policy).among(Arc::clone(&shared.breakers))
    };
    let call = async |client: &PspClient| {
        let request =
            Request { method: Method::Get, path: "/v1/x".to_owned(), headers: Vec::new(), body: String::new() };
        client.send(Operation::Authorize, request, Duration::from_secs(20)).await
    };
    let first = process(&pair.one);
    for _ in 0..3 {
        assert_eq!(call(&first).await.unwrap().status, 503);
    }
    let refused = call(&process(&pair.other)).await;
    assert!(
        matches!(&refused, Err(Outcome::NotSent { why, retry_after_ms: Some(1..=5_000) }) if why.starts_with("circuit breaker open")),
        "{refused:?}"
    );
    down.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keys_limit_holds_over_all_processes_and_not_for_webhooks() {
    let Some(redis) = TestRedis::find() else { return };
    let pair = Pair::on(&redis).await;
    let database = TestDatabase::sqlite();
    let world = World::over(database.store().await).await;
    let limit = Some(RateLimit { per_second: 1, burst: 6 });
    let limited = |shared: Shared| Process { rate_limit: limit, ..Process::sharing(shared) };
    let here = world.beside(Arc::clone(&world.store), limited(pair.one)).await;
    let there = world.beside(Arc::clone(&world.store), limited(pair.other)).await;
    let mut allowed = 0;
    for _ in 0..6 {
        for process in [&here, &there] {
            let (status, body) = process.get("/v1/charges").await;
            allowed += usize::from(status == StatusCode::OK);
            assert!(status == StatusCode::OK || body["code"] == "rate_limited", "{status} {body}");
        }
    }
    assert!((6..=9).contains(&allowed), "12 requests in a moment, 6 are the burst, and {allowed} got through");
    for _ in 0..20 {
        assert_eq!(
            here.deliver_signed(b"{}".to_vec(), "t=1,v1=00").await,
            StatusCode::BAD_REQUEST,
            "read, not counted"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_poll_are_spared_the_database_and_see_every_move_at_once() {
    let Some(redis) = TestRedis::find() else { return };
    let pair = Pair::on(&redis).await;
    let database = TestDatabase::sqlite();
    let world = World::over(database.store().await).await;
    let counted = CrashStore::counting(Arc::clone(&world.store));
    let here = world.beside(counted.clone(), Process::sharing(pair.one)).await;
    let there = world.beside(Arc::clone(&world.store), Process::sharing(pair.other)).await;
    let id = world.charge("pm_card_visa", "manual").await;
    let path = format!("/v1/charges/{id}");
    for _ in 0..50 {
        assert_eq!(here.get(&path).await.1["status"], "created");
    }
    let reads = counted.loads.load(Ordering::SeqCst);
    assert!(reads <= 10, "{reads} reads for 50 requests");
    there.work().await;
    assert_eq!(here.get(&path).await.1["status"], "authorized", "moved by the other process");
    let (status, captured) = there.post(&format!("{path}/capture"), "capture", &json!({})).await;
    assert_eq!((status, &here.get(&path).await.1), (StatusCode::ACCEPTED, &captured), "read your writes, anywhere");
    there.work().await;
    assert_eq!(here.get(&path).await.1["status"], "succeeded");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_view_is_shown_to_nobody_else() {
    let Some(redis) = TestRedis::find() else { return };
    let pair = Pair::on(&redis).await;
    let database = TestDatabase::sqlite();
    let world = World::over(database.store().await).await;
    let owner = world.beside(Arc::clone(&world.store), Process::sharing(pair.one.clone())).await;
    // Another merchant, on the same database.
    let stranger = World::over(Arc::clone(&world.store)).await;
    let stranger = stranger.beside(Arc::clone(&world.store), Process::sharing(pair.other)).await;
    let id = world.charge("pm_card_visa", "automatic").await;
    let path = format!("/v1/charges/{id}");
    let (_, shown) = owner.get(&path).await;
    assert!(pair.one.views.get(id).await.is_some(), "it is cached");
    let (status, problem) = stranger.get(&path).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("charge_not_found")));
    assert_eq!(owner.get(&path).await.1, shown);
    world.work().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_of_us_wrote_is_ignored() {
    let Some(redis) = TestRedis::find() else { return };
    let shared = redis.process().await;
    let database = TestDatabase::sqlite();
    let world = World::over(database.store().await).await;
    let process = world.beside(Arc::clone(&world.store), Process::sharing(Shared::all_in(shared.clone()))).await;
    let id = world.charge("pm_card_visa", "automatic").await;
    let (path, key) = (format!("/v1/charges/{id}"), redis.view_key(id));
    let (_, truth) = world.get(&path).await;
    let merchant = world.merchant.to_string();
    let forged = truth.to_string().replace("created", "succeeded").replace(&id.to_string(), &payment().to_string());
    let bodies = ["", "garbage", "null", "[]", r#"{"id":7,"object":"charge"}"#, &forged, "\u{0}\u{1}"];
    for body in bodies {
        redis.run::<()>(&["DEL", &key]).await;
        redis.run::<()>(&["HSET", &key, "seq", "9", "merchant", &merchant, "body", body]).await;
        assert_eq!(process.get(&path).await, (StatusCode::OK, truth.clone()), "{body:?}");
    }
    for hash in [["seq", "x", "merchant", &merchant], ["seq", "9", "merchant", "mer_1"], ["seq", "", "body", "x"]] {
        redis.run::<()>(&["DEL", &key]).await;
        redis.run::<()>(&[&["HSET", &key], hash.as_slice()].concat()).await;
        assert_eq!(process.get(&path).await, (StatusCode::OK, truth.clone()), "{hash:?}");
    }
    // Of another type: moves and fills replace it.
    redis.run::<()>(&["DEL", &key]).await;
    redis.run::<()>(&["SET", &key, "garbage"]).await;
    assert_eq!(process.get(&path).await, (StatusCode::OK, truth.clone()));
    assert_eq!(redis.run::<String>(&["TYPE", &key]).await, "hash");
    redis.run::<()>(&["SET", &key, "garbage"]).await;
    process.work().await;
    assert_eq!(process.get(&path).await.1["status"], "succeeded");
    // A process of its own: the one above has a listener already.
    garbage_in_counts_breakers_and_news(&redis, &*redis.process().await).await;
    world.finish().await;
}

async fn garbage_in_counts_breakers_and_news<T: Breakers + RateLimits + Moves>(redis: &TestRedis, shared: &T) {
    let key = ApiKeyId::new(SystemClock.now(), [1, rand::random()]);
    let limit = RateLimit { per_second: 1, burst: 2 };
    for garbage in ["x", "", "-1", "9e300", "99999999999999999999"] {
        redis.run::<()>(&["SET", &redis.key("rate", &key.to_string()), garbage]).await;
        let drawn = shared.draw(key, limit).await;
        assert!(matches!(drawn, Drawn::Allowed(quota) if quota.remaining == 1), "{garbage}: {drawn:?}");
    }
    redis.run::<()>(&["DEL", &redis.key("rate", &key.to_string())]).await;
    redis.run::<()>(&["LPUSH", &redis.key("rate", &key.to_string()), "x"]).await;
    let mut allowed = 0;
    for _ in 0..5 {
        allowed += usize::from(matches!(shared.draw(key, limit).await, Drawn::Allowed(_)));
    }
    assert_eq!(allowed, 2, "counted by this process alone");
    for garbage in ["", "opened", "opened 1 2 3", "closed x"] {
        redis.run::<()>(&["SET", &redis.key("breaker", "psp"), garbage, "PX", "60000"]).await;
        assert_eq!(shared.latest("psp").await, None, "{garbage}");
    }
    redis.run::<()>(&["SET", &redis.key("breaker", "psp"), "opened 1 20"]).await;
    assert_eq!(shared.latest("psp").await, None, "without an end, it is none of ours");
    assert_eq!(shared.next().await, News::Missed, "the subscription begins");
    let channel = format!("{}:moves", redis.prefix);
    let moved = Moved { payment_id: payment(), seq: 2, state: State::Failed };
    for garbage in ["", "x y z", &format!("{} 2 no_such_state", moved.payment_id)] {
        redis.run::<()>(&["PUBLISH", &channel, garbage]).await;
    }
    shared.announce(moved).await;
    assert_eq!(shared.next().await, News::Moved(moved), "the first that makes sense");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_has_our_prefix_and_a_time_to_live() {
    let Some(redis) = TestRedis::find() else { return };
    let shared = redis.process().await;
    let (id, news) = (payment(), BreakerNews::Opened { pause_ms: 60_000, remaining_ms: 60_000 });
    shared.tell("open", Told { id: 1, news }).await;
    shared.tell("closed", Told { id: 1, news: BreakerNews::Closed }).await;
    let key = ApiKeyId::new(SystemClock.now(), [1, rand::random()]);
    for _ in 0..3 {
        shared.draw(key, RateLimit { per_second: 1, burst: 50 }).await;
    }
    shared.fill(id, View { merchant_id: merchant(), seq: 1, body: "{}".to_owned() }).await;
    shared.announce(Moved { payment_id: payment(), seq: 2, state: State::Failed }).await;
    let keys: Vec<String> = redis.run(&["KEYS", &format!("{}*", redis.prefix)]).await;
    // One that the connection was tried with is among them.
    assert_eq!(keys.len(), 6, "{keys:?}");
    for key in keys {
        assert!(key.starts_with(&format!("{}:", redis.prefix)), "{key}");
        let lives_ms: i64 = redis.run(&["PTTL", &key]).await;
        assert!((1..=LONGEST_LIFE_MS).contains(&lives_ms), "{key} lives for {lives_ms}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_overtaken_by_a_move_leaves_nothing_stale_behind() {
    let Some(redis) = TestRedis::find() else { return };
    let pair = Pair::on(&redis).await;
    let database = TestDatabase::sqlite();
    let world = World::over(database.store().await).await;
    let here = Arc::new(world.beside(Arc::clone(&world.store), Process::sharing(pair.one)).await);
    let there = world.beside(Arc::clone(&world.store), Process::sharing(pair.other)).await;
    for _ in 0..10 {
        let id = world.charge("pm_card_visa", "automatic").await;
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let here = Arc::clone(&here);
                tokio::spawn(async move {
                    for _ in 0..30 {
                        here.get(&format!("/v1/charges/{id}")).await;
                    }
                })
            })
            .collect();
        there.work().await;
        let (_, body) = here.get(&format!("/v1/charges/{id}")).await;
        assert_eq!(body["status"], "succeeded", "every move was announced before the work was done");
        for reader in readers {
            reader.await.unwrap();
        }
        assert_eq!(here.get(&format!("/v1/charges/{id}")).await.1["status"], "succeeded", "whoever filled last");
    }
    world.finish().await;
}
