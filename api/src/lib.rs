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
use workflow::port::gateway::Gateway;

pub use auth::{KeyMode, new_api_key, secret_hash};

/// Requests of clients and PSPs that are worked on at the same time. More wait in vain: they are turned away with
/// a problem that says when to come back. As many as may wait in one lane of the engine.
const MAX_IN_FLIGHT: usize = 4_096;

/// What the API is told by configuration.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The PSP account that new charges go to.
    pub default_psp: String,
    /// Where the table of error codes can be read; problems link to `{docs_url}#{code}`.
    pub docs_url: Option<String>,
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
