//! A whole FinCore for a test: a store, an engine, a worker driven by hand, the API on a loopback port, and the
//! sandbox PSP behind the real gateway. The test owns the clock and delivers the webhooks.

mod books;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use activities::gateway::{client::PspClient, stripe};
use activities::psps::{Psp, Psps};
use activities::worker::{Worker, WorkerOptions};
use reqwest::StatusCode;
use sandbox::{EventRecord, Sandbox, WebhookMode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use workflow::endpoint_url::Reach;
use workflow::engine::Engine;
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::local_queue::NoQueue;
use workflow::payment::Payment;
use workflow::port::breakers::Breakers;
use workflow::port::clock::{Clock, SystemRandom};
use workflow::port::gateway::{Call, Operation, Outcome};
use workflow::port::queue::Queue;
use workflow::port::rate_limits::RateLimit;
use workflow::port::store::{Mode, Store};
use workflow::port::timeouts::Timeouts;
use workflow::shared::{Nothing, Shared};
use workflow::timeline;

use crate::clock::TestClock;

/// The sandbox's webhook secret, which tests sign with.
pub const WEBHOOK_SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";
/// What opens the sandbox.
pub const SECRET_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// The name of the second PSP account.
pub const OTHER_PSP: &str = "sandbox_b";

/// Longer than any lease.
pub const LEASE: Duration = Duration::from_secs(61);
/// Longer than the first backoffs.
pub const BACKOFF: Duration = Duration::from_secs(10);

/// How long a call made by hand may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Rounds of work after which a payment that is still due goes in circles.
const MAX_ROUNDS: usize = 50;

/// A whole FinCore.
pub struct World {
    /// Where payments are kept, as the engine sees it.
    pub store: Arc<dyn Store>,
    /// The mover.
    pub engine: Arc<Engine>,
    /// The PSP.
    pub sandbox: Arc<Sandbox>,
    /// Another account, for charges that name a means of payment there.
    pub other: Arc<Sandbox>,
    /// How the PSP is spoken to.
    pub psps: Arc<Psps>,
    /// The time.
    pub clock: Arc<TestClock>,
    /// Runs when told.
    pub worker: Worker,
    /// Where the API listens.
    pub api: SocketAddr,
    /// The API without a socket.
    pub router: axum::Router,
    /// A client without a proxy.
    pub http: reqwest::Client,
    /// Whose payments they are.
    pub merchant: MerchantId,
    /// What opens the API.
    pub secret: SecretString,
    serving: AbortHandle,
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What a process of a world shares with others, and how its API behaves.
pub struct Process {
    /// The fast state.
    pub shared: Shared,
    /// Requests of an API key.
    pub rate_limit: Option<RateLimit>,
    /// Ends what clients wait for.
    pub stop: CancellationToken,
    /// What is told of payments that are due.
    pub queue: Arc<dyn Queue>,
    /// Who keeps the time of payments beside the database.
    pub timeouts: Arc<dyn Timeouts>,
}

impl Process {
    /// A process that shares this, without limits.
    #[must_use]
    pub fn sharing(shared: Shared) -> Self {
        let (queue, timeouts) = (Arc::new(NoQueue), Arc::new(Nothing));
        Self { shared, rate_limit: None, stop: CancellationToken::new(), queue, timeouts }
    }
}

/// A worker that only moves when a test says so.
#[must_use]
pub fn worker(engine: &Arc<Engine>, psps: &Arc<Psps>, name: &str) -> Worker {
    let options = WorkerOptions {
        name: name.to_owned(),
        concurrency: 16,
        sweep_every: Duration::from_millis(20),
        sweep_grace: Duration::ZERO,
        longest_call: Duration::from_secs(2),
        drain_timeout: Duration::from_secs(5),
    };
    Worker::new(Arc::clone(engine), Arc::clone(psps), options)
}

/// A client that goes straight to this machine.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // There is one TLS provider in the program; a second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("TLS can be set up")
}

/// An engine that tells no queue: workers find what is due by sweeping.
#[must_use]
pub fn engine(store: &Arc<dyn Store>, psps: &Psps, clock: &Arc<TestClock>) -> Arc<Engine> {
    Arc::new(engine_over(store, psps, clock, Arc::new(NoQueue)))
}

/// An engine before it is shared.
fn engine_over(store: &Arc<dyn Store>, psps: &Psps, clock: &Arc<TestClock>, queue: Arc<dyn Queue>) -> Engine {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Engine::new(Arc::clone(store), queue, clock, Arc::new(SystemRandom), psps.capabilities())
}

/// Sandboxes as PSP accounts under these names.
#[must_use]
pub fn psps(sandboxes: &[(&str, &Sandbox)], clock: &Arc<TestClock>) -> Arc<Psps> {
    psps_among(sandboxes, clock, &(Arc::new(Nothing) as Arc<dyn Breakers>))
}

/// The same, with circuit breakers that hear of others.
fn psps_among(sandboxes: &[(&str, &Sandbox)], clock: &Arc<TestClock>, others: &Arc<dyn Breakers>) -> Arc<Psps> {
    let account = |(name, sandbox): &(&str, &Sandbox)| {
        let config = stripe::StripeConfig::new(name, vec![WEBHOOK_SECRET.into()]).expect("the secret is long enough");
        let account = stripe::account(name, sandbox.url(), SECRET_KEY.into()).expect("a loopback URL");
        let client = PspClient::new(account, Arc::clone(clock) as Arc<dyn Clock>).expect("TLS can be set up");
        Psp { gateway: Arc::new(stripe::Stripe::new(config)), client: client.among(Arc::clone(others)) }
    };
    Arc::new(Psps::new(sandboxes.iter().map(account).collect()))
}

/// A sandbox whose webhooks are delivered by the test, and where cards answer when the test says so.
pub async fn sandbox() -> Arc<Sandbox> {
    let config = sandbox::Config {
        secret_key: SECRET_KEY.to_owned(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
        processing_delay: Duration::from_hours(1),
        ..sandbox::Config::default()
    };
    let sandbox = Sandbox::start(config).await.expect("a loopback port is free");
    sandbox.set_webhooks(WebhookMode::Off);
    Arc::new(sandbox)
}

impl World {
    /// A world over this store.
    pub async fn over(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(TestClock::new());
        let merchant = MerchantId::new(clock.now(), [rand::random(), rand::random()]);
        let id = ApiKeyId::new(clock.now(), [rand::random(), rand::random()]);
        let (secret, key) = api::new_api_key(rand::random(), Mode::Test, id, merchant, clock.now());
        crate::written::is_secret(secret.expose_secret());
        store.add_api_key(&key).await.expect("the key is new");
        let process = Process::sharing(Shared::alone(Arc::clone(&clock) as Arc<dyn Clock>));
        Self::with(store, clock, [sandbox().await, sandbox().await], (merchant, secret), process).await
    }

    /// The same world in a process that was started again, perhaps over a store that behaves differently.
    pub async fn again(&self, store: Arc<dyn Store>) -> Self {
        let shared = Shared::alone(Arc::clone(&self.clock) as Arc<dyn Clock>);
        self.beside(store, Process::sharing(shared)).await
    }

    /// Another process of the same world.
    pub async fn beside(&self, store: Arc<dyn Store>, process: Process) -> Self {
        let sandboxes = [Arc::clone(&self.sandbox), Arc::clone(&self.other)];
        Self::with(store, Arc::clone(&self.clock), sandboxes, (self.merchant, self.secret.clone()), process).await
    }

    async fn with(
        store: Arc<dyn Store>,
        clock: Arc<TestClock>,
        [sandbox, other]: [Arc<Sandbox>; 2],
        (merchant, secret): (MerchantId, SecretString),
        process: Process,
    ) -> Self {
        let Process { shared, rate_limit, stop, queue, timeouts } = process;
        let psps = psps_among(&[("sandbox", &sandbox), (OTHER_PSP, &other)], &clock, &shared.breakers);
        let engine = engine_over(&store, &psps, &clock, queue).announcing(Arc::clone(&shared.moves));
        let engine = Arc::new(engine.timed_by(timeouts));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let api = listener.local_addr().expect("it is bound");
        let state = api::ApiState {
            engine: Arc::clone(&engine),
            gateways: Arc::new(psps.gateways()),
            config: api::ApiConfig {
                psps: api::PspOrder::new("sandbox", vec![OTHER_PSP.to_owned()]),
                docs_url: None,
                psp_modes: ["sandbox", OTHER_PSP].map(|name| (name.to_owned(), Mode::Test)).into(),
                rate_limit,
                webhook_reach: Reach::PublicAndLoopback,
            },
            metrics: Arc::new(String::new),
            shared,
            stop,
        };
        let router = api::router(state);
        let served = router.clone();
        let serving = tokio::spawn(async move { axum::serve(listener, served).await }).abort_handle();
        let worker = worker(&engine, &psps, "test");
        let http = http_client();
        Self { store, engine, sandbox, other, psps, clock, worker, api, router, http, merchant, secret, serving }
    }

    /// A POST with this world's key.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let response = self
            .http
            .post(format!("http://{}{path}", self.api))
            .bearer_auth(self.secret.expose_secret())
            .header("Idempotency-Key", key)
            .json(body)
            .send()
            .await
            .expect("the API answers");
        let status = response.status();
        (status, response.json().await.expect("answers are JSON"))
    }

    /// A GET with this world's key.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.http.get(format!("http://{}{path}", self.api)).bearer_auth(self.secret.expose_secret());
        let response = request.send().await.expect("the API answers");
        let status = response.status();
        (status, response.json().await.expect("answers are JSON"))
    }

    /// Charges 12.00 EUR over the API.
    pub async fn charge(&self, payment_method: &str, capture_method: &str) -> PaymentId {
        let key = format!("key-{:032x}", rand::random::<u128>());
        self.charge_as(&key, payment_method, capture_method).await
    }

    /// Charges 12.00 EUR with another means of payment at the second PSP account.
    pub async fn charge_with_fallback(&self, payment_method: &str, fallback: &str) -> PaymentId {
        let body = json!({
            "amount": 1200, "currency": "eur", "payment_method": payment_method,
            "fallback_payment_methods": {OTHER_PSP: fallback},
        });
        let (status, charge) = self.post("/v1/charges", &format!("key-{:032x}", rand::random::<u128>()), &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{charge}");
        charge["id"].as_str().expect("a charge has an id").parse().expect("of our kind")
    }

    /// The same under a key of the test's choice.
    pub async fn charge_as(&self, key: &str, payment_method: &str, capture_method: &str) -> PaymentId {
        let body = json!({
            "amount": 1200, "currency": "eur", "payment_method": payment_method, "capture_method": capture_method,
        });
        let (status, charge) = self.post("/v1/charges", key, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{charge}");
        charge["id"].as_str().expect("a charge has an id").parse().expect("of our kind")
    }

    /// Works until nothing is due at this time.
    pub async fn work(&self) {
        self.work_with(&self.worker).await;
    }

    /// The same with another worker of this world.
    pub async fn work_with(&self, worker: &Worker) {
        for _ in 0..MAX_ROUNDS {
            if worker.run_once().await.expect("the store answers") == 0 {
                return;
            }
        }
        panic!("payments are still due after {MAX_ROUNDS} rounds of work: something goes in circles");
    }

    /// Works with many payments at a time until nothing is due.
    pub async fn work_until_idle(&self) {
        let stop = tokio_util::sync::CancellationToken::new();
        let working = tokio::spawn({
            let (worker, stop) = (self.worker.clone(), stop.clone());
            async move { worker.run(stop).await }
        });
        while !self.store.due(self.clock.now(), None, 1).await.expect("the store answers").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.cancel();
        working.await.expect("the worker does not panic");
        self.work().await;
    }

    /// Works, moving the clock whenever nothing is due, for as long as any payment backs off.
    pub async fn work_patiently(&self) {
        self.work().await;
        for _ in 0..MAX_ROUNDS {
            self.clock.skip(BACKOFF);
            self.work().await;
        }
    }

    /// Makes a call as a worker would that got this key prefix, and returns what came of it.
    pub async fn call(&self, operation: Operation, payment: &Payment, key: &str) -> Outcome {
        let psp = self.psps.get(&payment.psp).expect("the payment goes to a PSP of ours");
        let key = format!("{key}-{operation}");
        let request = psp.gateway.request(Call { operation, payment, key: &key });
        let answer = psp.client.send(operation, request, CALL_TIMEOUT).await.expect("the sandbox answers");
        psp.gateway.read(operation, payment, &answer)
    }

    /// The payment as it stands.
    pub async fn payment(&self, id: PaymentId) -> Payment {
        self.store.load(&[id]).await.expect("the store answers").pop().flatten().expect("the payment exists")
    }

    /// Its history as a ledger.
    pub async fn ledger(&self, id: PaymentId) -> String {
        timeline::ledger(&self.store.history(id).await.expect("the store answers"))
    }

    /// Delivers a webhook as the PSP would, signed at this world's time.
    pub async fn deliver(&self, event: &EventRecord) -> StatusCode {
        self.deliver_from("sandbox", event).await
    }

    /// The same, from the PSP account of this name.
    pub async fn deliver_from(&self, psp: &str, event: &EventRecord) -> StatusCode {
        let signature = sandbox::sign(WEBHOOK_SECRET, self.clock.now().as_second(), &event.body);
        self.post_webhook(psp, event.body.to_vec(), &signature).await
    }

    /// Posts bytes to the webhook route with this signature.
    pub async fn deliver_signed(&self, body: Vec<u8>, signature: &str) -> StatusCode {
        self.post_webhook("sandbox", body, signature).await
    }

    async fn post_webhook(&self, psp: &str, body: Vec<u8>, signature: &str) -> StatusCode {
        let request = self.http.post(format!("http://{}/v1/webhooks/{psp}", self.api));
        let request = request.header("Stripe-Signature", signature).header("Content-Type", "application/json");
        request.body(body).send().await.expect("the API answers").status()
    }

    /// The sandbox's events of this payment so far.
    pub async fn events(&self, id: PaymentId) -> Vec<EventRecord> {
        let reference = self.payment(id).await.psp_reference.expect("known at the PSP");
        self.sandbox.events().into_iter().filter(|event| event.payment_intent == reference).collect()
    }
}
