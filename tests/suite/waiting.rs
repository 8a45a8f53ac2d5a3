//! Clients that wait for a charge instead of asking again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use fincore_tests::crash::CrashStore;
use fincore_tests::database::TestDatabase;
use fincore_tests::shared::Pair;
use fincore_tests::world::{Process, World};
use futures_util::StreamExt;
use reqwest::{Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::port::store::Store;
use workflow::shared::Shared;

/// Clients that wait at the same time.
const CROWD: usize = 2_000;
/// Rounds of waking somebody from another process.
const ROUNDS: usize = 15;

/// A GET that waits, in a task of its own.
fn waiting(world: &World, id: PaymentId, seconds: u64) -> tokio::task::JoinHandle<(StatusCode, Value)> {
    asking(world, &format!("/v1/charges/{id}?wait={seconds}"))
}

fn asking(world: &World, path: &str) -> tokio::task::JoinHandle<(StatusCode, Value)> {
    let url = format!("http://{}{path}", world.api);
    let request = world.http.get(url).bearer_auth(world.secret.expose_secret()).timeout(Duration::from_secs(90));
    tokio::spawn(async move {
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    })
}

/// A POST, perhaps with a preference.
async fn charge(world: &World, key: &str, prefer: Option<&str>) -> Response {
    let request = world.http.post(format!("http://{}/v1/charges", world.api)).bearer_auth(world.secret.expose_secret());
    let request = request.header("Idempotency-Key", key).timeout(Duration::from_secs(90));
    let request = prefer.into_iter().fold(request, |request, value| request.header("Prefer", value));
    let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
    request.json(&body).send().await.unwrap()
}

fn rows(list: &Value) -> usize {
    list["data"].as_array().unwrap().len()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

on_each_store! {
    async fn an_answer_waits_until_the_charge_has_ended_or_somebody_has_to_act(world: World) {
        for (payment_method, capture_method, status) in [
            ("pm_card_visa", "automatic", "succeeded"),
            ("pm_card_chargeDeclined", "automatic", "failed"),
            ("pm_card_visa", "manual", "authorized"),
            ("pm_card_authenticationRequired", "manual", "requires_action"),
        ] {
            let id = world.charge(payment_method, capture_method).await;
            let waiting = waiting(&world, id, 60);
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!waiting.is_finished(), "nothing has happened yet");
            world.work().await;
            let (answered, body) = waiting.await.unwrap();
            assert_eq!((answered, &body["status"]), (StatusCode::OK, &json!(status)), "{payment_method}");
            let (_, again) = world.get(&format!("/v1/charges/{id}?wait=60")).await;
            assert_eq!(again, body, "what rests is answered at once");
        }
    }

    async fn a_wait_ends_in_time_with_the_charge_as_it_stands(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let begun = Instant::now();
        let (status, body) = world.get(&format!("/v1/charges/{id}?wait=1")).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("created")));
        assert!(begun.elapsed() >= Duration::from_secs(1));
        let (status, problem) = world.get(&format!("/v1/charges/{id}?wait=61")).await;
        assert_eq!((status, &problem["param"]), (StatusCode::BAD_REQUEST, &json!("wait")));
        let (status, _) = world.get("/v1/charges/ch_0197f3c2a1b47c6e8d5f00112233aaba?wait=60").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "nobody waits for what is not there");
        world.work().await;
        world.finish().await;
    }

    async fn a_charge_can_be_shown_with_its_history_of_the_same_moment(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let path = format!("/v1/charges/{id}");
        let (_, at_once) = world.get(&format!("{path}?expand=history")).await;
        assert_eq!((&at_once["status"], rows(&at_once["history"])), (&json!("created"), 1));

        let waiting = asking(&world, &format!("{path}?expand=history&wait=60"));
        world.work().await;
        let (_, expanded) = waiting.await.unwrap();
        assert_eq!((&expanded["status"], &expanded["history"]["url"]), (&json!("succeeded"), &json!(format!("{path}/history"))));
        let (_, whole) = world.get(&format!("{path}/history")).await;
        let shown = rows(&expanded["history"]);
        assert_eq!(expanded["history"]["data"][shown - 1]["to"], "succeeded", "the history ends as the charge stands");
        assert_eq!(expanded["history"]["data"].as_array().unwrap()[..], whole["data"].as_array().unwrap()[..shown]);

        let (_, plain) = world.get(&path).await;
        assert_eq!(plain.get("history"), None, "nobody asked for it");
        let (status, problem) = world.get(&format!("{path}?expand=customer")).await;
        assert_eq!((status, &problem["param"]), (StatusCode::BAD_REQUEST, &json!("expand")));
        world.finish().await;
    }

    async fn a_creation_that_waits_shows_the_end_and_changes_no_stored_answer(world: World) {
        let stop = CancellationToken::new();
        let working = tokio::spawn({
            let (worker, stop) = (world.worker.clone(), stop.clone());
            async move { worker.run(stop).await }
        });
        let waited = charge(&world, "one", Some("respond-async, wait=60")).await;
        stop.cancel();
        working.await.unwrap();
        assert_eq!((waited.status(), header(&waited, "preference-applied")), (StatusCode::ACCEPTED, "wait=60"));
        assert_eq!((header(&waited, "retry-after"), header(&waited, "content-type")), ("1", "application/json"));
        let location = header(&waited, "location").to_owned();
        let ended: Value = waited.json().await.unwrap();
        assert_eq!(location, format!("/v1/charges/{}", ended["id"].as_str().unwrap()));
        assert_eq!(ended["status"], "succeeded");

        let plain = charge(&world, "one", None).await;
        assert_eq!((header(&plain, "idempotency-replayed"), header(&plain, "preference-applied")), ("true", ""));
        assert_eq!(header(&plain, "location"), location);
        let stored = plain.text().await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&stored).unwrap()["status"], "created", "the first answer");

        let again = charge(&world, "one", Some("wait=5")).await;
        assert_eq!((header(&again, "idempotency-replayed"), header(&again, "preference-applied")), ("true", "wait=5"));
        assert_eq!(again.json::<Value>().await.unwrap(), ended, "who waits is shown how it stands");
        assert_eq!(charge(&world, "one", None).await.text().await.unwrap(), stored, "byte for byte");
        world.finish().await;
    }

    async fn stopping_ends_every_wait(world: World) {
        let stop = CancellationToken::new();
        let shared = Shared::alone(Arc::clone(&world.clock) as Arc<dyn Clock>);
        let process = Process { stop: stop.clone(), ..Process::sharing(shared) };
        let process = world.beside(Arc::clone(&world.store), process).await;
        let id = world.charge("pm_card_visa", "automatic").await;
        let waits: Vec<_> = (0..20).map(|_| waiting(&process, id, 60)).collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begun = Instant::now();
        stop.cancel();
        for wait in waits {
            assert_eq!(wait.await.unwrap().1["status"], "created");
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        world.work().await;
        world.finish().await;
    }
}

