//! Everything that can go wrong, as problem details (RFC 9457): one enum of codes, one table of what each means.
//!
//! A `Problem` never carries what the client sent: its detail is our own words, its `param` one of our own names.
//! Not here: the request id and the link to the docs; `front` adds them when it renders the body.

use std::borrow::Cow;
use std::error::Error;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use strum::{Display, EnumIter, IntoStaticStr};
use utoipa::ToSchema;
use workflow::definition::Kind;
use workflow::engine::EngineError;
use workflow::port::store::StoreError;

/// What went wrong, in one word that programs can rely on. `docs/API.md` tells what to do about each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, EnumIter, Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Code {
    /// The body is not a JSON object.
    MalformedJson,
    /// A required parameter is not there.
    ParameterMissing,
    /// A parameter's value cannot be used.
    ParameterInvalid,
    /// There is no parameter of that name.
    ParameterUnknown,
    /// The `FinCore-Version` header names a version that is not spoken here.
    ApiVersionUnknown,
    /// Something looks like a card number.
    CardDataRefused,
    /// The `Idempotency-Key` header is not there.
    IdempotencyKeyMissing,
    /// The `Idempotency-Key` header cannot be used.
    IdempotencyKeyInvalid,
    /// A webhook's signature does not hold.
    WebhookSignatureInvalid,
    /// An authentic webhook is not an event.
    WebhookUnreadable,
    /// There is no API key in the request.
    ApiKeyMissing,
    /// The API key is unknown or revoked.
    ApiKeyInvalid,
    /// The API key lacks the scope that the route needs.
    ScopeMissing,
    /// The PSP account that the charge would go to is of the other mode than the API key.
    ModeMismatch,
    /// There is no such route.
    RouteNotFound,
    /// There is no such charge, or it is another merchant's.
    ChargeNotFound,
    /// No refund of this merchant has that id.
    RefundNotFound,
    /// No PSP is configured by that name.
    PspNotFound,
    /// There is no such webhook endpoint, or it is another merchant's.
    WebhookEndpointNotFound,
    /// There is no such delivery, or it is another merchant's.
    WebhookDeliveryNotFound,
    /// There is no such event, or it is another merchant's.
    EventNotFound,
    /// The route does not take this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The charge's state does not allow it.
    ChargeStateConflict,
    /// A request with the same key is being worked on.
    IdempotencyKeyInUse,
    /// Many others move the charge at the same time.
    ChargeContended,
    /// Nothing is sent to a webhook endpoint that is disabled.
    WebhookEndpointDisabled,
    /// The merchant has as many webhook endpoints as it may.
    WebhookEndpointLimit,
    /// Many others change the webhook endpoint at the same time.
    WebhookEndpointContended,
    /// The body is larger than the route takes.
    BodyTooLarge,
    /// The path and the query are longer than any route needs.
    UriTooLong,
    /// The headers are larger than any route needs.
    HeadersTooLarge,
    /// The body is not declared as JSON.
    ContentTypeUnsupported,
    /// The key was used for another request.
    IdempotencyKeyReused,
    /// The API key makes more requests than it may.
    RateLimited,
    /// A defect on our side.
    InternalError,
    /// The database does not answer.
    StoreUnavailable,
    /// Recording the request took too long; it may still be recorded.
    ProcessingTimeout,
    /// Too many requests are being worked on.
    Overloaded,
    /// The charge runs by a workflow version that this server does not know.
    WorkflowVersionUnknown,
    /// The server cannot take requests now.
    NotReady,
}

/// Where this server explains the codes: the table of `docs/API.md` as a page.
pub(crate) const PROBLEMS_URL: &str = "/problems";

/// What the table says of a code.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The HTTP status it is answered with.
    pub status: StatusCode,
    /// What it is called for people.
    pub title: &'static str,
    /// Whether the same request, with the same idempotency key, may succeed later; after so many seconds.
    pub retry_after_seconds: Option<u16>,
}

