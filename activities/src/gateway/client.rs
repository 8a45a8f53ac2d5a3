//! The one HTTP client for all PSPs: it sends a gateway's request and says, by evidence, what became of it.
//!
//! Nothing is sent twice from here. A request that failed before a connection was made is `NotSent`; once it may have
//! been written it is `Unknown`, whatever broke. Credentials are added here and appear nowhere else; texts about
//! failures are our own words, so no URL, header or body can leak through them.
//!
//! Deliberately not here: what an answer means (the gateways), when to stop calling (`breaker.rs` decides), and retries
//! (data on the payment row).
//!
//! About silent repeats: reqwest's own retries are switched off. Below it, hyper-util sends a request again only when
//! the idle connection it was handed to turned out closed before the request was taken from the channel, and the
//! request comes back whole; a request of which a byte may have been written is never repeated. That repeat cannot
//! double anything, and it is what spares us an inquiry each time a PSP closes an idle connection.

mod account;
pub(crate) mod failure;
pub(crate) mod retry_after;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{Instrument, field};
use workflow::event::Unknown;
use workflow::port::breakers::Breakers;
use workflow::port::clock::Clock;
use workflow::port::gateway::{Answer, Method, Operation, Outcome, Request};

pub(crate) use account::is_near;
pub use account::{Account, AccountInvalid, Credentials};

use super::breaker::{Breaker, BreakerPolicy, Seen};

/// Time to reach the PSP, TLS included. Much shorter than any call's timeout, so that a PSP that cannot be reached
/// is known as such and not as an unknown outcome.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle connections are dropped before the 60 s after which load balancers commonly drop theirs.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections kept per PSP: 2,000 charges a second at three calls of 100 ms keep 600 busy.
const POOL_MAX_IDLE: usize = 1_024;
/// The largest answer that is read. A PSP's payment object is a few kilobytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The largest request body that is sent. Ours are below a few kilobytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The client could not be built, for example because the machine has no root certificates. Fix the machine.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for PSPs could not be built")]
pub struct ClientNotBuilt(#[source] pub(crate) reqwest::Error);

/// Whose word is taken for who a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Roots {
    /// The machine's: a bundle and hundreds of files, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead.
    Machine,
    /// Mozilla's, as they were when this program was built. For programs that are started often, and updated often.
    Bundled,
}

/// Connections to PSPs: built once, they can be shared by the clients of several accounts.
#[derive(Clone, Debug)]
pub struct Connections(reqwest::Client);

impl Connections {
    /// Builds them; none is open yet. They trust whom the machine trusts.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, ClientNotBuilt> {
        Self::trusting(Roots::Machine)
    }

    /// The same with other roots.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn trusting(roots: Roots) -> Result<Self, ClientNotBuilt> {
        // Whoever was first has installed a provider; reqwest uses that one, so an error here means nothing.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = match roots {
            Roots::Machine => reqwest::Client::builder(),
            Roots::Bundled => reqwest::Client::builder().tls_backend_preconfigured(bundled()),
        };
        builder
            .user_agent(concat!("FinCore/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_MAX_IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            // Zero retries also spares the copy of every request that reqwest keeps for one.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .build()
            .map(Self)
            .map_err(ClientNotBuilt)
    }

    /// The client itself, for what goes to no PSP.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.0
    }
}

/// TLS as reqwest sets it up for HTTP/1.1, with the roots that are in this program.
fn bundled() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// The client of one PSP account: connections, the account's credentials and its circuit breaker.
pub struct PspClient {
    http: reqwest::Client,
    account: Account,
    breaker: Breaker,
    clock: Arc<dyn Clock>,
    psp: metrics::SharedString,
}

