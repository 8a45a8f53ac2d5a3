//! What surrounds every page: headers that let a browser load and frame nothing of others', limits, metrics, and panics
//! that become answers.
//!
//! Not here: who may see what (`access`).

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use tracing::Instrument as _;

use crate::answer::Trouble;
use crate::desk::App;

/// What a page may load and where its forms may go: here, and nowhere else. Nothing inline, nothing evaluated.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How long a page may take. A batch of redrives takes the longest.
const TIMEOUT: Duration = Duration::from_secs(20);

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// On every answer, whatever it is.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (OPENER_POLICY, "same-origin"),
    (RESOURCE_POLICY, "same-origin"),
    (PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=()"),
];

/// Puts the routes behind all of it.
pub(crate) fn around(routes: Router<App>) -> Router<App> {
    routes.layer(middleware::from_fn(pass))
}

async fn pass(request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("/ops/{*path}", MatchedPath::as_str).to_owned();
    let method = if request.method() == http::Method::POST { "POST" } else { "GET" };
    let span = tracing::info_span!("ops", method, route);
    // A task of its own: who closes the browser cuts nothing off half-way.
    let task = tokio::spawn(next.run(request).instrument(span.clone()));
    let mut response = match tokio::time::timeout(TIMEOUT, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            span.in_scope(|| tracing::error!(panicked = panic.is_panic(), "a page ended without an answer"));
            Trouble::Defect.into_response()
        }
        Err(_elapsed) => {
            span.in_scope(|| tracing::error!("a page took too long"));
            Trouble::TooSlow.into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Whatever is not the same for everybody for ever is not kept.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    count(route, method, &response, arrived.elapsed());
    response
}

fn count(route: String, method: &'static str, response: &Response, latency: Duration) {
    let status = response.status().as_u16().to_string();
    metrics::counter!("fincore_http_requests_total", "route" => route.clone(), "method" => method, "status" => status)
        .increment(1);
    metrics::histogram!("fincore_http_request_duration_seconds", "route" => route, "method" => method)
        .record(latency.as_secs_f64());
}
