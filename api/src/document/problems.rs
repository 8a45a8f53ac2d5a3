//! The problems of each operation: a response for each status, with its codes and an example of each.
//!
//! Not here: what each code means ([`crate::problem`]).

use std::collections::BTreeMap;

use serde_json::json;
use strum::IntoEnumIterator;
use utoipa::ToSchema;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::Header;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response};

use crate::problem::{Code, ProblemBody};

/// The media type of problems (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The responses of one operation, by status.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// What can go wrong on every route.
const EVERYWHERE: &[Code] = &[
    Code::ApiVersionUnknown,
    Code::CardDataRefused,
    Code::UriTooLong,
    Code::HeadersTooLarge,
    Code::InternalError,
    Code::ProcessingTimeout,
    Code::Overloaded,
];

/// What can go wrong with every request of a client.
pub(crate) const CLIENTS: &[Code] =
    &[Code::ApiKeyMissing, Code::ApiKeyInvalid, Code::ScopeMissing, Code::RateLimited, Code::StoreUnavailable];

/// What can go wrong with every request that has a key and a body.
pub(crate) const WRITES: &[Code] = &[
    Code::MalformedJson,
    Code::ParameterInvalid,
    Code::ParameterUnknown,
    Code::IdempotencyKeyMissing,
    Code::IdempotencyKeyInvalid,
    Code::BodyTimeout,
    Code::BodyTooLarge,
    Code::ContentTypeUnsupported,
    Code::IdempotencyKeyInUse,
    Code::IdempotencyKeyReused,
];

/// What can go wrong with every request that moves an existing charge.
pub(crate) const MOVES: &[Code] =
    &[Code::ChargeNotFound, Code::ChargeStateConflict, Code::ChargeContended, Code::WorkflowVersionUnknown];

/// The problem responses of an operation, from the table of codes.
pub(crate) fn problems(codes: &[&[Code]]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in EVERYWHERE.iter().chain(codes.iter().copied().flatten()) {
        by_status.entry(code.facts().status.as_u16()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), response(&codes).into())).collect()
}

/// A response whose examples are named after its codes, so that programs can read which there are. Its headers are
/// described elsewhere, like all ([`super::everywhere`]).
fn response(codes: &[Code]) -> Response {
    let words: Vec<_> = codes.iter().map(|code| format!("`{code}`: {}.", code.facts().title)).collect();
    let examples = codes
        .iter()
        .map(|code| (code.to_string(), RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{code}")))));
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let mut response = ResponseBuilder::new().description(words.join(" ")).content(PROBLEM_JSON, content);
    if codes.contains(&Code::ApiKeyMissing) {
        response = response.header("WWW-Authenticate", Header::default());
    }
    if codes.iter().any(|code| code.facts().retry_after_seconds.is_some()) {
        response = response.header("Retry-After", Header::default());
    }
    response.build()
}

/// The codes that a response names.
pub(super) fn codes(response: &Response) -> impl Iterator<Item = Code> {
    let named = |code: &Code| match response.content.get(PROBLEM_JSON) {
        Some(RefOr::T(content)) => content.examples.contains_key(<&str>::from(code)),
        Some(RefOr::Ref(_)) | None => false,
    };
    Code::iter().filter(named)
}

/// A problem of a code.
pub(super) fn example(code: Code) -> Example {
    let facts = code.facts();
    let body = json!({
        "type": format!("urn:fincore:problem:{code}"),
        "title": facts.title,
        "status": facts.status.as_u16(),
        "detail": "Here stands what is wrong with this request, and what helps.",
        "code": code.to_string(),
        "request_id": "req_5f1c0a94d1e24b7f8c3a6be9d0217fc4",
        "retryable": facts.retry_after_seconds.is_some(),
        "doc_url": format!("https://payments.example.com/problems#{code}"),
    });
    ExampleBuilder::new().summary(facts.title).value(Some(body)).build()
}
