//! The router from outside, over a store that knows one key and takes new charges, or answers nothing at all. What
//! needs a real database (replays, lists, other merchants' charges) is tested with the whole system.

mod docs;
mod limits;
mod openapi;
mod rate_limits;
mod refusals;
mod store;
mod webhook_endpoints;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use workflow::endpoint_url::Reach;
use workflow::engine::Engine;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::local_queue::NoQueue;
use workflow::money::Money;
use workflow::payment::Payment;
use workflow::port::clock::{Clock, SystemRandom};
use workflow::port::gateway::{
    Answer, Call, Capabilities, Captures, Gateway, Notification, Operation, Outcome, Query, Request as PspRequest,
    Standing, Unreadable, WebhookRefused,
};
use workflow::port::rate_limits::RateLimit;
use workflow::port::store::Mode;
use workflow::shared::Shared;

use crate::{ApiConfig, ApiState, PspOrder, new_api_key};
use store::{Mood, TestStore};

/// The time in these tests, to the second.
const NOW_SECOND: i64 = 1_795_377_420;

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW_SECOND).unwrap()
    }
}

/// Takes webhooks that are signed `good`, and panics over those that are signed `panic`.
struct TestGateway;

impl Gateway for TestGateway {
    fn psp(&self) -> &str {
        "test"
    }

    fn capabilities(&self) -> Capabilities {
        let (query, captures) = (Query::ByReference, Captures::OncePartly);
        Capabilities { key_lifetime_ms: u64::MAX, key_max_bytes: 255, query, captures }
    }

    fn supports(&self, _money: Money) -> Result<(), String> {
        Ok(())
    }

    fn needs_registration(&self, _payment: &Payment) -> bool {
        false
    }

    fn known_standing(&self, _payment: &Payment) -> Option<Standing> {
        None
    }

    fn request(&self, _call: Call<'_>) -> PspRequest {
        unreachable!("the API calls no PSP")
    }

    fn read(&self, _operation: Operation, _payment: &Payment, _answer: &Answer) -> Outcome {
        unreachable!("the API calls no PSP")
    }

