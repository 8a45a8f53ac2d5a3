//! Stripe's error documents.
//!
//! Not here: which rule was broken; whoever finds that calls a constructor.

use axum::body::Bytes;
use serde::Serialize;

use crate::answer::Answer;
use crate::intent::{Intent, IntentView};
use crate::params::Expand;
use crate::scenario::Decline;

/// A refusal, ready to be rendered.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    decline: Option<&'static Decline>,
    intent: Option<Box<Intent>>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: String) -> Self {
        Self { status, kind, code, message, param: None, decline: None, intent: None }
    }

    /// 401: the key is missing or wrong.
    pub(crate) fn unauthorized() -> Self {
        let message = "Invalid API Key provided. Use Authorization: Bearer with the sandbox's secret key.";
        Self::new(401, "invalid_request_error", None, message.to_owned())
    }

    /// 400: the request cannot be read.
    pub(crate) fn malformed(message: String) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    /// 413: more bytes than any legal request has.
    pub(crate) fn too_large() -> Self {
        Self::new(413, "invalid_request_error", None, "Request body too large.".to_owned())
    }

    /// 400 about one parameter, without a code.
    pub(crate) fn invalid(param: &str, message: String) -> Self {
        Self { param: Some(param.to_owned()), ..Self::malformed(message) }
    }

    /// 400 about one parameter, with a code.
    pub(crate) fn invalid_code(code: &'static str, param: &str, message: String) -> Self {
        Self { code: Some(code), ..Self::invalid(param, message) }
    }

    /// 404: there is no such object.
    pub(crate) fn missing(what: &str, param: &str, id: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        let error = Self::new(404, "invalid_request_error", Some("resource_missing"), message);
        Self { param: Some(param.to_owned()), ..error }
    }

    /// 400: no payment method of that name (the table of scenarios has the names).
    pub(crate) fn unknown_payment_method(name: &str) -> Self {
        Self { status: 400, ..Self::missing("PaymentMethod", "payment_method", name) }
    }

    /// 404: no such route.
    pub(crate) fn unknown_route(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Self::new(404, "invalid_request_error", None, message)
    }

    /// 400: the payment is not in a state that allows the call.
    pub(crate) fn unexpected_state(intent: &Intent, message: String) -> Self {
        let error = Self::new(400, "invalid_request_error", Some("payment_intent_unexpected_state"), message);
        Self { intent: Some(Box::new(intent.clone())), ..error }
    }

    /// 400 with a code and without a parameter.
    pub(crate) fn refused(code: &'static str, message: String) -> Self {
        Self::new(400, "invalid_request_error", Some(code), message)
    }

    /// 402: the card said no.
    pub(crate) fn declined(decline: &'static Decline, intent: &Intent) -> Self {
        let error = Self::new(402, "card_error", Some(decline.code), decline.message.to_owned());
        Self { decline: Some(decline), intent: Some(Box::new(intent.clone())), ..error }
    }

    /// 400: the idempotency key belongs to another request.
    pub(crate) fn key_reused(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, "idempotency_error", None, message)
    }

    /// 400: the idempotency key is longer than Stripe allows.
    pub(crate) fn key_too_long() -> Self {
        Self::new(400, "idempotency_error", None, "Idempotency keys may be at most 255 characters.".to_owned())
    }

    /// 409: the first request with that key is still under way.
    pub(crate) fn key_in_use() -> Self {
        let message = "There is currently another in-progress request using this Stripe Idempotent Key.".to_owned();
        Self::new(409, "idempotency_error", Some("idempotency_key_in_use"), message)
    }

    /// 429 (the header `Retry-After` is added with the answer).
    pub(crate) fn throttled() -> Self {
        let message = "Request rate limit exceeded. Wait before trying again.".to_owned();
        Self::new(429, "invalid_request_error", Some("rate_limit"), message)
    }

    /// 500, on demand.
    pub(crate) fn internal() -> Self {
        Self::new(500, "api_error", None, "An unknown error occurred.".to_owned())
    }

    /// 503: a bound of the sandbox is reached.
    pub(crate) fn full() -> Self {
        Self::new(503, "api_error", None, "The sandbox is full; start it anew.".to_owned())
    }

    /// Renders it.
    pub(crate) fn into_answer(self, base_url: &str) -> Answer {
        let intent = self.intent.as_deref();
        let document = Document {
            error: Body {
                kind: self.kind,
                code: self.code,
                decline_code: self.decline.and_then(|decline| decline.decline_code),
                advice_code: self.decline.and_then(|decline| decline.advice_code),
                message: &self.message,
                param: self.param.as_deref(),
                charge: intent.filter(|_| self.decline.is_some()).and_then(|intent| intent.latest_charge.as_deref()),
                doc_url: self
                    .code
                    .map(|code| format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))),
                payment_intent: intent.map(|intent| IntentView::new(intent, base_url, Expand::Nothing)),
            },
        };
        Answer { status: self.status, body: to_json(&document) }
    }
}

/// Serializes what always can be.
pub(crate) fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("only maps with string keys are serialized here, which cannot fail").into()
}

#[derive(Serialize)]
struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice_code: Option<&'static str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_intent: Option<IntentView<'a>>,
}
