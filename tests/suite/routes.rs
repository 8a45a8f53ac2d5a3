//! Every route there is, by the OpenAPI document that the code writes: what a stranger, a key without the scope, and nobody
//! at all get there. A new route comes into these tests by itself, and fails them until its parameters have a fixture.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fincore_tests::crash::CrashStore;
use fincore_tests::database::TestDatabase;
use fincore_tests::world::World;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use workflow::ids::ApiKeyId;
use workflow::port::clock::Clock;
use workflow::port::store::{ApiKey, Mode, Scope, Scopes};

/// Routes without an API key. Whoever adds one says so here.
const OPEN: [&str; 6] =
    ["GET /healthz", "GET /metrics", "GET /openapi.json", "GET /problems", "GET /readyz", "POST /v1/webhooks/{psp}"];

/// Something of the world's merchant for each collection whose members have routes, and an id of the same kind that
/// names nothing. One line for each collection.
async fn fixtures(world: &World) -> BTreeMap<&'static str, [String; 2]> {
    let endpoint = made(world, "/v1/webhook_endpoints", json!({"url": "https://example.com/hooks"})).await;
    let captured = world.charge("pm_card_visa", "automatic").await;
    world.work().await;
    let charge = world.charge("pm_card_visa", "manual").await;
    let refund = made(world, &format!("/v1/charges/{captured}/refunds"), json!({})).await;
    let (_, deliveries) = world.get(&format!("/v1/webhook_endpoints/{endpoint}/deliveries")).await;
    let event = deliveries["data"][0]["event"].as_str().expect("the endpoint is told of charges").to_owned();
    let nothing = |prefix: &str, last: u8| format!("{prefix}_0000000000007000800000000000000{last}");
    BTreeMap::from([
        ("charges", [charge.to_string(), nothing("ch", 2)]),
        ("refunds", [refund, nothing("re", 1)]),
        ("webhook_endpoints", [endpoint, nothing("we", 1)]),
        ("deliveries", [event.clone(), nothing("evt", 1)]),
        ("events", [event, nothing("evt", 1)]),
    ])
}

/// Makes something, and returns its id.
async fn made(world: &World, path: &str, body: Value) -> String {
    let (status, made) = world.post(path, "fixture", &body).await;
    assert!(status.is_success(), "{made}");
    made["id"].as_str().expect("what is made has an id").to_owned()
}

/// Bodies of the routes that take nothing less.
fn body(operation: &str) -> Value {
    match operation {
        "POST /v1/charges" => json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"}),
        "POST /v1/webhook_endpoints" => json!({"url": "https://example.com/hooks"}),
        _whatever_has_no_required_field => json!({}),
    }
}

/// A route that needs a key.
struct Route {
    method: Method,
    template: String,
    scope: Scope,
}

impl Route {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// The path with every parameter filled in: `{id}` behind `charges` with the id of a charge, and so on.
    fn path(&self, fixtures: &BTreeMap<&'static str, [String; 2]>, which: usize) -> String {
        let mut path = String::new();
        let mut before = "";
        for segment in self.template.split('/').skip(1) {
            let fixture = segment.starts_with('{').then(|| {
                let known = fixtures
                    .get(before)
                    .unwrap_or_else(|| panic!("{}: no fixture for {before}/{segment}", self.name()));
                known[which].as_str()
            });
            path = format!("{path}/{}", fixture.unwrap_or(segment));
            before = segment;
        }
        path
    }

    fn is_about_one_thing(&self) -> bool {
        self.template.contains('{')
    }
}

/// All routes that need a key, each with its scope.
fn routes() -> Vec<Route> {
    let document: Value = serde_json::from_str(&api::openapi_json()).unwrap();
    let (mut routes, mut open) = (Vec::new(), Vec::new());
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let name = format!("{method} {template}");
            let Some(security) = operation["security"].as_array().filter(|schemes| !schemes.is_empty()) else {
                open.push(name);
                continue;
            };
            let [scope] = security[0]["api_key"].as_array().unwrap().as_slice() else {
                panic!("{name} has no one scope")
            };
            let scope = scope.as_str().unwrap().parse().unwrap();
            routes.push(Route { method, template: template.clone(), scope });
        }
    }
    open.sort();
    assert_eq!(open, OPEN, "routes without a key");
    assert!(routes.len() >= 7, "the document has the routes");
    routes
}

struct Answer {
    status: StatusCode,
    headers: Vec<String>,
    text: String,
}

