//! The HTTP API: it reads a request, has the engine record it, and answers at once.
//!
//! Start reading at [`router`]. A request passes `front` (request id, limits, panics, metrics, rendering of
//! problems), is parsed at the door (`auth`, `idempotency`, `parse`, `fields`, `card_data`), handled by one file in
//! `routes`, and shown by `view`. Everything that can go wrong is a row of the table in [`problem`].
//!
//! Deliberately not here: deciding what a request does to a payment (the engine), calling PSPs (workers), knowing
//! which database, queue or PSP there is, and opening sockets (whoever wires the program together).

mod auth;
mod card_data;
mod document;
mod fields;
mod front;
mod idempotency;
mod parse;
pub mod problem;
mod routes;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use tokio::sync::Semaphore;
use workflow::engine::Engine;
use workflow::ids::MerchantId;
use workflow::port::gateway::Gateway;

pub use auth::{KeyMode, new_api_key, secret_hash};

/// Requests of clients and PSPs that are worked on at the same time. More wait in vain: they are turned away with
/// a problem that says when to come back. As many as may wait in one lane of the engine.
const MAX_IN_FLIGHT: usize = 4_096;

/// What the API is told by configuration.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The PSP accounts that new charges go to.
    pub psps: PspOrder,
    /// Where the table of error codes can be read; problems link to `{docs_url}#{code}`.
    pub docs_url: Option<String>,
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
}

/// What handlers share.
struct Shared {
    engine: Arc<Engine>,
    gateways: Arc<HashMap<String, Arc<dyn Gateway>>>,
    config: ApiConfig,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    keys: auth::KeyCache,
    in_flight: Arc<Semaphore>,
    openapi: Bytes,
}

type App = Arc<Shared>;

/// The whole API, ready to be served.
pub fn router(state: ApiState) -> Router {
    let ApiState { engine, gateways, config, metrics } = state;
    let (routes, openapi) = routes::all().split_for_parts();
    let app = Arc::new(Shared {
        engine,
        gateways,
        config,
        metrics,
        keys: auth::KeyCache::default(),
        in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        openapi: Bytes::from(document::text(openapi)),
    });
    front::around(routes, &app).with_state(app)
}

/// The OpenAPI 3.1 document, as it is served and committed.
#[must_use]
pub fn openapi_json() -> String {
    document::text(routes::all().into_openapi())
}
