//! What somebody asks of AWS, written down: a proxy in front of an emulator that names each call as IAM does.
//!
//! Not here: who may do what (`cloud`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::emulators::Emulator;
use crate::world::http_client;

/// A call: its action, as IAM names it, and the end of its resource's ARN.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Call {
    /// `sqs:SendMessage`.
    pub action: String,
    /// The name of the queue, the topic or the state machine. For words about a task, whose token names none, nothing.
    pub resource: Option<String>,
}

/// The proxy. Dropping it ends it.
pub struct Recorder {
    /// Where it answers, without a trailing slash.
    pub url: String,
    calls: Calls,
    serving: AbortHandle,
}

type Calls = Arc<Mutex<BTreeSet<Call>>>;

#[derive(Clone)]
struct Passing {
    upstream: String,
    client: reqwest::Client,
    calls: Calls,
}

impl Recorder {
    /// One in front of this emulator.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn before(emulator: &Emulator) -> Self {
        let calls = Calls::default();
        let passing = Passing { upstream: emulator.url().to_owned(), client: http_client(), calls: Arc::clone(&calls) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = Router::new().fallback(pass).with_state(passing);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, calls, serving }
    }

    /// What was asked so far, each once.
    #[must_use]
    pub fn calls(&self) -> BTreeSet<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(passing): State<Passing>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(call) = call(&headers, &body) {
        passing.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(call);
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = passing.client.post(format!("{}{path}", passing.upstream)).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str())) {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(answer) => {
            let status = answer.status();
            let kind = answer.headers().get("content-type").cloned();
            let body = answer.bytes().await.unwrap_or_default();
            let mut answer = (status, body).into_response();
            if let Some(kind) = kind {
                answer.headers_mut().insert("content-type", kind);
            }
            answer
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Names a call. Batches are allowed by the action for one.
fn call(headers: &HeaderMap, body: &[u8]) -> Option<Call> {
    let last = |name: &str| name.rsplit(['/', ':']).next().map(str::to_owned);
    if let Some(target) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        let (service, action) = target.split_once('.')?;
        let service = match service {
            "AmazonSQS" => "sqs",
            "AWSStepFunctions" => "states",
            other => other,
        };
        let input: Value = serde_json::from_slice(body).ok()?;
        let named = ["QueueUrl", "stateMachineArn"].iter().find_map(|name| input[name].as_str());
        let action = format!("{service}:{}", action.trim_end_matches("Batch"));
        return Some(Call { action, resource: named.and_then(last) });
    }
    let form = |wanted: &str| {
        url::form_urlencoded::parse(body).find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    Some(Call { action: format!("sns:{}", form("Action")?), resource: form("TopicArn").and_then(|arn| last(&arn)) })
}
