//! Redis is not there, stalls, or is killed in the middle of a run: it changes speed and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fincore_tests::process::free_port;
use fincore_tests::redis::{OwnRedis, TestRedis, connected, until_it_answers};
use fincore_tests::world::{Process, World};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workflow::definition::State;
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::port::breakers::{BreakerNews, Breakers, Told};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::moves::{Moved, Moves};
use workflow::port::rate_limits::{Drawn, RateLimit, RateLimits};
use workflow::port::store::Store;
use workflow::port::views::{View, Views};
use workflow::shared::Shared;
use workflow_redis::{RedisOptions, RedisShared};

/// Clients that charge and wait at the same time.
const CLIENTS: usize = 8;
/// Charges of each.
const CHARGES: usize = 20;
/// What a call may take at most, by default.
const PATIENCE: Duration = Duration::from_millis(50);
/// What a machine that does other things as well may add to it.
const SLACK: Duration = Duration::from_millis(450);

fn payment() -> PaymentId {
    PaymentId::new(SystemClock.now(), [rand::random(), rand::random()])
}

/// One call of each port, and how long the slowest took.
async fn slowest_call(shared: &RedisShared) -> Duration {
    let id = payment();
    let view = View { merchant_id: MerchantId::new(SystemClock.now(), [1, 2]), seq: 1, body: "{}".to_owned() };
    let key = ApiKeyId::new(SystemClock.now(), [3, 4]);
    let mut slowest = Duration::ZERO;
    let mut timed = |begun: Instant| slowest = slowest.max(begun.elapsed());
    let begun = Instant::now();
    shared.tell("psp", Told { id: 1, news: BreakerNews::Closed }).await;
    timed(begun);
    let begun = Instant::now();
    shared.latest("psp").await;
    timed(begun);
    let begun = Instant::now();
    assert!(matches!(shared.draw(key, RateLimit { per_second: 9, burst: 9_000 }).await, Drawn::Allowed(_)));
    timed(begun);
    let begun = Instant::now();
    shared.announce(Moved { payment_id: id, seq: 1, state: State::Created }).await;
    timed(begun);
    let begun = Instant::now();
    shared.fill(id, view).await;
    timed(begun);
    let begun = Instant::now();
    shared.get(id).await;
    timed(begun);
    slowest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stalls_costs_its_callers_a_bounded_moment_and_is_used_again_when_it_goes_on() {
    let Some(server) = OwnRedis::start() else { return };
    let shared = connected(server.part().options(PATIENCE)).await;
    server.stall();
    let first = slowest_call(&shared).await;
    assert!(first <= PATIENCE + SLACK, "{first:?}");
    let begun = Instant::now();
    let calls = 200;
    for _ in 0..calls {
        slowest_call(&shared).await;
    }
    assert!(begun.elapsed() < PATIENCE + SLACK, "after the first, {calls} rounds took {:?}", begun.elapsed());
    server.go_on();
    until_it_answers(&shared).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_never_there_is_no_error_and_limits_hold_within_the_process() {
    let nowhere = TestRedis { url: format!("redis://127.0.0.1:{}", free_port()), prefix: "own".to_owned() };
    let shared = RedisShared::open(nowhere.options(PATIENCE), Arc::new(SystemClock)).unwrap();
    let key = ApiKeyId::new(SystemClock.now(), [3, 4]);
    let mut allowed = 0;
    for _ in 0..50 {
        allowed +=
            usize::from(matches!(shared.draw(key, RateLimit { per_second: 1, burst: 7 }).await, Drawn::Allowed(_)));
    }
    assert!((7..=9).contains(&allowed), "{allowed}");
    assert!(slowest_call(&shared).await <= PATIENCE + SLACK);
    for bad in ["", "localhost", "http://localhost", "redis://:secret@/x/y:z"] {
        let Err(error) = RedisShared::open(RedisOptions::new(bad.into()), Arc::new(SystemClock)) else { continue };
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_password_of_its_own_opens_a_redis_that_is_closed_without() {
    let Some(server) = OwnRedis::start() else { return };
    server.part().run::<()>(&["CONFIG", "SET", "requirepass", "a token"]).await;
    let options = |password: Option<&str>| RedisOptions {
        password: password.map(Into::into),
        ..server.part().options(Duration::from_secs(2))
    };
    connected(options(Some("a token"))).await;
    for wrong in [None, Some("another")] {
        let shared = RedisShared::open(options(wrong), Arc::new(SystemClock)).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let told = Told { id: 1, news: BreakerNews::Closed };
        shared.tell("is_it_there", told).await;
        assert!(shared.latest("is_it_there").await.is_none(), "{wrong:?} opens it");
    }
}

/// Creates charges one after the other, each time waiting for the end.
async fn charge_and_wait(world: Arc<World>, client: usize, ended: Arc<AtomicUsize>) {
    for charge in 0..CHARGES {
        let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
        let request = world.http.post(format!("http://{}/v1/charges", world.api));
        let request = request.bearer_auth(world.secret.expose_secret()).json(&body).timeout(Duration::from_secs(90));
        let request = request.header("Idempotency-Key", format!("{client}-{charge}")).header("Prefer", "wait=60");
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["preference-applied"]),
            (202, &"wait=60".parse().unwrap())
        );
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["status"], "succeeded", "{answer}");
        let (_, shown) = world.get(&format!("/v1/charges/{}", answer["id"].as_str().unwrap())).await;
        assert_eq!(shown, answer, "nobody is shown less than before");
        ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits until so many charges have ended.
async fn until_ended(ended: &AtomicUsize, number: usize) {
    let begun = Instant::now();
    while ended.load(Ordering::SeqCst) < number {
        assert!(begun.elapsed() < Duration::from_secs(120), "the run stands still at {}", ended.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn killed_in_the_middle(store: Arc<dyn Store>) {
    let Some(mut server) = OwnRedis::start() else { return };
    let part = server.part();
    let (one, other) = (connected(part.options(PATIENCE)).await, connected(part.options(PATIENCE)).await);
    let world = World::over(Arc::clone(&store)).await;
    let api = Arc::new(world.beside(Arc::clone(&store), Process::sharing(Shared::all_in(one.clone()))).await);
    let works = world.beside(store, Process::sharing(Shared::all_in(other.clone()))).await;
    let (stop, ended) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let working = tokio::spawn({
        let (worker, stop) = (works.worker.clone(), stop.clone());
        async move { worker.run(stop).await }
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(charge_and_wait(Arc::clone(&api), client, Arc::clone(&ended))))
        .collect();
    until_ended(&ended, 30).await;
    server.kill();
    until_ended(&ended, 60).await;
    server.restart();
    until_ended(&ended, 90).await;
    server.stall();
    until_ended(&ended, 120).await;
    server.go_on();
    server.restart();
    for client in clients {
        client.await.unwrap();
    }
    stop.cancel();
    working.await.unwrap();
    let payments = world.store.walk(None, 1_000).await.unwrap();
    assert_eq!(payments.len(), CLIENTS * CHARGES);
    assert!(payments.iter().all(|payment| payment.state == State::Succeeded));
    // Used again: what one process shows, the other finds.
    until_it_answers(&one).await;
    until_it_answers(&other).await;
    api.get(&format!("/v1/charges/{}", payments[0].id)).await;
    assert!(other.get(payments[0].id).await.is_some());
    world.finish().await;
}

fincore_tests::on_each_database! {
    async fn redis_killed_in_the_middle_of_a_run_changes_speed_and_nothing_else(database: TestDatabase) {
        killed_in_the_middle(database.store().await).await;
    }
}