impl PspClient {
    /// A client for an account, with connections of its own and the usual circuit breaker.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(account: Account, clock: Arc<dyn Clock>) -> Result<Self, ClientNotBuilt> {
        Ok(Self::sharing(&Connections::new()?, account, clock, BreakerPolicy::default()))
    }

    /// A client for an account that shares connections with others.
    #[must_use]
    pub fn sharing(connections: &Connections, account: Account, clock: Arc<dyn Clock>, policy: BreakerPolicy) -> Self {
        let breaker = Breaker::new(Arc::clone(&account.psp), Arc::clone(&clock), policy);
        let psp = metrics::SharedString::from_shared(Arc::clone(&account.psp));
        Self { http: connections.0.clone(), account, breaker, clock, psp }
    }

    /// The same client, whose circuit breaker hears of those of other processes.
    #[must_use]
    pub fn among(self, others: Arc<dyn Breakers>) -> Self {
        Self { breaker: self.breaker.among(others), ..self }
    }

    /// Sends a request once and reads the whole answer, within `timeout`. If the future is dropped before it ends,
    /// anything may have happened.
    ///
    /// # Errors
    /// [`Outcome::NotSent`] when it did not get there, [`Outcome::Unknown`] when it may have; nothing else.
    pub async fn send(&self, operation: Operation, request: Request, timeout: Duration) -> Result<Answer, Outcome> {
        let started = Instant::now();
        let span = tracing::info_span!(
            "psp_call", otel.kind = "client", psp = %self.psp, operation = %operation,
            http.response.status_code = field::Empty, outcome = field::Empty
        );
        let result = self.admit_and_send(operation, request, timeout).instrument(span.clone()).await;
        let (operation, outcome): (&'static str, _) = (operation.into(), outcome_label(&result));
        span.record("outcome", outcome);
        if let Ok(answer) = &result {
            span.record("http.response.status_code", answer.status);
        }
        metrics::counter!("fincore_psp_calls_total",
            "psp" => self.psp.clone(), "operation" => operation, "outcome" => outcome)
        .increment(1);
        metrics::histogram!("fincore_psp_call_seconds", "psp" => self.psp.clone(), "operation" => operation)
            .record(started.elapsed().as_secs_f64());
        result
    }

    async fn admit_and_send(
        &self,
        operation: Operation,
        request: Request,
        timeout: Duration,
    ) -> Result<Answer, Outcome> {
        let prepared = prepare(&self.account, request, timeout).map_err(|why| not_sent(operation, why))?;
        let ticket = self.breaker.admit().await.map_err(Outcome::from)?;
        let result = self.exchange(operation, prepared).await;
        self.breaker.report(ticket, seen(&result)).await;
        result
    }

    async fn exchange(&self, operation: Operation, prepared: reqwest::Request) -> Result<Answer, Outcome> {
        let response = self.http.execute(prepared).await.map_err(|error| failure::before_head(operation, &error))?;
        let status = response.status().as_u16();
        let retry_after_ms = response
            .headers()
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after::parse_ms(text, self.clock.now()));
        let body = read_body(operation, response).await?;
        Ok(Answer { status, retry_after_ms, body })
    }
}

/// The request with its credentials, or why it cannot be sent as it stands.
fn prepare(account: &Account, request: Request, timeout: Duration) -> Result<reqwest::Request, &'static str> {
    if request.body.len() > MAX_REQUEST_BYTES {
        return Err("the request is larger than we allow");
    }
    let url = account.url(&request.path).ok_or("the request's path is not one below the PSP's base URL")?;
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    let mut prepared = reqwest::Request::new(method, url);
    *prepared.timeout_mut() = Some(timeout);
    let headers = prepared.headers_mut();
    for (name, value) in request.headers {
        let name = http::HeaderName::from_lowercase(name.as_bytes()).map_err(|_| "a header's name cannot be sent")?;
        let value = http::HeaderValue::try_from(value).map_err(|_| "a header's value cannot be sent")?;
        headers.insert(name, value);
    }
    account.authenticate(headers);
    if request.method == Method::Post {
        *prepared.body_mut() = Some(request.body.into());
    }
    Ok(prepared)
}

fn not_sent(operation: Operation, why: &str) -> Outcome {
    Outcome::NotSent { why: format!("{operation}: {why}"), retry_after_ms: None }
}

/// What the circuit breaker makes of it. A decline, a refusal and a plea for patience are answers.
fn seen(result: &Result<Answer, Outcome>) -> Seen {
    match result {
        Ok(answer) if answer.status < 500 => Seen::Answer,
        Ok(_) | Err(_) => Seen::NoAnswer,
    }
}

/// What a call came to as far as HTTP goes, for metrics. What it means is counted with the payments.
fn outcome_label(result: &Result<Answer, Outcome>) -> &'static str {
    match result {
        Ok(Answer { status: 200..=299, .. }) => "done",
        Ok(Answer { status: 429, .. }) => "throttled",
        Ok(Answer { status: 400..=499, .. }) => "refused",
        Ok(Answer { status: 500..=599, .. }) => "server_error",
        Ok(_) => "unexpected",
        Err(Outcome::NotSent { .. }) => "not_sent",
        Err(_) => "unknown",
    }
}

/// Reads the body as it comes, up to the limit. The call's timeout runs on, so a drip ends too.
async fn read_body(operation: Operation, mut response: reqwest::Response) -> Result<Vec<u8>, Outcome> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    if announced > MAX_ANSWER_BYTES {
        return Err(too_large(operation));
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| failure::after_head(operation, &error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_large(operation));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_large(operation: Operation) -> Outcome {
    let detail = format!("{operation}: the answer is larger than {MAX_ANSWER_BYTES} bytes");
    Outcome::Unknown { why: Unknown::Unreadable, detail }
}

#[cfg(test)]
mod tests;
