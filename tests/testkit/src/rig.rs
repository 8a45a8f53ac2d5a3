//! The engine and a worker over a throw-away file, in front of a PSP: what most tests of payments need.
//!
//! The test owns the clock, drives the worker by hand and delivers the webhooks. Not here: the HTTP API, PostgreSQL,
//! processes that die; the system's own tests have those.

use std::sync::Arc;
use std::time::Duration;

use activities::gateway::client::{Account, PspClient};
use activities::gateway::{adyen, stripe};
use activities::psps::{Psp, Psps};
use activities::worker::{Worker, WorkerOptions};
use tempfile::TempDir;
use workflow::definition::{self, State};
use workflow::engine::Engine;
use workflow::engine::client::{Charge, Request};
use workflow::event::Event;
use workflow::history::{self, Hash, HistoryRow};
use workflow::ids::{MerchantId, PaymentId};
use workflow::local_queue::NoQueue;
use workflow::money::Amount;
use workflow::payment::{CaptureMethod, Payment};
use workflow::port::clock::{Clock, SystemRandom};
use workflow::port::gateway::{Gateway, WebhookRefused};
use workflow::port::store::{RequestScope, Store, WebhookOutcome};
use workflow_sqlite::{SqliteOptions, SqliteStore};

use crate::clock::TestClock;
use crate::heard::hear;
use crate::psp::MockPsp;
use crate::webhooks::Webhooks;

/// A call that takes longer has timed out: long for a loopback connection, short for a test that waits for it.
const LONGEST_CALL: Duration = Duration::from_secs(1);
/// Rounds of work after which a payment that is still due goes in circles.
const MAX_ROUNDS: usize = 50;
/// Longer than the first backoffs.
const BACKOFF: Duration = Duration::from_secs(10);
/// A secret for an API where nobody looks at it.
const API_KEY: &str = "sk_test_0123456789abcdef0123456789abcdef";

/// The engine in front of a PSP.
pub struct Rig {
    /// The time.
    pub clock: Arc<TestClock>,
    /// The mover.
    pub engine: Arc<Engine>,
    /// The PSP's gateway.
    pub gateway: Arc<dyn Gateway>,
    worker: Worker,
    payment_method: &'static str,
    merchant: MerchantId,
    requests: std::sync::atomic::AtomicU64,
    _folder: TempDir,
}

impl Rig {
    /// In front of a mock PSP that speaks Stripe.
    ///
    /// # Panics
    /// When the mock speaks something else.
    pub async fn stripe(psp: &MockPsp) -> Self {
        Self::stripe_at(psp, &psp.url()).await
    }

    /// The same, reached at another URL: a [`crate::wire::FaultyWire`]'s.
    ///
    /// # Panics
    /// When the mock speaks something else.
    pub async fn stripe_at(psp: &MockPsp, url: &str) -> Self {
        assert_eq!(psp.dialect().psp(), "stripe", "Rig::stripe needs MockPsp::stripe()");
        let config = stripe::StripeConfig::new("stripe", vec![psp.webhook_secret().into()]);
        let gateway = stripe::Stripe::new(config.expect("the mock's secret is a secret"));
        let account = stripe::account("stripe", url, API_KEY.into()).expect("a loopback URL");
        Self::with(Arc::new(gateway), account, psp.dialect().payment_method()).await
    }

    /// In front of a mock PSP that speaks Adyen.
    ///
    /// # Panics
    /// When the mock speaks something else.
    pub async fn adyen(psp: &MockPsp) -> Self {
        assert_eq!(psp.dialect().psp(), "adyen", "Rig::adyen needs MockPsp::adyen()");
        let keys = vec![psp.webhook_secret().into()];
        let config = adyen::AdyenConfig::new("adyen", crate::dialect::adyen::MERCHANT_ACCOUNT, keys, None);
        let gateway = adyen::Adyen::new(config.expect("the mock's key is a key"));
        let account = adyen::account("adyen", &format!("{}/v71", psp.url()), API_KEY.into()).expect("a loopback URL");
        Self::with(Arc::new(gateway), account, psp.dialect().payment_method()).await
    }

