//! A stateful sandbox PSP that speaks Stripe's wire format on a loopback port, so that development, system tests and
//! benchmarks run the real gateway against something that keeps books and fails on demand.
//!
//! Magic payment methods are in [`scenario::SCENARIOS`]; [`Sandbox::fail_next`] makes any call fail;
//! [`Sandbox::settle`] lets what is still to come happen now; [`Sandbox::ledger`] says what really happened to the money.
//! The handbook for people is `docs/SANDBOX.md` ([`manual`]).
//!
//! Not here: anything of the payment engine. The sandbox knows only `metadata[fincore_payment]`, as a PSP would.
//! It is for tests: no TLS, one key, and everything it knows in memory (and in a journal, if asked).

mod answer;
mod clock;
mod connection;
mod control;
mod error;
mod event;
mod faults;
mod idempotency;
mod ids;
mod intent;
mod journal;
mod ledger;
mod limits;
mod machine;
pub mod manual;
mod page;
mod params;
mod routes;
pub mod scenario;
mod shared;
mod state;
mod webhook;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::connection::{Cut, Loopback};
use crate::machine::LateStep;
use crate::shared::{Counters, Shared};
use crate::state::State;
use crate::webhook::Webhooks;

pub use crate::ledger::{Entry, EntryKind};
pub use crate::machine::{Authentication, Settled};
pub use crate::scenario::{DisputeKind, DisputePlan, Fault, Operation, Verdict};
pub use crate::shared::Requests;
pub use crate::webhook::{Delivery, EventRecord, ReleaseOrder, WebhookMode, sign};

/// The version of Stripe's API whose shapes are answered and sent.
pub const API_VERSION: &str = "2025-09-30.clover";

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key that clients must send as `Authorization: Bearer …`.
    pub secret_key: String,
    /// Where webhooks go (plain HTTP); none are sent without it.
    pub webhook_url: Option<String>,
    /// The endpoint secret that signs webhooks.
    pub webhook_secret: String,
    /// How long everything takes that happens later: a payment stays in `processing`, a dispute opens, a refund fails.
    pub processing_delay: Duration,
    /// How long the scenarios take that come after everybody has stopped waiting.
    pub long_delay: Duration,
    /// Keeps the state across restarts in this file; without it, in memory only.
    pub journal: Option<PathBuf>,
    /// The port on 127.0.0.1; zero takes a free one.
    pub port: u16,
}

impl Default for Config {
    /// Known secrets, a free port, no webhooks, one second of `processing`, an hour for the long delay, nothing kept.
    fn default() -> Self {
        Self {
            secret_key: "sk_test_sandbox".to_owned(),
            webhook_url: None,
            webhook_secret: "whsec_sandbox".to_owned(),
            processing_delay: Duration::from_secs(1),
            long_delay: Duration::from_hours(1),
            journal: None,
            port: 0,
        }
    }
}

