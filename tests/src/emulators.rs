//! Emulators of AWS for tests: `cargo xtask test` and `cargo xtask services` install and start them, and name their
//! URLs in the environment.
//!
//! A missing one is a failure, unless `FINCORE_TEST_SQLITE_ONLY` says that servers are left out on purpose; then the
//! tests that need one say on stderr that they did not run.
//!
//! Not here: the AWS SDK. What tests ask is JSON over HTTP, and the emulators check no signature.

use std::io::Write as _;

use serde_json::Value;

use crate::world::http_client;

/// Names where ministack answers: queues, and Lambda functions behind them.
pub const MINISTACK_URL: &str = "FINCORE_TEST_MINISTACK_URL";
/// Names where moto answers: queues.
pub const MOTO_URL: &str = "FINCORE_TEST_MOTO_URL";
/// Says that servers are left out on purpose.
const SQLITE_ONLY: &str = "FINCORE_TEST_SQLITE_ONLY";

/// What the emulators take anything to be signed with; moto finds the service in it.
const CREDENTIAL: &str = "test/20260101/us-east-1";

/// An emulator that runs.
#[derive(Clone, Debug)]
pub struct Emulator {
    url: String,
    client: reqwest::Client,
}

/// What an emulator said no with: the status, and its words.
#[derive(Debug)]
pub struct Refused {
    /// Of HTTP.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A name that no other test has: all share the emulators. Of letters: digits would by chance look like a card number.
#[must_use]
pub fn unique(name: &str) -> String {
    let letters: String = rand::random::<[u8; 16]>().map(|byte| char::from(b'a' + byte % 26)).iter().collect();
    format!("{name}-{letters}")
}

impl Emulator {
    /// The emulator that runs Lambda functions.
    ///
    /// # Panics
    /// When it is not named, and not left out on purpose.
    #[must_use]
    pub fn ministack() -> Option<Self> {
        Self::named(MINISTACK_URL)
    }

    /// A second one for queues, by somebody else.
    ///
    /// # Panics
    /// When it is not named, and not left out on purpose.
    #[must_use]
    pub fn moto() -> Option<Self> {
        Self::named(MOTO_URL)
    }

    fn named(variable: &str) -> Option<Self> {
        if let Ok(url) = std::env::var(variable) {
            return Some(Self { url, client: http_client() });
        }
        assert!(
            std::env::var_os(SQLITE_ONLY).is_some(),
            "{variable} is not set: run cargo xtask test, or keep cargo xtask services running and export what it \
             prints; {SQLITE_ONLY}=1 leaves servers out"
        );
        // Written past the test harness, which would swallow it.
        let note = format!("\nNOT RUN: a test with an emulator of AWS, because of {SQLITE_ONLY}.\n\n");
        let _ = std::io::stderr().write_all(note.as_bytes());
        None
    }

    /// Where it answers, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// An action of SQS and its answer, as JSON.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn sqs(&self, action: &str, input: Value) -> Value {
        self.try_sqs(action, input).await.unwrap_or_else(|refused| panic!("{action}: {refused:?}"))
    }