    /// In front of any PSP: its gateway, and the account where it is reached.
    ///
    /// # Panics
    /// When there is no room for a temporary file.
    pub async fn with(gateway: Arc<dyn Gateway>, account: Account, payment_method: &'static str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let store = SqliteStore::open(SqliteOptions::new(folder.path().join("fincore.db"))).await;
        let store = store.expect("the file can be opened");
        store.migrate().await.expect("the migrations can be applied");
        let clock = Arc::new(TestClock::new());
        let time = || Arc::clone(&clock) as Arc<dyn Clock>;
        let client = PspClient::new(account, time()).expect("TLS can be set up");
        let psps = Arc::new(Psps::new(vec![Psp { gateway: Arc::clone(&gateway), client }]));
        let random = Arc::new(SystemRandom);
        let engine = Arc::new(Engine::new(Arc::new(store), Arc::new(NoQueue), time(), random, psps.capabilities()));
        let options = WorkerOptions {
            name: "test".to_owned(),
            concurrency: 1,
            sweep_every: Duration::from_millis(20),
            sweep_grace: Duration::ZERO,
            longest_call: LONGEST_CALL,
            drain_timeout: Duration::from_secs(5),
        };
        let worker = Worker::new(Arc::clone(&engine), psps, options);
        let merchant = MerchantId::new(clock.now(), engine.random_pair());
        Self { clock, engine, gateway, worker, payment_method, merchant, requests: 0.into(), _folder: folder }
    }

