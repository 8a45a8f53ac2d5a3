//! The HTTP API: it reads a request, has the engine record it, and answers at once.
//!
//! Start reading at [`router`]. A request passes `front` (request id, limits, panics, metrics, rendering of problems),
//! is counted (`rate_limit`), parsed at the door (`auth`, `idempotency`, `parse`, `fields`, `card_data`), handled by one
//! file in `routes`, and shown by `view`; its answer may then wait (`waiting`). Everything that can go wrong is a row of
//! the table in [`problem`].
//!
//! Deliberately not here: deciding what a request does to a payment (the engine), calling PSPs (workers), knowing
//! which database, queue or PSP there is, and opening sockets (whoever wires the program together).

mod auth;
mod cache;
mod card_data;
mod document;
mod expand;
mod fields;
mod front;
mod idempotency;
mod parse;
pub mod problem;
mod rate_limit;
mod routes;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::middleware;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use workflow::endpoint_url::Reach;
use workflow::engine::Engine;
use workflow::ids::MerchantId;
use workflow::port::gateway::Gateway;
use workflow::port::rate_limits::RateLimit;
use workflow::port::store::Mode;
use workflow::shared::Shared as SharedState;
use workflow::waiting::WaitingRoom;

pub use auth::{new_api_key, new_secret, secret_hash};
pub use routes::metrics::METRICS_TYPE;

/// Requests of clients that are worked on at the same time. More wait in vain: they are turned away with a problem that
/// says when to come back. As many as may wait in one lane of the engine.
const CLIENTS_IN_FLIGHT: usize = 4_096;

/// The same for webhooks of PSPs. They have places of their own: neither can take them from the other.
const WEBHOOKS_IN_FLIGHT: usize = 1_024;

/// What the API is told by configuration.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The PSP accounts that new charges go to.
    pub psps: PspOrder,
    /// Where the table of error codes can be read, if not at this server; problems link to `{docs_url}#{code}`.
    pub docs_url: Option<String>,
    /// Whether each PSP account moves real money. Charges go only to accounts of their merchant's mode, and so to none
    /// that is not in here.
    pub psp_modes: HashMap<String, Mode>,
    /// How many requests an API key may make.
    pub rate_limit: Option<RateLimit>,
    /// How far webhook endpoints may reach.
    pub webhook_reach: Reach,
}

/// Which PSP accounts new charges go to: the first one, and the others in this order where the client names a means of
/// payment there.
#[derive(Clone, Debug)]
pub struct PspOrder {
    first: String,
    others: Vec<String>,
    by_merchant: HashMap<MerchantId, (String, Vec<String>)>,
}

impl PspOrder {
    /// An order for all merchants.
    #[must_use]
    pub fn new(first: impl Into<String>, others: Vec<String>) -> Self {
        Self { first: first.into(), others, by_merchant: HashMap::new() }
    }

    /// Another order for one merchant.
    #[must_use]
    pub fn and_for(mut self, merchant: MerchantId, first: impl Into<String>, others: Vec<String>) -> Self {
        self.by_merchant.insert(merchant, (first.into(), others));
        self
    }

    fn of(&self, merchant: MerchantId) -> (&str, &[String]) {
        self.by_merchant.get(&merchant).map_or((self.first.as_str(), self.others.as_slice()), |(first, others)| {
            (first.as_str(), others.as_slice())
        })
    }
}

/// What the API works with.
#[derive(Clone)]
pub struct ApiState {
    /// The mover of payments.
    pub engine: Arc<Engine>,
    /// PSPs by the name in their webhook path.
    pub gateways: Arc<HashMap<String, Arc<dyn Gateway>>>,
    /// Configuration.
    pub config: ApiConfig,
    /// The metrics as Prometheus text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The fast state, shared with other processes or not.
    pub shared: SharedState,
    /// Cancelled when the process is to stop: whoever waits is answered.
    pub stop: CancellationToken,
}

/// What handlers share.
struct Shared {
    engine: Arc<Engine>,
    gateways: Arc<HashMap<String, Arc<dyn Gateway>>>,
    config: ApiConfig,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    shared: SharedState,
    waiting: WaitingRoom,
    keys: auth::KeyCache,
    clients_in_flight: Arc<Semaphore>,
    webhooks_in_flight: Arc<Semaphore>,
    openapi: Bytes,
}

type App = Arc<Shared>;

/// The whole API, ready to be served.
pub fn router(state: ApiState) -> Router {
    let ApiState { engine, gateways, config, metrics, shared, stop } = state;
    let app = Arc::new(Shared {
        waiting: WaitingRoom::open(Arc::clone(&engine), Arc::clone(&shared.moves), stop),
        engine,
        gateways,
        config,
        metrics,
        shared,
        keys: auth::KeyCache::default(),
        clients_in_flight: Arc::new(Semaphore::new(CLIENTS_IN_FLIGHT)),
        webhooks_in_flight: Arc::new(Semaphore::new(WEBHOOKS_IN_FLIGHT)),
        openapi: Bytes::from(openapi_json()),
    });
    let limited = middleware::from_fn_with_state(Arc::clone(&app), rate_limit::pass);
    let routes = routes::of_clients().route_layer(limited).merge(routes::of_others());
    front::around(routes.into(), &app).with_state(app)
}

/// The OpenAPI 3.1 document, as it is served and committed.
#[must_use]
pub fn openapi_json() -> String {
    document::text(routes::all().into_openapi())
}