/// A request past the sockets, of which a machine may not allow thousands.
async fn send(world: &World, request: axum::http::request::Builder, body: Value) -> Value {
    let request: Request<Body> = request
        .header("authorization", format!("Bearer {}", world.secret.expose_secret()))
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    serde_json::from_slice(&to_bytes(response.into_body(), 65_536).await.unwrap()).unwrap()
}

async fn create(world: &World, number: usize) -> String {
    let request = Request::post("/v1/charges").header("idempotency-key", format!("create-{number}"));
    let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
    send(world, request, body).await["id"].as_str().unwrap().to_owned()
}

/// Ends a charge that nobody has worked on yet.
async fn cancel(world: &World, id: &str) {
    let request = Request::post(format!("/v1/charges/{id}/cancel")).header("idempotency-key", "cancel");
    assert_eq!(send(world, request, json!({})).await["status"], "canceled");
}

/// Two processes over one database.
async fn two_processes(pair: &Pair, one: Arc<dyn Store>, other: Arc<dyn Store>) -> (World, World) {
    let world = World::over(Arc::clone(&other)).await;
    let here = world.beside(one, Process::sharing(pair.one.clone())).await;
    let there = world.beside(other, Process::sharing(pair.other.clone())).await;
    (here, there)
}

fincore_tests::on_each_backend! {
    async fn a_crowd_that_waits_polls_no_database_and_is_woken_from_another_process(pair: Pair) {
        let database = TestDatabase::sqlite();
        let store = CrashStore::counting(database.store().await);
        let (here, there) = two_processes(&pair, store.clone(), database.unmigrated_store().await).await;
        let (here, there) = (Arc::new(here), Arc::new(there));
        let ids: Vec<String> =
            futures_util::stream::iter(0..CROWD).map(|number| create(&there, number)).buffer_unordered(64).collect().await;
        let waits: Vec<_> = ids.iter().cloned().map(|id| {
            let here = Arc::clone(&here);
            tokio::spawn(async move { send(&here, Request::get(format!("/v1/charges/{id}?wait=60")), json!({})).await })
        }).collect();
        // Everybody has come, and all that follows is waiting.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = store.loads.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let while_waiting = store.loads.load(Ordering::SeqCst) - before;
        assert!(while_waiting < 100, "{CROWD} clients that wait for 3 s cost {while_waiting} reads");
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        let ended = Instant::now();
        futures_util::stream::iter(&ids).map(|id| cancel(&there, id)).buffer_unordered(64).collect::<Vec<_>>().await;
        for wait in waits {
            assert_eq!(wait.await.unwrap()["status"], "canceled");
        }
        let at_the_end = store.loads.load(Ordering::SeqCst) - before - while_waiting;
        eprintln!("{while_waiting} reads in 3 s, {at_the_end} at the end, which took {:?}", ended.elapsed());
        assert!(at_the_end <= CROWD + 500, "{at_the_end} reads at the end");
    }

    async fn who_waits_is_woken_at_once_by_a_move_in_another_process(pair: Pair) {
        let database = TestDatabase::sqlite();
        let (here, there) = two_processes(&pair, database.store().await, database.unmigrated_store().await).await;
        let mut took = Vec::new();
        for number in 0..ROUNDS {
            let id = create(&there, number).await;
            let waiting = waiting(&here, id.parse().unwrap(), 60);
            // Rounds end at different times of the second in which everybody looks again.
            tokio::time::sleep(Duration::from_millis(60 + 37 * (number as u64 % 7))).await;
            assert!(!waiting.is_finished());
            let begun = Instant::now();
            cancel(&there, &id).await;
            assert_eq!(waiting.await.unwrap().1["status"], "canceled");
            took.push(begun.elapsed());
        }
        took.sort();
        eprintln!("woken after {took:?}");
        assert!(took[ROUNDS / 2] < Duration::from_millis(300), "that is no waking, that is looking again: {took:?}");
    }
}
