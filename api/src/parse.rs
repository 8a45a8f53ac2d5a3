//! Bodies: read within a size and a time, searched for card numbers, and parsed into typed requests.
//!
//! Not here: what a field has to look like ([`crate::fields`]).

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::App;
use crate::card_data;
use crate::fields;
use crate::problem::{Code, Problem};

/// Bytes of a client's body. The largest charge, with all metadata, takes half of it.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// How long a body may take to arrive. Clients send a few hundred bytes; who takes longer holds a connection.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Characters of an unknown parameter's name that is told back.
const NAME_MAX: usize = 40;

/// A whole body, within the route's cap.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<App> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let body = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, app));
        match body.await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(Code::BodyTooLarge, "The body is larger than this route takes."))
            }
            Ok(Err(_)) => Err(Problem::new(Code::MalformedJson, "The body could not be read to its end.")),
            Err(_) => Err(Problem::new(Code::BodyTimeout, "The body did not arrive in time.")),
        }
    }
}

/// A request's JSON body.
pub(crate) struct Parsed<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Parsed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let Body(body) = Body::from_request(request, app).await?;
        if is_json { parse(&body).map(Self) } else { Err(not_json()) }
    }
}

/// A request's JSON body, which may as well be `null` or left out.
pub(crate) struct ParsedOrDefault<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for ParsedOrDefault<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let Body(body) = Body::from_request(request, app).await?;
        match (matches!(body.trim_ascii(), b"" | b"null"), is_json) {
            (true, _) => Ok(Self(T::default())),
            (false, true) => parse(&body).map(Self),
            (false, false) => Err(not_json()),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = declared.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

fn not_json() -> Problem {
    Problem::new(Code::ContentTypeUnsupported, "Send the body as `Content-Type: application/json`.")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if card_data::found_in_json(body) {
        let problem = Problem::new(
            Code::CardDataRefused,
            "The body holds what looks like a card number. Send the PSP's token instead; card data must not come here.",
        );
        // Malformed JSON has no field to name.
        let field = card_data::field_with(body).filter(|field| !field.is_empty());
        return Err(match field {
            Some(field) => problem.about(field),
            None => problem,
        });
    }
    // A list of values would pass for an object with its fields in order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::new(Code::MalformedJson, "The body has to be a JSON object."));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| refused(&error))?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(parsed)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::new(Code::MalformedJson, format!("The body is not JSON: see line {line}, column {column}."))
}

/// Our words for what the parser refused. Its own words would repeat the value.
fn refused(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let cause = error.inner();
    let words = cause.to_string();
    let field = error.path().iter().find_map(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    });
    let field = field.and_then(known);
    match (cause.classify(), field) {
        (Category::Data, _) if words.starts_with("missing field") => {
            let missing = quoted(&words).and_then(known).unwrap_or_default();
            let detail = format!("`{missing}` is required: {}.", fields::expected(missing));
            Problem::new(Code::ParameterMissing, detail).about(missing)
        }
        (Category::Data, _) if words.starts_with("unknown field") => unknown(quoted(&words).unwrap_or_default()),
        (Category::Data, _) if words.starts_with("duplicate field") => {
            let doubled = quoted(&words).and_then(known).unwrap_or_default();
            Problem::new(Code::ParameterInvalid, format!("`{doubled}` may be there only once.")).about(doubled)
        }
        // A number beyond all numbers is well-formed JSON, whatever the parser says.
        (Category::Syntax, Some(field)) if words.starts_with("number out of range") => invalid(field),
        (Category::Data, Some(field)) => invalid(field),
        (Category::Data | Category::Syntax | Category::Eof | Category::Io, _) => malformed(cause),
    }
}

/// The refusal of a parameter's value.
pub(crate) fn invalid(param: &'static str) -> Problem {
    let detail = format!("`{param}` has to be {}.", fields::expected(param));
    Problem::new(Code::ParameterInvalid, detail).about(param)
}

/// The refusal of a parameter that there is none of. Tells its name back only when it can be nothing but a name.
pub(crate) fn unknown(name: &str) -> Problem {
    let problem = Problem::new(Code::ParameterUnknown, "There is no parameter of this name here.");
    let is_name =
        (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_name { problem.about(name.to_owned()) } else { problem }
}

/// Our own name for a field, so that no text of the client's is passed on.
fn known(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 13] = [
        "amount",
        "capture_method",
        "currency",
        "description",
        "disabled",
        "enabled_events",
        "metadata",
        "overlap_seconds",
        "payment_method",
        "reason",
        "return_url",
        "signature",
        "url",
    ];
    NAMES.into_iter().find(|ours| *ours == name)
}

/// What the parser's words put between the first backquotes.
fn quoted(words: &str) -> Option<&str> {
    words.split('`').nth(1)
}
