//! The table of routes: what there is, and who may. A route that is not in it does not exist, and one without an access
//! cannot be written.
//!
//! What is seen is a GET, what is done is a POST. Not here: what `Access` means (`access`).

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::routing::{MethodRouter, any, get, post};

use crate::access::{self, login};
use crate::answer::Trouble;
use crate::desk::App;
use crate::pages::{acts, assets, audit, definition, letters, overview, payment, payments, psps, redrive, webhooks};

/// Who may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody: it says nothing about anything.
    Everybody,
    /// Whoever is about to log in.
    LoggingIn,
    /// Everybody who is logged in.
    Readers,
    /// Those whose role is to act.
    Operators,
}

/// One of our pages, or something that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// GET or POST.
    pub method: &'static str,
    /// As axum writes it.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
}

/// Everything there is.
fn table() -> Vec<(Route, MethodRouter<App>)> {
    let seen = |path, access, handler| (Route { method: "GET", path, access }, handler);
    let done = |path, access, handler| (Route { method: "POST", path, access }, handler);
    let (readers, operators) = (Access::Readers, Access::Operators);
    vec![
        seen("/ops/assets/{file}", Access::Everybody, get(assets::file)),
        seen("/ops/login", Access::LoggingIn, get(login::ask)),
        done("/ops/login", Access::LoggingIn, post(login::log_in)),
        done("/ops/logout", readers, post(login::log_out)),
        seen("/ops", readers, get(overview::whole)),
        seen("/ops/live", readers, get(overview::live)),
        seen("/ops/search", readers, get(payments::search)),
        seen("/ops/payments", readers, get(payments::list)),
        seen("/ops/payments/{id}", readers, get(payment::whole)),
        seen("/ops/payments/{id}/live", readers, get(payment::live)),
        seen("/ops/payments/{id}/raw.json", readers, get(payment::raw)),
        seen("/ops/payments/{id}/acts/{act}", operators, get(acts::plan)),
        done("/ops/payments/{id}/acts/{act}", operators, post(acts::perform)),
        seen("/ops/dead-letters", readers, get(letters::groups)),
        seen("/ops/dead-letters/redrive", operators, get(redrive::plan)),
        done("/ops/dead-letters/redrive", operators, post(redrive::run)),
        seen("/ops/webhooks", readers, get(webhooks::whole)),
        seen("/ops/webhooks/{endpoint}", readers, get(webhooks::endpoint)),
        done("/ops/webhooks/{endpoint}/resend", operators, post(webhooks::resend)),
        seen("/ops/definition", readers, get(definition::whole)),
        seen("/ops/psps", readers, get(psps::whole)),
        seen("/ops/psps/live", readers, get(psps::live)),
        done("/ops/psps/{psp}/pause", operators, post(psps::pause)),
        done("/ops/psps/{psp}/resume", operators, post(psps::resume)),
        seen("/ops/audit", readers, get(audit::whole)),
    ]
}

/// What there is and who may, for those who check it.
#[must_use]
pub fn all() -> Vec<Route> {
    table().into_iter().map(|(route, _)| route).collect()
}

/// The routes, each behind its access.
pub(crate) fn router(desk: &App) -> Router<App> {
    let mut router = Router::new();
    for (route, handler) in table() {
        let app = Arc::clone(desk);
        let gate = middleware::from_fn(move |request: Request, next: Next| {
            access::pass(Arc::clone(&app), route.access, request, next)
        });
        router = router.route(route.path, handler.route_layer(gate));
    }
    let nothing = || any(async || Trouble::NotFound("page"));
    router.route("/ops/", nothing()).route("/ops/{*path}", nothing())
}