impl Code {
    /// The table.
    #[must_use]
    pub const fn facts(self) -> Facts {
        const fn row(status: StatusCode, title: &'static str) -> Facts {
            Facts { status, title, retry_after_seconds: None }
        }
        const fn later(status: StatusCode, title: &'static str, seconds: u16) -> Facts {
            Facts { status, title, retry_after_seconds: Some(seconds) }
        }
        match self {
            Self::MalformedJson => row(StatusCode::BAD_REQUEST, "Malformed JSON"),
            Self::ParameterMissing => row(StatusCode::BAD_REQUEST, "Parameter missing"),
            Self::ParameterInvalid => row(StatusCode::BAD_REQUEST, "Parameter invalid"),
            Self::ParameterUnknown => row(StatusCode::BAD_REQUEST, "Parameter unknown"),
            Self::ApiVersionUnknown => row(StatusCode::BAD_REQUEST, "API version unknown"),
            Self::CardDataRefused => row(StatusCode::BAD_REQUEST, "Card data refused"),
            Self::IdempotencyKeyMissing => row(StatusCode::BAD_REQUEST, "Idempotency key missing"),
            Self::IdempotencyKeyInvalid => row(StatusCode::BAD_REQUEST, "Idempotency key invalid"),
            Self::WebhookSignatureInvalid => row(StatusCode::BAD_REQUEST, "Webhook signature invalid"),
            Self::WebhookUnreadable => row(StatusCode::BAD_REQUEST, "Webhook unreadable"),
            Self::ApiKeyMissing => row(StatusCode::UNAUTHORIZED, "API key missing"),
            Self::ApiKeyInvalid => row(StatusCode::UNAUTHORIZED, "API key invalid"),
            Self::ScopeMissing => row(StatusCode::FORBIDDEN, "Scope missing"),
            Self::ModeMismatch => row(StatusCode::FORBIDDEN, "Mode mismatch"),
            Self::RouteNotFound => row(StatusCode::NOT_FOUND, "Route not found"),
            Self::ChargeNotFound => row(StatusCode::NOT_FOUND, "Charge not found"),
            Self::RefundNotFound => row(StatusCode::NOT_FOUND, "Refund not found"),
            Self::PspNotFound => row(StatusCode::NOT_FOUND, "PSP not found"),
            Self::WebhookEndpointNotFound => row(StatusCode::NOT_FOUND, "Webhook endpoint not found"),
            Self::WebhookDeliveryNotFound => row(StatusCode::NOT_FOUND, "Webhook delivery not found"),
            Self::EventNotFound => row(StatusCode::NOT_FOUND, "Event not found"),
            Self::MethodNotAllowed => row(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::BodyTimeout => later(StatusCode::REQUEST_TIMEOUT, "Body timeout", 1),
            Self::ChargeStateConflict => row(StatusCode::CONFLICT, "Charge state conflict"),
            Self::IdempotencyKeyInUse => later(StatusCode::CONFLICT, "Idempotency key in use", 1),
            Self::ChargeContended => later(StatusCode::CONFLICT, "Charge contended", 1),
            Self::WebhookEndpointDisabled => row(StatusCode::CONFLICT, "Webhook endpoint disabled"),
            Self::WebhookEndpointLimit => row(StatusCode::CONFLICT, "Webhook endpoint limit"),
            Self::WebhookEndpointContended => later(StatusCode::CONFLICT, "Webhook endpoint contended", 1),
            Self::BodyTooLarge => row(StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::UriTooLong => row(StatusCode::URI_TOO_LONG, "URI too long"),
            Self::HeadersTooLarge => row(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Headers too large"),
            Self::ContentTypeUnsupported => row(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content type unsupported"),
            Self::IdempotencyKeyReused => row(StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key reused"),
            Self::RateLimited => later(StatusCode::TOO_MANY_REQUESTS, "Rate limited", 1),
            Self::InternalError => later(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", 5),
            Self::StoreUnavailable => later(StatusCode::SERVICE_UNAVAILABLE, "Store unavailable", 1),
            Self::ProcessingTimeout => later(StatusCode::SERVICE_UNAVAILABLE, "Processing timeout", 1),
            Self::Overloaded => later(StatusCode::SERVICE_UNAVAILABLE, "Overloaded", 1),
            Self::WorkflowVersionUnknown => later(StatusCode::SERVICE_UNAVAILABLE, "Workflow version unknown", 5),
            Self::NotReady => later(StatusCode::SERVICE_UNAVAILABLE, "Not ready", 1),
        }
    }
}

/// A code with our words about this one request. Becomes a response whose body [`crate::front`] renders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: Cow<'static, str>,
    pub(crate) param: Option<Cow<'static, str>>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), param: None }
    }

    /// Names the parameter it is about.
    pub(crate) fn about(self, param: impl Into<Cow<'static, str>>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// The same answer for a payment that is not there, one of another merchant, and an id that is none.
    pub(crate) fn not_found(kind: Kind) -> Self {
        match kind {
            Kind::Charge => Self::new(Code::ChargeNotFound, "There is no such charge."),
            Kind::Refund => Self::new(Code::RefundNotFound, "There is no such refund."),
        }
    }

    /// The same answer for a webhook endpoint that is not there, one of another merchant, and an id that is none.
    pub(crate) fn webhook_endpoint_not_found() -> Self {
        Self::new(Code::WebhookEndpointNotFound, "There is no such webhook endpoint.")
    }

    /// The same for a delivery.
    pub(crate) fn webhook_delivery_not_found() -> Self {
        Self::new(Code::WebhookDeliveryNotFound, "There is no such webhook delivery.")
    }

    /// The same for an event.
    pub(crate) fn event_not_found() -> Self {
        Self::new(Code::EventNotFound, "There is no such event.")
    }

    /// The body for one request.
    pub(crate) fn body(&self, request_id: &str, docs_url: &str) -> String {
        let facts = self.code.facts();
        let code: &'static str = self.code.into();
        let body = ProblemBody {
            kind: format!("urn:fincore:problem:{code}"),
            title: facts.title,
            status: facts.status.as_u16(),
            detail: &self.detail,
            code,
            param: self.param.as_deref(),
            request_id,
            retryable: facts.retry_after_seconds.is_some(),
            doc_url: format!("{docs_url}#{code}"),
        };
        serde_json::to_string(&body).expect("texts and numbers are always JSON")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.code.facts().status, Extension(self)).into_response()
    }
}

impl From<EngineError> for Problem {
    /// Also logs what is not the client's doing, once, since it is handled here.
    fn from(error: EngineError) -> Self {
        match &error {
            EngineError::Store(cause) => Self::of_store(cause),
            EngineError::NotFound => Self::not_found(Kind::Charge),
            EngineError::Illegal { state, why } => {
                Self::new(Code::ChargeStateConflict, format!("A charge that is `{state}` does not allow this: {why}."))
            }
            EngineError::KeyReused => Self::new(
                Code::IdempotencyKeyReused,
                "This idempotency key was used for a request with other parameters. Use a new key for a new request.",
            ),
            EngineError::KeyInUse => Self::new(
                Code::IdempotencyKeyInUse,
                "Another request with this idempotency key is being worked on. Repeat the request with the same key.",
            )
            .about("Idempotency-Key"),
            EngineError::Contended => Self::new(
                Code::ChargeContended,
                "Too many others move this charge at the same time. Repeat the request with the same key.",
            ),
            EngineError::UnknownVersion(version) => {
                tracing::error!(version, "a payment runs by a workflow version this binary does not know");
                Self::new(
                    Code::WorkflowVersionUnknown,
                    "This server is older than the charge. Repeat the request with the same key.",
                )
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of_store(&error)
    }
}

impl Problem {
    fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Held(_) => {
                tracing::warn!(error = error as &dyn Error, "request not recorded");
                Self::new(
                    Code::StoreUnavailable,
                    "The database did not answer, and nothing was acknowledged. Repeat the request with the same key.",
                )
            }
            StoreError::Corrupt(_) | StoreError::Refused(_) => {
                tracing::error!(error = error as &dyn Error, "request failed");
                Self::internal()
            }
        }
    }

    /// A defect on our side; whoever calls has logged it.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "Something went wrong on our side. Repeat the request with the same key, and tell us the request id.",
        )
    }
}

/// Problem details by RFC 9457. `code` is for programs, `title` and `detail` are for people and may change.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// `urn:fincore:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every problem with this code.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What went wrong with this request, and what helps. Never repeats what was sent.
    detail: &'a str,
    /// One word from the table of codes.
    code: &'a str,
    /// The parameter it is about, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    param: Option<&'a str>,
    /// Names this request in our logs; the same as the `Request-Id` header.
    request_id: &'a str,
    /// Whether the same request, with the same idempotency key, may succeed later (see `Retry-After`).
    retryable: bool,
    /// Where to read about the code: a URL, or a path of this server.
    #[schema(examples("/problems#parameter_invalid"))]
    doc_url: String,
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    const DOCS: &str = include_str!("../../docs/API.md");

    #[test]
    fn the_docs_have_the_row_of_every_code_and_no_other() {
        for code in Code::iter() {
            let facts = code.facts();
            let retryable = facts.retry_after_seconds.map_or("no".to_owned(), |seconds| format!("after {seconds} s"));
            let row = format!(
                "| <a id=\"{code}\"></a>`{code}` | {} | {retryable} | {} |",
                facts.status.as_u16(),
                facts.title
            );
            assert!(DOCS.contains(&row), "docs/API.md lacks the row {row}");
        }
        assert_eq!(DOCS.matches("| <a id=").count(), Code::iter().count(), "docs/API.md has rows of no code");
    }

    #[test]
    fn a_problem_is_written_in_the_order_of_the_standard() {
        let problem = Problem::new(Code::ParameterInvalid, "no").about("amount");
        assert_eq!(
            problem.body("req_1", "https://docs.example/API"),
            r#"{"type":"urn:fincore:problem:parameter_invalid","title":"Parameter invalid","status":400,"detail":"no","code":"parameter_invalid","param":"amount","request_id":"req_1","retryable":false,"doc_url":"https://docs.example/API#parameter_invalid"}"#
        );
    }

    #[test]
    fn statuses_are_errors() {
        for code in Code::iter() {
            let status = code.facts().status;
            assert!(status.is_client_error() || status.is_server_error(), "{code} is answered with {status}");
        }
    }
}
