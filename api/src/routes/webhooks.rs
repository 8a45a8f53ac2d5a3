//! `/v1/webhooks/{psp}`: where PSPs tell what happened.
//!
//! The signature is verified over the raw bytes before anything is believed or stored. An authentic event is answered
//! with 200 whatever it does, once it is stored; with an error, and so delivered again, only when it was not.

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::port::gateway::{Unreadable, WebhookRefused};

use super::as_json;
use crate::App;
use crate::document::{Responses, problems};
use crate::parse::Body;
use crate::problem::{Code, Problem};
use crate::view;

/// Bytes of a webhook. PSPs send a few kilobytes; some put a whole order in.
const WEBHOOK_MAX: usize = 256 * 1024;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(receive)).layer(DefaultBodyLimit::max(WEBHOOK_MAX))
}

/// Receive a PSP's webhook
///
/// For PSPs, who sign what they send by rules of their own; whoever cannot is refused. Answered with 200 once it is
/// stored, whatever it then does; with anything else when it was not, so that the PSP delivers it again.
#[utoipa::path(
    post, path = "/v1/webhooks/{psp}", operation_id = "receive_webhook", tag = "webhooks",
    params(("psp" = String, Path, description = "The PSP's name in the configuration.", example = "sandbox")),
    request_body(content = serde_json::Value, content_type = "application/json", description = "The PSP's event, signed by its rules."),
    responses(
        (status = 200, description = "Stored. Nothing more to do.", body = Received, example = json!({"received": true})),
        ReceiveProblems,
    )
)]
async fn receive(
    State(app): State<App>,
    psp: Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let gateway = app.gateways.get(psp.as_str());
    let gateway = gateway.ok_or_else(|| Problem::new(Code::PspNotFound, "No PSP is configured by this name."))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let events = gateway.verify(&header, &body, app.engine.now()).map_err(|refused| refusal(gateway.psp(), refused))?;
    for event in events {
        match gateway.notification(&event) {
            Ok(notification) => app.engine.webhook(gateway.psp(), notification, &event).await?,
            Err(Unreadable) => app.engine.keep_unreadable(gateway.psp(), &event).await?,
        };
    }
    Ok(as_json(view::json(&Received { received: true })).into_response())
}

/// That a webhook is stored.
#[derive(Serialize, ToSchema)]
struct Received {
    /// Always `true`.
    received: bool,
}

fn refusal(psp: &str, refused: WebhookRefused) -> Problem {
    let reason: &'static str = refused.into();
    metrics::counter!("fincore_webhooks_refused_total", "psp" => psp.to_owned(), "reason" => reason).increment(1);
    tracing::warn!(psp, reason, "webhook refused");
    match refused {
        WebhookRefused::SignatureMissing
        | WebhookRefused::SignatureMismatch
        | WebhookRefused::TimestampOutsideTolerance => {
            Problem::new(Code::WebhookSignatureInvalid, format!("Refused: {refused}."))
        }
        WebhookRefused::Malformed => Problem::new(Code::WebhookUnreadable, format!("Refused: {refused}.")),
    }
}

struct ReceiveProblems;

impl IntoResponses for ReceiveProblems {
    fn responses() -> Responses {
        problems(&[&[
            Code::WebhookSignatureInvalid,
            Code::WebhookUnreadable,
            Code::PspNotFound,
            Code::BodyTimeout,
            Code::BodyTooLarge,
            Code::ChargeContended,
            Code::StoreUnavailable,
            Code::WorkflowVersionUnknown,
        ]])
    }
}