    fn verify(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        _now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, WebhookRefused> {
        match header("signature").as_deref() {
            Some("good") => Ok(vec![body.to_vec()]),
            Some("panic") => panic!("4242424242424242"),
            Some(_) => Err(WebhookRefused::SignatureMismatch),
            None => Err(WebhookRefused::SignatureMissing),
        }
    }

    fn notification(&self, event: &[u8]) -> Result<Notification, Unreadable> {
        let text = std::str::from_utf8(event).map_err(|_| Unreadable)?;
        let (event_id, event_type) = (text.to_owned(), "test".to_owned());
        Ok(Notification { event_id, event_type, happened_at: None, payment_id: None, psp_reference: None, news: None })
    }
}

struct Served {
    router: Router,
    secret: String,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answered {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn serve(mood: Mood) -> Served {
    serve_limited(mood, None)
}

fn serve_limited(mood: Mood, rate_limit: Option<RateLimit>) -> Served {
    let now = Stopped.now();
    let (key_id, merchant_id) = (ApiKeyId::new(now, [1, 1]), MerchantId::new(now, [2, 2]));
    let (secret, key) = new_api_key([7; 32], Mode::Test, key_id, merchant_id, now);
    let store = Arc::new(TestStore { key, mood });
    let gateway: Arc<dyn Gateway> = Arc::new(TestGateway);
    let router = crate::router(ApiState {
        engine: Arc::new(Engine::new(
            store,
            Arc::new(NoQueue),
            Arc::new(Stopped),
            Arc::new(SystemRandom),
            HashMap::new(),
        )),
        gateways: Arc::new(HashMap::from([(gateway.psp().to_owned(), gateway)])),
        config: ApiConfig {
            psps: PspOrder::new("test", Vec::new()),
            docs_url: Some("https://docs.example/api".into()),
            psp_modes: HashMap::from([("test".to_owned(), Mode::Test)]),
            rate_limit,
            webhook_reach: Reach::Public,
        },
        metrics: Arc::new(|| "fincore_up 1\n".to_owned()),
        shared: Shared::alone(Arc::new(Stopped)),
        stop: CancellationToken::new(),
    });
    Served { router, secret: secret.expose_secret().to_owned() }
}

impl Served {
    async fn send(&self, request: Request<Body>) -> Answered {
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answered = Answered {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        has_what_every_response_has(&answered);
        answered
    }

    /// The status and the size of what need not be text.
    async fn raw(&self, path: &str) -> (u16, usize) {
        let response = self.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().len())
    }

    /// A request with a key that is known.
    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.secret))
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answered {
        let request =
            self.request("POST", path).header("idempotency-key", "k").header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }
}

fn has_what_every_response_has(answered: &Answered) {
    assert!(answered.header("request-id").starts_with("req_"), "{:?}", answered.headers);
    assert_eq!(answered.header("cache-control"), "no-store");
    assert_eq!(answered.header("fincore-version"), crate::front::API_VERSION);
    if !answered.status.is_success() {
        assert_eq!(answered.header("content-type"), "application/problem+json", "{}", answered.status);
        // A HEAD request gets the headers alone.
        if answered.body.is_object() {
            assert_eq!(answered.body["status"], answered.status.as_u16());
            assert_eq!(answered.body["request_id"], answered.header("request-id"));
            assert_eq!(answered.body["doc_url"], format!("https://docs.example/api#{}", answered.code()));
            assert_eq!(answered.body["retryable"], answered.headers.contains_key("retry-after"));
        }
    }
}

/// The least that makes a charge.
fn least() -> Value {
    json!({"amount": 1999, "currency": "eur", "payment_method": "pm_card_visa"})
}

#[tokio::test]
async fn a_charge_is_answered_with_202_and_where_to_look() {
    let served = serve(Mood::TakesCharges);
    let mut asked = least();
    asked["description"] = json!("Größe 7");
    asked["metadata"] = json!({"order": "7"});
    let answered = served.post("/v1/charges", asked.to_string()).await;
    assert_eq!(answered.status, 202);
    let id = answered.body["id"].as_str().unwrap();
    assert_eq!(answered.header("location"), format!("/v1/charges/{id}"));
    assert_eq!(answered.header("retry-after"), "1");
    assert_eq!(answered.header("content-type"), "application/json");
    assert!(!answered.headers.contains_key("idempotency-replayed"));
    let at = "2026-11-22T19:57:00Z";
    assert_eq!(
        answered.body,
        json!({
            "id": id, "object": "charge", "status": "created", "amount": 1999, "currency": "eur",
            "amount_authorized": 0, "amount_captured": 0, "amount_refunded": 0, "amount_refund_pending": 0,
            "amount_charged_back": 0, "capture_method": "automatic",
            "payment_method": "pm_card_visa", "psp": "test", "psp_reference": null, "next_action": null,
            "failure": null, "return_url": null, "description": "Größe 7", "metadata": {"order": "7"},
            "created": at, "updated": at
        })
    );
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503_that_says_when_to_come_back() {
    let served = serve(Mood::Down);
    let id = "ch_0197f3c2a1b47c6e8d5f00112233aaba";
    for answered in [
        served.get("/v1/charges").await,
        served.get(&format!("/v1/charges/{id}")).await,
        served.get(&format!("/v1/charges/{id}/history")).await,
        served.post("/v1/charges", least().to_string()).await,
        served.post(&format!("/v1/charges/{id}/capture"), "").await,
        served.post(&format!("/v1/charges/{id}/cancel"), r#"{"reason":"duplicate"}"#).await,
    ] {
        assert_eq!((answered.status.as_u16(), answered.code()), (503, "store_unavailable"));
        assert_eq!(answered.header("retry-after"), "1");
    }
    let webhook = Request::post("/v1/webhooks/test").header("signature", "good").body(Body::from("evt_1"));
    let answered = served.send(webhook.unwrap()).await;
    assert_eq!((answered.status.as_u16(), answered.code()), (503, "store_unavailable"), "so the PSP delivers again");
    let ready = served.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.code()), (503, "not_ready"));
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_lookup_of_a_key_that_the_store_does_not_answer_is_no_401() {
    let served = serve(Mood::DownForKeys);
    assert_eq!(served.get("/v1/charges").await.code(), "store_unavailable");
}

#[tokio::test]
async fn a_panic_is_a_500_that_repeats_nothing() {
    let served = serve(Mood::TakesCharges);
    let webhook = Request::post("/v1/webhooks/test").header("signature", "panic").body(Body::from("evt_1"));
    let answered = served.send(webhook.unwrap()).await;
    assert_eq!((answered.status.as_u16(), answered.code()), (500, "internal_error"));
    assert!(!answered.body.to_string().contains("4242"));
}

#[tokio::test]
async fn webhooks_are_believed_by_their_signature_alone() {
    let served = serve(Mood::TakesCharges);
    let deliver = |psp: &str, signature: &str| {
        let request = Request::post(format!("/v1/webhooks/{psp}"));
        let request = if signature.is_empty() { request } else { request.header("signature", signature) };
        served.send(request.body(Body::from("evt_1")).unwrap())
    };
    assert_eq!(deliver("test", "good").await.body, json!({"received": true}));
    assert_eq!(deliver("test", "bad").await.code(), "webhook_signature_invalid");
    assert_eq!(deliver("test", "").await.code(), "webhook_signature_invalid");
    assert_eq!(deliver("other", "good").await.code(), "psp_not_found");
    let unreadable = Request::post("/v1/webhooks/test").header("signature", "good").body(Body::from(vec![0xff]));
    assert_eq!(served.send(unreadable.unwrap()).await.status, 200);
    let within_its_own_cap = Request::post("/v1/webhooks/test").header("signature", "good");
    let within_its_own_cap = within_its_own_cap.body(Body::from("x".repeat(256 * 1024)));
    assert_eq!(served.send(within_its_own_cap.unwrap()).await.status, 200);
    let beyond = Request::post("/v1/webhooks/test").header("signature", "good");
    assert_eq!(served.send(beyond.body(Body::from("x".repeat(256 * 1024 + 1))).unwrap()).await.status, 413);
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_nothing() {
    let (store_reached, mut reached) = tokio::sync::mpsc::unbounded_channel();
    let served = serve(Mood::Waits(store_reached));
    let request = served.request("GET", "/v1/charges").body(Body::empty()).unwrap();
    let call = tokio::spawn(served.router.clone().oneshot(request));
    let finish = reached.recv().await.unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    finish.send(()).unwrap();
    assert!(reached.recv().await.is_some(), "the store call went on to its end");
}

#[tokio::test]
async fn whoever_runs_the_server_needs_no_key() {
    let served = serve(Mood::TakesCharges);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let answered = served.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answered.status, 200, "{path}");
    }
    let metrics = served.get("/metrics").await;
    assert_eq!(metrics.body, "fincore_up 1\n");
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
}
