//! The OpenAPI 3.1 document: its frame, the schemas of types that are not ours to annotate, and the problems of each
//! route. Paths come from the annotations in [`crate::routes`], and what can drift comes from the code itself.

use std::collections::BTreeMap;

use strum::VariantArray;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, Object, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response};
use utoipa::{PartialSchema, ToSchema};
use workflow::definition::EventKind;
pub(crate) use workflow::view::openapi::{ChargeStatus, PaymentStatus, RefundStatus, capture_method, instant, one_of};

use crate::problem::{Code, ProblemBody};

/// The media type of problems (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The name of the security scheme.
const API_KEY: &str = "api_key";

/// The responses of one operation, by status.
pub(crate) type Responses = BTreeMap<String, RefOr<Response>>;

/// What can go wrong on every route.
pub(crate) const EVERYWHERE: &[Code] =
    &[Code::ApiVersionUnknown, Code::CardDataRefused, Code::InternalError, Code::ProcessingTimeout, Code::Overloaded];

/// What can go wrong with every request of a client.
pub(crate) const CLIENTS: &[Code] =
    &[Code::ApiKeyMissing, Code::ApiKeyInvalid, Code::RateLimited, Code::StoreUnavailable];

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
    Code::IdempotencyKeyReused,
];

/// What can go wrong with every request that moves an existing charge.
pub(crate) const MOVES: &[Code] =
    &[Code::ChargeNotFound, Code::ChargeStateConflict, Code::ChargeContended, Code::WorkflowVersionUnknown];

/// The frame that the routes are put into.
pub(crate) fn frame() -> OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, such as `fc_test_` and 64 hexadecimal digits."))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(API_KEY, SecurityScheme::Http(scheme))
        .schema(ProblemBody::name(), ProblemBody::schema())
        .schema(ChargeStatus::name(), ChargeStatus::schema())
        .schema(RefundStatus::name(), RefundStatus::schema())
        .schema(PaymentStatus::name(), PaymentStatus::schema())
        .build();
    let tag = |name: &str, words: &str| TagBuilder::new().name(name).description(Some(words)).build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("FinCore")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Durable payments. A `202` means that the request is stored and will be carried through; \
                     read the charge to see how it went. Amounts are whole minor units. Problems are RFC 9457.",
                ))
                .build(),
        )
        .components(Some(components))
        .tags(Some([
            tag("charges", "Take money."),
            tag("refunds", "Give it back."),
            tag("webhooks", "Where PSPs tell what happened."),
            tag("operations", "For whoever runs the server. No API key needed; keep them inside your network."),
        ]))
        .build()
}

/// The document as text: the same bytes for the same code.
pub(crate) fn text(document: OpenApi) -> String {
    let mut document = document;
    add_request_id(&mut document);
    let mut text = document.to_pretty_json().expect("a document of texts is always JSON");
    text.push('\n');
    text
}

/// Every response names its request.
fn add_request_id(document: &mut OpenApi) {
    let header = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .description(Some("Names this request in our logs."))
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    response.headers.insert("Request-Id".into(), RefOr::T(header.clone()));
                }
            }
        }
    }
}

/// The problem responses of an operation, from the table of codes.
pub(crate) fn problems(codes: &[&[Code]]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in EVERYWHERE.iter().chain(codes.iter().copied().flatten()) {
        by_status.entry(code.facts().status.as_u16()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), problem_response(&codes).into())).collect()
}

fn problem_response(codes: &[Code]) -> Response {
    let words: Vec<_> = codes.iter().map(|code| format!("`{code}`: {}.", code.facts().title)).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    let mut response = ResponseBuilder::new().description(words.join(" ")).content(PROBLEM_JSON, content);
    if codes.contains(&Code::ApiKeyMissing) {
        let text = ObjectBuilder::new().schema_type(Type::String).build();
        let header = HeaderBuilder::new().schema(Some(text)).description(Some("How to identify yourself.")).build();
        response = response.header("WWW-Authenticate", header);
    }
    if codes.iter().any(|code| code.facts().retry_after_seconds.is_some()) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds to wait before trying again."))
            .build();
        response = response.header("Retry-After", header);
    }
    if codes.contains(&Code::RateLimited) {
        for (name, words) in [
            ("RateLimit-Policy", "So many requests (`q`) in so many seconds (`w`)."),
            ("RateLimit", "So many are left (`r`), and all are there again after so many seconds (`t`)."),
        ] {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            response = response.header(name, HeaderBuilder::new().schema(Some(text)).description(Some(words)).build());
        }
    }
    response.build()
}

pub(crate) fn event_kind() -> Object {
    one_of(EventKind::VARIANTS.iter().map(<&str>::from)).description(Some("What happened.")).build()
}

pub(crate) fn object_list() -> Object {
    one_of(["list"].into_iter()).build()
}
