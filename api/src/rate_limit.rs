//! How many requests an API key may make: counted behind a port, told in every answer by the IETF's draft "RateLimit
//! header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers-10), and refused with 429 beyond.
//!
//! Around the clients' routes alone: PSPs and load balancers are not limited. Not here: the arithmetic
//! ([`workflow::port::rate_limits`]).

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use workflow::port::rate_limits::{Drawn, Quota, RateLimit};

use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts a request, if there is a limit. What has no valid key is refused as it would be without.
pub(crate) async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(limit) = app.config.rate_limit else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let caller = match Caller::of(&parts, &app).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let (mut response, quota) = match app.shared.rate_limits.draw(caller.key_id, limit).await {
        Drawn::Allowed(quota) => (next.run(Request::from_parts(parts, body)).await, quota),
        Drawn::Refused { retry_after_ms, quota } => {
            metrics::counter!("fincore_rate_limited_total").increment(1);
            (refused(retry_after_ms), quota)
        }
    };
    tell(response.headers_mut(), limit, quota);
    response
}

fn refused(retry_after_ms: u64) -> Response {
    let detail = "This API key makes more requests than it may. Repeat the request with the same key, after a while.";
    let mut response = Problem::new(Code::RateLimited, detail).into_response();
    let seconds = retry_after_ms.div_ceil(1_000).max(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The policy: so many requests in the time in which the whole burst comes back. The state: what is left of them, and
/// when all are there again.
fn tell(headers: &mut HeaderMap, limit: RateLimit, quota: Quota) {
    let RateLimit { per_second, burst } = limit;
    let window = burst.div_ceil(per_second.max(1));
    let (left, whole_after) = (quota.remaining, quota.whole_after_ms.div_ceil(1_000));
    for (name, text) in [
        (RATE_LIMIT_POLICY, format!(r#""key";q={burst};w={window}"#)),
        (RATE_LIMIT, format!(r#""key";r={left};t={whole_after}"#)),
    ] {
        headers.insert(name, HeaderValue::try_from(text).expect("digits and quotes are visible characters"));
    }
}
