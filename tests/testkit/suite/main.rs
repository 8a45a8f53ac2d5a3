//! The testkit's own tests, on real HTTP: a mock that lies would make every other test worthless.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod adyen;
mod faults;
mod gateways;
mod payments;
mod saboteurs;
mod scenario;
mod webhooks;
mod wires;

use std::time::Duration;

use testkit::MockPsp;

/// Longer than a loopback call takes, and short enough to wait for in vain.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);

/// A client as simple as can be.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// What a call came to, in one line: a status and the body, or what broke.
pub(crate) type Came = Result<(u16, serde_json::Value), &'static str>;

/// An HTTP client that goes straight to this machine.
pub(crate) fn http() -> reqwest::Client {
    let _already = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

impl Client {
    pub(crate) fn of(base: &str) -> Self {
        Self { http: http(), base: base.to_owned() }
    }

    /// A form under a key.
    pub(crate) async fn post(&self, path: &str, key: &str, form: &[(&str, &str)]) -> Came {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth("sk_test").form(form);
        Self::send(request.header("idempotency-key", key)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Came {
        Self::send(self.http.get(format!("{}{path}", self.base)).bearer_auth("sk_test")).await
    }

    pub(crate) async fn send(request: reqwest::RequestBuilder) -> Came {
        let broke = |error: reqwest::Error| match () {
            () if error.is_timeout() => "timed out",
            () if error.is_connect() => "refused",
            () => "broke off",
        };
        let answer = request.send().await.map_err(broke)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(broke)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(serde_json::Value::Null)))
    }

    /// Registers 12.00 EUR and returns the intent's id.
    pub(crate) async fn register(&self, ours: &str) -> String {
        let form = [
            ("amount", "1200"),
            ("currency", "eur"),
            ("payment_method", "pm_card"),
            ("metadata[fincore_payment]", ours),
        ];
        let (status, intent) = self.post("/v1/payment_intents", &format!("{ours}-register"), &form).await.unwrap();
        assert_eq!(status, 200, "{intent}");
        intent["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn confirm(&self, id: &str, key: &str) -> Came {
        self.post(&format!("/v1/payment_intents/{id}/confirm"), key, &[]).await
    }

    pub(crate) async fn capture(&self, id: &str, key: &str) -> Came {
        self.post(&format!("/v1/payment_intents/{id}/capture"), key, &[("amount_to_capture", "1200")]).await
    }

    pub(crate) async fn status(&self, id: &str) -> String {
        let (_, intent) = self.get(&format!("/v1/payment_intents/{id}?expand[]=latest_charge")).await.unwrap();
        intent["status"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn stripe() -> (MockPsp, Client) {
    let psp = MockPsp::stripe().await;
    let client = Client::of(&psp.url());
    (psp, client)
}