    /// An action of Step Functions and its answer, as JSON.
    ///
    /// # Errors
    /// What the emulator says no with.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn step_functions(&self, action: &str, input: Value) -> Result<Value, Refused> {
        let request = self.client.post(format!("{}/", self.url));
        let request = request.header("content-type", "application/x-amz-json-1.0");
        let request = request.header("x-amz-target", format!("AWSStepFunctions.{action}"));
        Self::answer(request.body(input.to_string()), "states").await
    }

    /// Has moto run what state machines say; without being told it only keeps them.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn runs_state_machines(&self) {
        let config = serde_json::json!({ "stepfunctions": { "execute_state_machine": true } });
        let request = self.client.post(format!("{}/moto-api/config", self.url)).body(config.to_string());
        // The other one knows no such page, and runs them anyway.
        request.header("content-type", "application/json").send().await.expect("the emulator answers");
    }

    /// An action of SQS that may be refused.
    ///
    /// # Errors
    /// What the emulator says no with.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn try_sqs(&self, action: &str, input: Value) -> Result<Value, Refused> {
        let request = self.client.post(format!("{}/", self.url));
        let request = request.header("content-type", "application/x-amz-json-1.0");
        let request = request.header("x-amz-target", format!("AmazonSQS.{action}"));
        Self::answer(request.body(input.to_string()), "sqs").await
    }

    /// A call of the Lambda API, which is REST.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn lambda(&self, method: &str, path: &str, input: Value) -> Value {
        let method = method.parse().expect("a method of HTTP");
        let request = self.client.request(method, format!("{}{path}", self.url)).body(input.to_string());
        Self::answer(request, "lambda").await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    /// An action of a service that speaks JSON and is told which one by `target`, a prefix and the action.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn json(&self, service: &str, target: &str, input: Value) -> Value {
        let request = self.client.post(format!("{}/", self.url)).header("x-amz-target", target);
        let request = request.header("content-type", "application/x-amz-json-1.1").body(input.to_string());
        Self::answer(request, service).await.unwrap_or_else(|refused| panic!("{target}: {refused:?}"))
    }

    /// Something of a service that is REST.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn rest(&self, service: &str, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url));
        Self::answer(request, service).await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    /// An action of a service that is asked by a form, and its answer, which is XML.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn query(&self, service: &str, action: &str, input: &[(String, String)]) -> String {
        let action_itself = [("Action".to_owned(), action.to_owned())];
        let form: Vec<_> = action_itself.iter().chain(input).collect();
        let request = signed(self.client.post(format!("{}/", self.url)).form(&form), service);
        let response = request.send().await.expect("the emulator answers");
        let is_success = response.status().is_success();
        let body = response.text().await.expect("the emulator ends its answer");
        assert!(is_success, "{action}: {body}");
        body
    }

    /// Keeps a bucket, or an object in one, in S3.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn put(&self, path: &str, body: Vec<u8>) {
        let request = signed(self.client.put(format!("{}/{path}", self.url)).body(body), "s3");
        let status = request.send().await.expect("the emulator answers").status();
        assert!(status.is_success(), "{path}: {status}");
    }

    /// Calls a function and waits for its answer, which may be that it failed.
    ///
    /// # Panics
    /// When the emulator does not answer.
    pub async fn invoke(&self, path: &str, event: Value) -> (Value, bool) {
        let request = self.client.post(format!("{}{path}", self.url)).body(event.to_string());
        let response = signed(request, "lambda").send().await.expect("the emulator answers");
        let failed = response.headers().contains_key("x-amz-function-error");
        (response.json().await.expect("a function answers in JSON"), failed)
    }

    /// An action of CloudWatch Logs.
    ///
    /// # Errors
    /// What the emulator says no with.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn logs(&self, action: &str, input: Value) -> Result<Value, Refused> {
        let request = self.client.post(format!("{}/", self.url));
        let request = request.header("content-type", "application/x-amz-json-1.1");
        let request = request.header("x-amz-target", format!("Logs_20140328.{action}"));
        Self::answer(request.body(input.to_string()), "logs").await
    }

    async fn answer(request: reqwest::RequestBuilder, service: &str) -> Result<Value, Refused> {
        let response = signed(request, service).send().await.expect("the emulator answers");
        let status = response.status();
        let body = response.text().await.expect("the emulator ends its answer");
        if !status.is_success() {
            return Err(Refused { status: status.as_u16(), body });
        }
        // An action without an answer has no body.
        let body = if body.is_empty() { "null" } else { &body };
        Ok(serde_json::from_str(body).unwrap_or_else(|_| panic!("an emulator answers in JSON, not {body}")))
    }
}

/// Who asks for which service. Nobody checks the signature.
fn signed(request: reqwest::RequestBuilder, service: &str) -> reqwest::RequestBuilder {
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={CREDENTIAL}/{service}/aws4_request, SignedHeaders=host, Signature=none");
    request.header("authorization", authorization)
}
