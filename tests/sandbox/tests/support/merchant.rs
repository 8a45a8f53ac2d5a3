//! A merchant who talks to a sandbox over HTTP and receives its webhooks.
//!
//! Not here: what is expected of the sandbox.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use reqwest::{Client, Response};
use sandbox::{Config, EntryKind, Sandbox};
use serde_json::Value;

const KEY: &str = "Bearer sk_test_sandbox";

pub(crate) struct Merchant {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
}

impl Merchant {
    pub(crate) async fn new(config: Config) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        Self { sandbox: Sandbox::start(config).await.unwrap(), client }
    }

    pub(crate) async fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> reqwest::Result<Response> {
        let url = format!("{}{path}", self.sandbox.url());
        self.client
            .post(url)
            .header("authorization", KEY)
            .header("idempotency-key", key)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(serde_html_form::to_string(form).unwrap())
            .send()
            .await
    }

    pub(crate) async fn call(&self, path: &str, key: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let response = self.post(path, key, form).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn pay(&self, key: &str, payment_method: &str) -> (u16, Value) {
        self.call("/v1/payment_intents", key, &charge(payment_method)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.sandbox.url());
        self.client.get(url).header("authorization", KEY).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) fn ledger(&self) -> Vec<(EntryKind, i64)> {
        self.sandbox.ledger().into_iter().map(|entry| (entry.kind, entry.amount_minor)).collect()
    }
}

pub(crate) fn charge(payment_method: &str) -> Vec<(&str, &str)> {
    vec![
        ("amount", "1000"),
        ("currency", "eur"),
        ("payment_method", payment_method),
        ("payment_method_types[]", "card"),
        ("capture_method", "manual"),
        ("confirm", "true"),
        ("metadata[fincore_payment]", "ch_1"),
    ]
}

pub(crate) fn path(intent: &Value, action: &str) -> String {
    format!("/v1/payment_intents/{}{action}", intent["id"].as_str().unwrap())
}

/// The webhooks that arrived, with their signatures.
#[derive(Clone, Default)]
pub(crate) struct Inbox {
    pub(crate) received: Arc<Mutex<Vec<(String, Bytes)>>>,
    pub(crate) refusals: Arc<Mutex<u32>>,
}

impl Inbox {
    pub(crate) async fn open(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = axum::Router::new().route("/hook", post(receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    /// Everything that has arrived since the last look.
    pub(crate) fn events(&self) -> Vec<Value> {
        let received = std::mem::take(&mut *self.received.lock().unwrap());
        received.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    /// Their types.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut refusals = inbox.refusals.lock().unwrap();
    if *refusals > 0 {
        *refusals -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    inbox.received.lock().unwrap().push((signature, body));
    StatusCode::OK
}