    /// Where payments are kept.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        self.engine.store()
    }

    /// Asks for a charge that is captured as soon as it is authorized. Nothing happens until [`Rig::work`].
    pub async fn charge(&self, amount_minor: i64, currency: &str) -> PaymentId {
        let payment_method = self.payment_method;
        self.charge_with(amount_minor, currency, payment_method, CaptureMethod::Automatic).await
    }

    /// The same with everything that is usually the same.
    ///
    /// # Panics
    /// When amount or currency cannot be one.
    pub async fn charge_with(
        &self,
        amount_minor: i64,
        currency: &str,
        payment_method: &str,
        capture_method: CaptureMethod,
    ) -> PaymentId {
        let charge = Charge {
            psp: self.gateway.psp().to_owned(),
            payment_method: payment_method.to_owned(),
            fallbacks: Vec::new(),
            amount: Amount::try_from(amount_minor).expect("an amount that can be charged"),
            currency: currency.parse().expect("a currency"),
            capture_method,
            return_url: Some("https://shop.example/back".to_owned()),
            description: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let reply = self.engine.start(charge, self.request("charge"), &|_| String::new()).await;
        reply.expect("the store answers").payment_id
    }

    /// Asks for the capture of an authorized charge, whole or in part.
    pub async fn capture(&self, id: PaymentId, amount_minor: Option<i64>) {
        let amount_minor = match amount_minor {
            Some(amount_minor) => amount_minor,
            None => self.payment(id).await.amount_minor,
        };
        self.ask(id, Event::CaptureRequested { amount_minor }).await;
    }

    /// Asks for a charge to be canceled.
    pub async fn cancel(&self, id: PaymentId) {
        self.ask(id, Event::CancelRequested { reason: None }).await;
    }

    /// Hands over what the customer came back with.
    pub async fn complete_action(&self, id: PaymentId, result: &str) {
        self.ask(id, Event::ActionCompleted { result: result.to_owned() }).await;
    }

    async fn ask(&self, id: PaymentId, event: Event) {
        let reply = self.engine.request(id, event, self.request("change"), &|_| String::new()).await;
        reply.expect("the payment allows it");
    }

    fn request(&self, route: &str) -> Request {
        let number = self.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let key = format!("request-{number}");
        Request {
            fingerprint: Hash::of(key.as_bytes()),
            scope: RequestScope { merchant_id: self.merchant, route: route.to_owned(), key },
            actor: "test".to_owned(),
        }
    }

    /// Works until nothing is due at this time.
    ///
    /// # Panics
    /// When something goes in circles.
    pub async fn work(&self) {
        for _ in 0..MAX_ROUNDS {
            if self.worker.run_once().await.expect("the store answers") == 0 {
                return;
            }
        }
        panic!("payments are still due after {MAX_ROUNDS} rounds of work: something goes in circles");
    }

    /// Works, moving the clock whenever nothing is due, for as long as any payment backs off.
    pub async fn work_patiently(&self) {
        self.work().await;
        for _ in 0..MAX_ROUNDS {
            self.clock.skip(BACKOFF);
            self.work().await;
        }
    }

    /// Delivers webhooks as the API does, signed at the rig's time: verified, then told to the engine. One result for
    /// each item, in order.
    pub async fn deliver(&self, webhooks: Webhooks) -> Vec<Result<WebhookOutcome, WebhookRefused>> {
        let mut results = Vec::new();
        for signed in webhooks.at(self.clock.now()).signed() {
            results.extend(self.hear(&signed).await);
        }
        results
    }

    async fn hear(&self, signed: &crate::dialect::Signed) -> Vec<Result<WebhookOutcome, WebhookRefused>> {
        let heard = match hear(self.gateway.as_ref(), signed, self.clock.now()) {
            Ok(heard) => heard,
            Err(refused) => return vec![Err(refused)],
        };
        let mut outcomes = Vec::with_capacity(heard.len());
        for (item, notification) in heard {
            let outcome = self.engine.webhook(self.gateway.psp(), notification, &item).await;
            outcomes.push(Ok(outcome.expect("the store answers")));
        }
        outcomes
    }

    /// The payment as it stands.
    ///
    /// # Panics
    /// When there is none.
    pub async fn payment(&self, id: PaymentId) -> Payment {
        Arc::unwrap_or_clone(self.engine.load(id).await.expect("the store answers").expect("the payment exists"))
    }

    /// Where the payment stands.
    pub async fn state(&self, id: PaymentId) -> State {
        self.payment(id).await.state
    }

    /// Its history.
    pub async fn history(&self, id: PaymentId) -> Vec<HistoryRow> {
        self.store().history(id).await.expect("the store answers")
    }

    /// Compares its history with what it should be, as `fincore show` tells it, without times.
    ///
    /// # Panics
    /// When it is another; the message shows where.
    pub async fn assert_history(&self, id: PaymentId, expected: &str) {
        crate::history::assert_history(&self.history(id).await, expected);
    }

    /// Ends a test: nothing due, nothing leased, the chain intact, and the PSP's books agree with ours.
    ///
    /// # Panics
    /// When it is not so.
    pub async fn finish(self, psp: &MockPsp) {
        let due = self.store().due(self.clock.now(), None, 10).await.expect("the store answers");
        assert!(due.is_empty(), "a test ends with nothing due: {due:?}");
        let mut after = None;
        loop {
            let page = self.store().walk(after, 100).await.expect("the store answers");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for payment in &page {
                assert!(!payment.is_leased(), "{} is still leased", payment.id);
                history::verify(payment, &self.history(payment.id).await).expect("the chain is intact");
                agree(psp, payment);
            }
        }
        psp.verify();
    }
}

/// The PSP's books and our row tell the same story, and the money moved at most once.
fn agree(psp: &MockPsp, payment: &Payment) {
    let effects = psp.effects().of(payment.id);
    assert!(effects.authorized() <= 1, "{} was authorized more than once:\n{effects}", payment.id);
    assert!(effects.captured() <= 1, "{} was captured more than once:\n{effects}", payment.id);
    if !definition::has_ended(payment.state) {
        return;
    }
    let (captured, refunded) =
        psp.account(payment.id).map_or((0, 0), |kept| (kept.captured_minor, kept.refunded_minor));
    let ours = (payment.amount_captured_minor, payment.amount_refunded_minor);
    assert_eq!(ours, (captured, refunded), "{}: captured and refunded, ours and the PSP's:\n{effects}", payment.id);
    let is_held = effects.authorized() > effects.voided() + effects.captured();
    assert!(!is_held, "{} ended as {} and still holds money:\n{effects}", payment.id, payment.state);
}