/// A running sandbox. Dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Sandbox {
    /// Starts on the loopback interface, inside the current Tokio runtime.
    ///
    /// # Errors
    /// The port is taken, or the journal cannot be read or is damaged before its last line.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
        let address = listener.local_addr()?;
        let base_url = format!("http://{address}");
        let stop = CancellationToken::new();
        let webhooks = Webhooks::new(config.webhook_url, config.webhook_secret, config.processing_delay, stop.clone())?;
        let state = State::open(config.journal.as_deref(), Arc::clone(&webhooks), base_url.clone())?;
        let awaited = state.awaited();
        let down = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            webhooks,
            authorization: format!("Bearer {}", config.secret_key),
            base_url,
            processing_delay: config.processing_delay,
            long_delay: config.long_delay,
            runtime: Handle::current(),
            down: Arc::clone(&down),
            counters: Counters::default(),
            stop: stop.clone(),
        });
        shared.arm(&awaited);
        let service = routes::router(Arc::clone(&shared)).into_make_service_with_connect_info::<Cut>();
        let serving = axum::serve(Loopback::new(listener, down), service)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        let server = tokio::spawn(async move {
            // axum's server ends only by the shutdown above.
            let _ = serving.await;
        });
        Ok(Self { shared, address, server: Mutex::new(Some(server)) })
    }

    /// `http://127.0.0.1:…`, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.shared.base_url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: nothing is accepted any more, hanging calls are cut, webhooks under way are given up.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut server) = server
            && tokio::time::timeout(limits::STOP_WAIT, &mut server).await.is_err()
        {
            server.abort();
        }
    }

    /// Every effect on money so far, in the order in which they happened.
    pub fn ledger(&self) -> Vec<Entry> {
        self.shared.state().ledger.clone()
    }

    /// How many requests each route has seen.
    pub fn requests(&self) -> Requests {
        self.shared.counters.read()
    }

    /// The next `times` calls of this kind meet this fault, whatever their payment method; several such orders are
    /// used up one after the other. Refused requests (401, malformed ones) use up nothing; replayed answers only
    /// faults of the connection. A call with a programmed fault does not meet the one of its payment method as well.
    /// With `times` 0, what is left of earlier orders of this kind is taken back: the PSP has recovered.
    pub fn fail_next(&self, operation: Operation, fault: Fault, times: u32) {
        self.shared.state().faults.program(operation, fault, times);
    }

    /// While down, every connection is closed without an answer.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::Relaxed);
    }

    /// As Stripe may do after 24 hours: a repeated idempotency key makes a new request.
    pub fn forget_idempotency_keys(&self) {
        self.shared.state().forget_keys();
    }

    /// Lets the card answer now to every payment in `processing`. Returns how many there were.
    pub fn settle_processing(&self) -> usize {
        let mut awaited = self.shared.state().awaited();
        awaited.retain(|late| matches!(late.step, LateStep::CardAnswers | LateStep::CaptureEnds));
        awaited.iter().filter(|late| self.shared.happen(late) == Settled::Now).count()
    }

    /// Lets everything that is still to come happen now, one step for each payment and refund: late answers, captures
    /// and refunds that fail, disputes that open (and, when called again, close). Returns how many steps there were.
    pub fn settle(&self) -> usize {
        self.shared.settle()
    }

    /// What the payer does on the authentication page, without the page.
    pub fn authenticate(&self, payment_intent: &str, answer: Authentication) -> Settled {
        self.shared.authenticate(payment_intent, answer)
    }

    /// The payer disputes a captured payment, whatever its payment method.
    pub fn open_dispute(&self, payment_intent: &str, plan: DisputePlan) -> Settled {
        self.shared.open_dispute(payment_intent, plan)
    }

    /// The bank decides an open dispute.
    pub fn close_dispute(&self, dispute: &str, verdict: Verdict) -> Settled {
        self.shared.close_dispute(dispute, verdict)
    }

    /// Where webhooks go from now on.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        self.shared.webhooks.set_url(Some(url.into()));
    }

    /// Whether webhooks are sent. Those that were not are sent by [`Sandbox::resend_webhook`] only.
    pub fn set_webhooks(&self, mode: WebhookMode) {
        self.shared.webhooks.set_mode(mode);
    }

    /// Holds webhooks back until [`Sandbox::release_webhooks`].
    pub fn hold_webhooks(&self) {
        self.shared.webhooks.hold();
    }

    /// Sends the held webhooks one after the other in this order, and stops holding. Returns how many arrived, when
    /// the last one has arrived or was given up.
    pub async fn release_webhooks(&self, order: ReleaseOrder) -> usize {
        self.shared.webhooks.release(order).await
    }

    /// Sends a recorded event once more, whatever the mode, and says how it went.
    pub async fn resend_webhook(&self, event_id: &str) -> Delivery {
        self.shared.webhooks.resend(event_id).await
    }

    /// The last 20,000 events, sent or not, the oldest first.
    pub fn events(&self) -> Vec<EventRecord> {
        self.shared.webhooks.recorded()
    }

    /// Returns when no webhook is under way (held ones are not).
    pub async fn webhooks_idle(&self) {
        self.shared.webhooks.idle().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}