impl Answer {
    fn problem(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// All that a client can tell one refusal from another by.
    fn told(&self) -> (StatusCode, &[String], Value) {
        let mut problem = self.problem();
        problem.as_object_mut().unwrap().remove("request_id").expect("every problem names its request");
        (self.status, &self.headers, problem)
    }
}

async fn send(world: &World, route: &Route, path: &str, secret: Option<&SecretString>) -> Answer {
    let mut request = world.http.request(route.method.clone(), format!("http://{}{path}", world.api));
    if let Some(secret) = secret {
        request = request.bearer_auth(secret.expose_secret());
    }
    if route.method != Method::GET {
        request = request.header("Idempotency-Key", "the-same").json(&body(&route.name()));
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let mut headers: Vec<String> = response.headers().keys().map(ToString::to_string).collect();
    headers.sort();
    Answer { status, headers, text: response.text().await.unwrap() }
}

async fn key_with(world: &World, scopes: Scopes) -> SecretString {
    let id = ApiKeyId::new(world.clock.now(), [rand::random(), rand::random()]);
    let (secret, key) = api::new_api_key(rand::random(), Mode::Test, id, world.merchant, world.clock.now());
    world.store.add_api_key(&ApiKey { scopes, ..key }).await.unwrap();
    secret
}

crate::on_each_store! {
    async fn what_is_anothers_is_to_a_stranger_what_is_not_there(world: World) {
        let fixtures = fixtures(&world).await;
        let stranger = World::over(Arc::clone(&world.store)).await;
        for route in routes() {
            let (theirs, nothing) = (route.path(&fixtures, 0), route.path(&fixtures, 1));
            if !route.is_about_one_thing() {
                // What the stranger makes under a key that the owner has used is the stranger's own.
                let (own, answer) = (send(&world, &route, &theirs, Some(&world.secret)).await, send(&stranger, &route, &theirs, Some(&stranger.secret)).await);
                assert!(own.status.is_success() && answer.status.is_success(), "{}: {} {}", route.name(), own.text, answer.text);
                if route.method == Method::GET {
                    assert_eq!(answer.problem()["data"], json!([]), "{}", route.name());
                } else {
                    assert_ne!(own.problem()["id"], answer.problem()["id"], "{}", route.name());
                }
                continue;
            }
            let answer = send(&stranger, &route, &theirs, Some(&stranger.secret)).await;
            let missing = send(&stranger, &route, &nothing, Some(&stranger.secret)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", route.name());
            assert_eq!(answer.told(), missing.told(), "{}", route.name());
            // The owner's answer under this very key is not the stranger's either.
            send(&world, &route, &theirs, Some(&world.secret)).await;
            let again = send(&stranger, &route, &theirs, Some(&stranger.secret)).await;
            assert_eq!(again.told(), missing.told(), "{}", route.name());
        }
        for world in [&world, &stranger] {
            world.work_patiently().await;
        }
    }

    async fn a_key_opens_nothing_beyond_its_scopes_and_no_key_opens_anything(world: World) {
        let fixtures = fixtures(&world).await;
        let unknown = SecretString::from(format!("fc_test_{}", "0".repeat(64)));
        for route in routes() {
            let lacks: Scopes = Scope::iter().filter(|held| ![*held].into_iter().collect::<Scopes>().allow(route.scope)).collect();
            let lacking = key_with(&world, lacks).await;
            let only = key_with(&world, [route.scope].into_iter().collect()).await;
            for which in [0, 1] {
                let path = route.path(&fixtures, which);
                let refused = send(&world, &route, &path, Some(&lacking)).await;
                assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", route.name());
                assert_eq!(refused.problem()["code"], "scope_missing", "{}", route.name());
                assert!(refused.problem()["detail"].as_str().unwrap().contains(<&str>::from(route.scope)), "{}", refused.text);
                let nobody = send(&world, &route, &path, None).await;
                assert_eq!((nobody.status, &nobody.problem()["code"]), (StatusCode::UNAUTHORIZED, &json!("api_key_missing")));
                let somebody = send(&world, &route, &path, Some(&unknown)).await;
                assert_eq!((somebody.status, &somebody.problem()["code"]), (StatusCode::UNAUTHORIZED, &json!("api_key_invalid")));
            }
            let enough = send(&world, &route, &route.path(&fixtures, 1), Some(&only)).await;
            assert!(![StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&enough.status), "{}: {}", route.name(), enough.text);
        }
        world.work_patiently().await;
    }
}

#[tokio::test]
async fn a_stranger_causes_the_same_work_as_somebody_who_guesses() {
    let database = TestDatabase::sqlite();
    let counted = CrashStore::counting(database.store().await);
    let world = World::over(counted.clone()).await;
    let fixtures = fixtures(&world).await;
    let stranger = World::over(counted.clone()).await;
    for route in routes().iter().filter(|route| route.is_about_one_thing()) {
        let mut calls = [0_usize; 2];
        // Warm, so that the key is known both times.
        send(&stranger, route, &route.path(&fixtures, 1), Some(&stranger.secret)).await;
        for which in [0, 1] {
            let before = counted.calls.load(Ordering::SeqCst);
            send(&stranger, route, &route.path(&fixtures, which), Some(&stranger.secret)).await;
            calls[which] = counted.calls.load(Ordering::SeqCst) - before;
        }
        assert_eq!(calls[0], calls[1], "{}", route.name());
    }
}
