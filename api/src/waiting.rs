//! Clients that would rather wait than ask again: `?wait=N` (seconds) when they read a charge, and the preference
//! `wait=N` (RFC 7240) when they create one.
//!
//! A request is worked on first, as always; then its answer waits, outside of the limits on time and on requests in
//! flight, until the charge has ended, or stays where it is until somebody acts. Then the body shows the charge as it
//! stands. Whatever goes wrong meanwhile, the answer that was there before goes out.
//!
//! Not here: how waiting is done ([`workflow::waiting`]).

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use workflow::ids::PaymentId;

use crate::App;
use crate::cache;
use crate::expand::{self, Expansions};
use crate::view;

/// Seconds that an answer waits at most. Many proxies give up after a minute.
pub(crate) const MAX_SECONDS: u64 = 60;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A wish to wait, handed from a handler to [`wait`] as an extension of its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wait {
    pub(crate) id: PaymentId,
    pub(crate) seconds: u64,
    pub(crate) asked_by: AskedBy,
    pub(crate) expand: Expansions,
}

/// How a client said that it would wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AskedBy {
    /// A parameter of the query.
    Query,
    /// A preference: the answer says that it was heeded.
    Preference,
}

/// Lets an answer wait, if that is wanted.
pub(crate) async fn wait(app: &App, mut response: Response) -> Response {
    let Some(Wait { id, seconds, asked_by, expand }) = response.extensions_mut().remove::<Wait>() else {
        return response;
    };
    let Some(payment) = app.waiting.wait(id, Duration::from_secs(seconds)).await else { return response };
    // Whoever reads next must not be shown less.
    cache::keep(app, &payment, &view::payment(&payment)).await;
    let Ok(body) = expand::show(app, &payment, &expand).await else { return response };
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    if asked_by == AskedBy::Preference {
        let applied = HeaderValue::try_from(format!("wait={seconds}")).expect("digits are visible characters");
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    response
}

/// The seconds of the preference `wait`: the first one counts, and what cannot be read is as good as not said (RFC 7240,
/// section 2). Wishes beyond the bound are cut.
pub(crate) fn preferred_seconds(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    let seconds = preferences.find_map(|preference| {
        // Parameters of the preference would follow behind a semicolon; `wait` has none.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>())
    })?;
    seconds.ok().filter(|seconds| *seconds > 0).map(|seconds| seconds.min(MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others_and_bounded() {
        for (said, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, Wait = 5", Some(5)),
            ("wait=\"7\"; foo=bar, wait=9", Some(7)),
            ("wait=3600", Some(60)),
            ("wait=0", None),
            ("wait", None),
            ("wait=-1", None),
            ("wait=ten", None),
            ("awaiting=5", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(said))]);
            assert_eq!(preferred_seconds(&headers), seconds, "{said}");
        }
        assert_eq!(preferred_seconds(&HeaderMap::new()), None);
    }
}
