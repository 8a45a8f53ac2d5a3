//! What every request passes before and after its handler: the version of the API, limits, panics, request ids.
//!
//! A request is worked on in a task of its own. A client that hangs up therefore cancels nothing: database work goes
//! on to its end, and no connection goes back to its pool in the middle of a transaction. The same task contains
//! panics, and may outlive the time we let the client wait.
//!
//! Not here: limits per key ([`crate::rate_limit`]), and who may ask at all ([`crate::auth`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, Method, StatusCode};
use tracing::{Instrument, Span, field};
use workflow::trace::{self, TraceContext};

use crate::App;
use crate::card_data;
use crate::document::PROBLEM_JSON;
use crate::parse::BODY_MAX;
use crate::problem::{Code, PROBLEMS_URL, Problem};
use crate::waiting;

/// How long a client waits for an answer. Longer than any database timeout, shorter than usual clients' patience.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The version of the API that this server speaks, named in every answer: the day on which it was last changed in a way
/// that a client could notice as a break. Additions are none.
pub(crate) const API_VERSION: &str = "2026-11-22";

/// Which version a request was written for, and which one answered.
const FINCORE_VERSION: HeaderName = HeaderName::from_static("fincore-version");

/// Names the request in logs and problems.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Routes below this count against a limit of requests in flight; the others tell how the server is, also when it has too
/// much to do.
const LIMITED: &str = "/v1/";

/// Routes below this have a limit of their own.
const WEBHOOKS: &str = "/v1/webhooks/";

/// Bytes of a path with its query. The longest list request that makes sense, with four entries of metadata, takes half
/// of it.
const URI_MAX: usize = 16 * 1024;

/// Bytes of all headers together. Ours take some hundred; proxies and tracing add theirs.
const HEADERS_MAX: usize = 32 * 1024;

/// Puts the routes behind all of it.
pub(crate) fn around(routes: Router<App>, app: &App) -> Router<App> {
    routes
        .fallback(|| async { Problem::new(Code::RouteNotFound, "There is no such route.") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "This route does not take this method: see the `Allow` header.")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(app), pass))
}

async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let [high, low] = app.engine.random_pair();
    let id = format!("req_{high:016x}{low:016x}");
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        request_id = id,
        trace_id = field::Empty,
        latency_ms = field::Empty
    );
    let trace = trace::request(&span, told_trace(&request), [high, low]);
    let response = answer(&app, request, next, trace, &span).await;
    // How long a client chose to wait says nothing about how quick we are.
    let latency = arrived.elapsed();
    let response = waiting::wait(&app, response).await;
    let response = finish(&app, response, &id);
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    span.record("latency_ms", u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
    span.in_scope(|| tracing::debug!("answered"));
    count(method, route, status, latency);
    response
}

async fn answer(app: &App, request: Request, next: Next, trace: TraceContext, span: &Span) -> Response {
    if let Err(problem) = fits(&request) {
        return problem.into_response();
    }
    if card_data::found_in_uri(request.uri()) {
        let detail = "The path or query holds what looks like a card number; card data must not come here.";
        return Problem::new(Code::CardDataRefused, detail).into_response();
    }
    if let Some(problem) = of_another_version(&request) {
        return problem.into_response();
    }
    let path = request.uri().path();
    let pool = if path.starts_with(WEBHOOKS) { &app.webhooks_in_flight } else { &app.clients_in_flight };
    let place = if path.starts_with(LIMITED) { Some(Arc::clone(pool).try_acquire_owned()) } else { None };
    let Ok(place) = place.transpose() else {
        metrics::counter!("fincore_http_shed_total").increment(1);
        return Problem::new(Code::Overloaded, "Too many requests at once.").into_response();
    };
    let work = async move {
        let response = next.run(request).await;
        drop(place);
        response
    };
    let task = tokio::spawn(trace.within(work).instrument(span.clone()));
    match tokio::time::timeout(REQUEST_TIMEOUT, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            // Without the panic's words: they may repeat what was sent.
            span.in_scope(|| tracing::error!(panicked = panic.is_panic(), "request ended without an answer"));
            Problem::internal().into_response()
        }
        Err(_elapsed) => {
            span.in_scope(|| tracing::error!("request took too long"));
            let detail = "Recording the request took too long; it may still be recorded. Repeat it with the same key.";
            Problem::new(Code::ProcessingTimeout, detail).into_response()
        }
    }
}

/// The refusal of a request that was written for a version which is not spoken here. Whoever names none gets the one
/// there is.
fn of_another_version(request: &Request) -> Option<Problem> {
    let mut asked = request.headers().get_all(FINCORE_VERSION).iter();
    asked.any(|version| version != API_VERSION).then(|| {
        let detail = format!("This server speaks the API's version `{API_VERSION}`, and no other.");
        Problem::new(Code::ApiVersionUnknown, detail).about("FinCore-Version")
    })
}

/// Whether what comes before the body is of a size that is worth reading.
fn fits(request: &Request) -> Result<(), Problem> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > URI_MAX) {
        return Err(Problem::new(Code::UriTooLong, "The path and the query are longer than 16 KiB."));
    }
    let bytes: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADERS_MAX {
        return Err(Problem::new(Code::HeadersTooLarge, "All headers together are larger than 32 KiB."));
    }
    Ok(())
}

/// The caller's trace, should it have one that can be read.
fn told_trace(request: &Request) -> Option<TraceContext> {
    request.headers().get("traceparent")?.to_str().ok()?.parse().ok()
}

/// Renders a problem, and adds what every response has.
fn finish(app: &App, mut response: Response, id: &str) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = Body::from(problem.body(id, app.config.docs_url.as_deref().unwrap_or(PROBLEMS_URL)));
        let headers = response.headers_mut();
        headers.remove(http::header::CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        let facts = problem.code.facts();
        if let Some(seconds) = facts.retry_after_seconds {
            // Whoever knows better has said so.
            headers.entry(RETRY_AFTER).or_insert(HeaderValue::from(seconds));
        }
        if let Some(challenge) = challenge(problem.code) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(FINCORE_VERSION, HeaderValue::from_static(API_VERSION));
    let id = HeaderValue::from_str(id).expect("a request id is hexadecimal behind a prefix");
    headers.insert(REQUEST_ID, id);
    response
}

/// The challenge by RFC 6750: without credentials it names no error.
fn challenge(code: Code) -> Option<&'static str> {
    if code == Code::ScopeMissing {
        return Some(r#"Bearer realm="fincore", error="insufficient_scope""#);
    }
    if code == Code::ApiKeyInvalid {
        return Some(r#"Bearer realm="fincore", error="invalid_token""#);
    }
    (code.facts().status == StatusCode::UNAUTHORIZED).then_some(r#"Bearer realm="fincore""#)
}

fn count(method: &'static str, route: &str, status: StatusCode, latency: Duration) {
    let route = route.to_owned();
    metrics::counter!(
        "fincore_http_requests_total",
        "route" => route.clone(), "method" => method, "status" => status.as_u16().to_string()
    )
    .increment(1);
    metrics::histogram!("fincore_http_request_duration_seconds", "route" => route, "method" => method)
        .record(latency.as_secs_f64());
}

/// A method's name from a fixed list, so that nobody outside chooses a metric's label.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
