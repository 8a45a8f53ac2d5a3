//! Clients that follow a charge by server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fincore_tests::database::TestDatabase;
use fincore_tests::site::{Site, Webhooks, Workers};
use fincore_tests::world::{Process, World};
use futures_util::StreamExt;
use reqwest::{Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::shared::Shared;

/// Longer than any step of these tests takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Clients that follow at the same time, and the charges they follow.
const CROWD: usize = 2_000;
const FOLLOWED: usize = 200;

/// Memory that a stream may cost the server.
const KIB_A_STREAM: u64 = 64;

/// A stream as a browser reads it.
struct Events {
    response: Response,
    text: String,
    read: VecDeque<Event>,
}

#[derive(Debug, PartialEq)]
struct Event {
    id: i64,
    kind: String,
    data: Value,
}

async fn ask(world: &World, id: PaymentId, last_event_id: Option<&str>) -> Response {
    let request = world.http.get(format!("http://{}/v1/charges/{id}/events", world.api));
    let request = request.bearer_auth(world.secret.expose_secret()).timeout(Duration::from_secs(120));
    let request = last_event_id.into_iter().fold(request, |request, id| request.header("Last-Event-ID", id));
    request.send().await.unwrap()
}

async fn follow(world: &World, id: PaymentId, last_event_id: Option<&str>) -> Events {
    let response = ask(world, id, last_event_id).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    Events { response, text: String::new(), read: VecDeque::new() }
}

impl Events {
    /// The next event; none when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(id), Some(kind), Some(data)) = (field("id:"), field("event:"), field("data:")) {
                    let data = serde_json::from_str(data).unwrap();
                    self.read.push_back(Event { id: id.parse().unwrap(), kind: kind.to_owned(), data });
                }
                self.text = rest.to_owned();
            }
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("in time").unwrap();
            self.text.push_str(std::str::from_utf8(&chunk?).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// The whole history as the API lists it.
async fn history(world: &World, id: PaymentId) -> Vec<Event> {
    let (_, list) = world.get(&format!("/v1/charges/{id}/history")).await;
    let event = |row: &Value| Event {
        id: row["seq"].as_i64().unwrap(),
        kind: row["event"].as_str().unwrap().to_owned(),
        data: row.clone(),
    };
    list["data"].as_array().unwrap().iter().map(event).collect()
}

crate::on_each_store! {
    async fn each_move_is_told_once_as_it_happens_and_the_stream_ends_with_the_charge(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        let mut events = follow(&world, id, None).await;
        let first = events.next().await.unwrap();
        assert_eq!((first.id, first.kind.as_str(), &first.data["to"]), (1, "started", &json!("created")));
        world.work().await;
        for kind in ["attempt_started", "registered", "authorized"] {
            assert_eq!(events.next().await.unwrap().kind, kind);
        }
        let (status, _) = world.post(&format!("/v1/charges/{id}/capture"), "all", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        assert_eq!(events.next().await.unwrap().kind, "capture_requested");
        world.work().await;
        let rest = events.rest().await;
        assert_eq!(rest.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["attempt_started", "captured"]);
        assert_eq!(follow(&world, id, Some("0")).await.rest().await, history(&world, id).await, "it can be told again");
        world.finish().await;
    }

    async fn who_was_cut_off_goes_on_without_gaps_or_repetitions(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let mut seen = vec![follow(&world, id, None).await.next().await.unwrap()];
        world.work().await;
        loop {
            // One event a connection.
            let last = seen.last().unwrap().id.to_string();
            let response = ask(&world, id, Some(&last)).await;
            if response.status() == StatusCode::NO_CONTENT {
                break;
            }
            let mut events = Events { response, text: String::new(), read: VecDeque::new() };
            seen.push(events.next().await.unwrap());
        }
        assert_eq!(seen, history(&world, id).await);
        for (bad, param) in [("-1", "Last-Event-ID"), ("x", "Last-Event-ID"), ("7000", "Last-Event-ID")] {
            let refused = ask(&world, id, Some(bad)).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad}");
            assert_eq!(refused.json::<Value>().await.unwrap()["param"], param);
        }
        world.finish().await;
    }

    async fn a_revoked_key_follows_nothing_any_more(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        let mut events = follow(&world, id, None).await;
        events.next().await.unwrap();
        let key = world.store.api_key(api::secret_hash(world.secret.expose_secret())).await.unwrap().unwrap();
        world.store.revoke_api_key(key.id, world.clock.now()).await.unwrap();
        // What is known of a key is believed for a while, by this clock.
        world.clock.skip(Duration::from_secs(3));
        let revoked = Instant::now();
        assert_eq!(events.next().await, None);
        assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
        world.work_patiently().await;
    }

    async fn a_process_that_stops_ends_its_streams(world: World) {
        let stop = CancellationToken::new();
        let shared = Shared::alone(Arc::clone(&world.clock) as Arc<dyn Clock>);
        let process = Process { stop: stop.clone(), ..Process::sharing(shared) };
        let stopping = world.beside(Arc::clone(&world.store), process).await;
        let id = world.charge("pm_card_visa", "manual").await;
        let mut events = follow(&stopping, id, None).await;
        events.next().await.unwrap();
        stop.cancel();
        let asked = Instant::now();
        assert_eq!(events.next().await, None);
        assert!(asked.elapsed() < Duration::from_secs(2));
        world.work_patiently().await;
        world.finish().await;
    }
}

fincore_tests::on_each_backend! {
    async fn a_move_in_another_process_is_told_at_once(pair: Pair) {
        let database = TestDatabase::sqlite();
        let there = World::over(database.store().await).await;
        let here = there.beside(database.unmigrated_store().await, Process::sharing(pair.one.clone())).await;
        let there = there.beside(database.unmigrated_store().await, Process::sharing(pair.other.clone())).await;
        let mut took = Vec::new();
        for round in 0..9_u64 {
            let id = there.charge("pm_card_visa", "manual").await;
            let mut events = follow(&here, id, None).await;
            events.next().await.unwrap();
            // Rounds end at different times of the second in which everybody looks again.
            tokio::time::sleep(Duration::from_millis(60 + 37 * (round % 7))).await;
            let begun = Instant::now();
            there.post(&format!("/v1/charges/{id}/cancel"), "c", &json!({})).await;
            assert_eq!(events.next().await.unwrap().kind, "cancel_requested");
            took.push(begun.elapsed());
        }
        took.sort();
        eprintln!("told after {took:?}");
        assert!(took[4] < Duration::from_millis(300), "that is no waking, that is looking again: {took:?}");
    }
}

/// Real connections to a real process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_clients_follow_on_one_process() {
    let database = TestDatabase::sqlite();
    let site = Site::build(&database, crate::plan(Workers::Inside, None, Webhooks::Lost)).await;
    let mut processes = site.start();
    let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa", "capture_method": "manual"});
    let charges = futures_util::stream::iter(0..FOLLOWED).map(|number| {
        let (site, body, key) = (&site, &body, format!("key {number}"));
        async move { site.charge(&key, body).await }
    });
    let ids: Vec<PaymentId> = charges.buffer_unordered(16).collect().await;
    let before = processes[0].resident_kib();
    let http = fincore_tests::world::http_client();
    let open = |number: usize| {
        let url = format!("{}/v1/charges/{}/events", site.api, ids[number % FOLLOWED]);
        let request = http.get(url).bearer_auth(&site.secret).timeout(Duration::from_secs(300));
        async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let mut events = Events { response, text: String::new(), read: VecDeque::new() };
            while events.next().await.unwrap().kind != "authorized" {}
            events
        }
    };
    let streams = futures_util::stream::iter((0..CROWD).map(open));
    let streams: Vec<Events> = streams.buffer_unordered(64).collect().await;
    let cost = processes[0].resident_kib().saturating_sub(before);
    eprintln!("{CROWD} streams cost the server {cost} KiB, {:.1} KiB each", cost as f64 / CROWD as f64);
    assert!(cost / (CROWD as u64) < KIB_A_STREAM, "{CROWD} streams cost {cost} KiB");
    let begun = Instant::now();
    for id in &ids {
        let request = http.post(format!("{}/v1/charges/{id}/cancel", site.api)).bearer_auth(&site.secret);
        let answer = request.header("Idempotency-Key", "cancel").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }
    for stream in streams {
        let told = stream.rest().await;
        assert_eq!(told.last().unwrap().data["to"], "canceled", "{told:?}");
        assert!(told.windows(2).all(|pair| pair[1].id == pair[0].id + 1), "without gaps: {told:?}");
    }
    eprintln!("all were told of the end within {:.1?}", begun.elapsed());
    assert!(processes.remove(0).terminate().await);
}
