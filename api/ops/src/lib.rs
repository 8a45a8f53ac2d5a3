//! The operators' pages at `/ops`: see every payment's workflow, understand it, put it right.
//!
//! Pages are rendered here, from templates that are compiled in, with one style sheet and one small script; everything
//! works without the script. Start reading at the table in `routes`. A request passes `front` (headers, limits, panics),
//! then `access` (who is it, may they, is the form ours), and is answered by one file in `pages`.
//!
//! Deliberately not here: deciding what an act does to a payment (the engine), the API of merchants (`api`), and knowing
//! which database, queue or PSP there is.

mod access;
mod answer;
mod desk;
mod diagram;
mod front;
mod humane;
mod pages;
pub mod password;
mod routes;

use std::sync::Arc;

use axum::Router;
use http::HeaderName;
use workflow::engine::Engine;
use workflow::port::breakers::Breakers;
use workflow::port::operators::Operators;
use workflow::port::overview::Overview;

pub use access::network::{InvalidNetwork, Network};
pub use access::{IDLE, LONGEST};
pub use routes::{Access, Route, all as all_routes};

/// What the pages are told by configuration.
#[derive(Clone, Debug, Default)]
pub struct OpsConfig {
    /// How the session's cookie travels.
    pub cookies: Cookies,
    /// Whose word about where a request came from is taken.
    pub trusted_proxies: Vec<Network>,
    /// Where those proxies say who it is. Set, it is the only way to log in.
    pub user_header: Option<HeaderName>,
}

/// How the session's cookie travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cookies {
    /// Over TLS alone: what is in front of this program speaks it.
    #[default]
    Secure,
    /// Also in the clear: for development on one machine.
    Plain,
}

/// What the pages work with.
#[derive(Clone)]
pub struct OpsState {
    /// The mover of payments.
    pub engine: Arc<Engine>,
    /// Who operates.
    pub operators: Arc<dyn Operators>,
    /// What is read across all merchants.
    pub overview: Arc<dyn Overview>,
    /// News of the PSP accounts' circuit breakers.
    pub breakers: Arc<dyn Breakers>,
    /// The PSP accounts there are.
    pub psps: Vec<String>,
    /// Configuration.
    pub config: OpsConfig,
}

/// The pages, ready to be served: everything at `/ops` and below.
pub fn router(state: OpsState) -> Router {
    let desk = Arc::new(desk::Desk::open(state));
    front::around(routes::router(&desk)).with_state(desk)
}
