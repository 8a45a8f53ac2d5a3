//! A merchant's server: takes events, remembers them, and answers as it is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// An event as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    headers: HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// How it answers.
#[derive(Clone, Debug)]
struct Manner {
    status: u16,
    headers: Vec<(&'static str, String)>,
    after: Duration,
}

struct Inside {
    manner: Mutex<Manner>,
    received: watch::Sender<Vec<Received>>,
    elsewhere: AtomicU64,
}

/// See the head of this file.
pub(crate) struct Receiver {
    url: String,
    inside: Arc<Inside>,
    serving: AbortHandle,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// One that answers 200.
    pub(crate) async fn start() -> Self {
        let manner = Mutex::new(Manner { status: 200, headers: Vec::new(), after: Duration::ZERO });
        let received = watch::Sender::new(Vec::new());
        let inside = Arc::new(Inside { manner, received, elsewhere: AtomicU64::new(0) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?tenant=7", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hooks", axum::routing::post(take))
            .fallback(elsewhere)
            .with_state(Arc::clone(&inside));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, inside, serving }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn answer(&self, status: u16) {
        self.answer_with(status, Vec::new());
    }

    pub(crate) fn answer_with(&self, status: u16, headers: Vec<(&'static str, String)>) {
        *self.inside.manner.lock().unwrap() = Manner { status, headers, after: Duration::ZERO };
    }

    pub(crate) fn answer_late(&self, status: u16, after: Duration) {
        *self.inside.manner.lock().unwrap() = Manner { status, headers: Vec::new(), after };
    }

    pub(crate) fn answer_never(&self) {
        self.answer_after(Duration::from_hours(1));
    }

    pub(crate) fn answer_after(&self, after: Duration) {
        self.inside.manner.lock().unwrap().after = after;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inside.received.borrow().clone()
    }

    /// Requests that did not go where they were to go.
    pub(crate) fn elsewhere(&self) -> u64 {
        self.inside.elsewhere.load(Ordering::SeqCst)
    }

    /// Waits until so many have come.
    pub(crate) async fn until(&self, number: usize) -> Vec<Received> {
        let all = self.until_forever(number);
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("they come in time")
    }

    /// The same, however long that takes.
    pub(crate) async fn until_forever(&self, number: usize) -> Vec<Received> {
        let mut received = self.inside.received.subscribe();
        received.wait_for(|received| received.len() >= number).await.unwrap().clone()
    }
}

async fn take(State(inside): State<Arc<Inside>>, headers: HeaderMap, raw: Bytes) -> Response {
    let body = serde_json::from_slice(&raw).unwrap();
    inside.received.send_modify(|received| received.push(Received { headers, raw, body }));
    let Manner { status, headers, after } = inside.manner.lock().unwrap().clone();
    tokio::time::sleep(after).await;
    let mut response = (StatusCode::from_u16(status).unwrap(), "thänks\u{0}").into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

async fn elsewhere(State(inside): State<Arc<Inside>>) -> StatusCode {
    inside.elsewhere.fetch_add(1, Ordering::SeqCst);
    StatusCode::OK
}
