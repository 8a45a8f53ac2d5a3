//! `/v1/webhook_endpoints/{id}/test` and `…/deliveries/{event}/resend`: an event that is sent because somebody asks.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::notification::Notification;
use workflow::port::outbound::{DeliveryRow, DeliveryState, DirectEvent, Endpoint, Resend};
use workflow::port::store::Updated;

use super::{Answer, CHANGES, DeliveryPath, EndpointPath, MAX_CONFLICTS, URL, contended, owned, replayed};
use crate::App;
use crate::auth::{Client, WebhooksManage};
use crate::document::{self, Responses, problems};
use crate::idempotency::IdempotencyKey;
use crate::parse::ParsedOrDefault;
use crate::problem::{Code, Problem};
use crate::view::endpoint::DeliveryView;
use crate::view::json;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(test)).routes(routes!(resend))
}

/// Nothing more can be said.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = NoParameters)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nothing {}

/// Test a webhook endpoint
///
/// Sends an event of type `webhook_endpoint.test` there, now, in the way of all events. Read the delivery to see what your
/// server said.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints/{id}/test", operation_id = "test_webhook_endpoint", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    params(
        ("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request: the same when you try again.", min_length = 1, max_length = 255),
    ),
    request_body(content = Option<Nothing>, examples(("plain" = (summary = "Nothing to say.", value = json!({}))))),
    responses(
        (status = 202, description = "Recorded.", body = DeliveryView, headers(
            ("Idempotency-Replayed" = String, description = "`true` on the answer to a repeated request."),
        )),
        SendProblems,
    )
)]
async fn test(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EndpointPath(id): EndpointPath,
    key: IdempotencyKey,
    ParsedOrDefault(asked): ParsedOrDefault<Nothing>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST {URL}/{id}/test"), &asked);
    for _ in 0..MAX_CONFLICTS {
        if let Some(earlier) = app.engine.store().request(&request.scope).await? {
            return replayed(earlier, &request);
        }
        enabled(&owned(&app, client, id).await?)?;
        let now = app.engine.now();
        let notification = Notification::test(client.merchant_id, id, now, app.engine.random_pair());
        let row = DeliveryRow {
            event_id: notification.id,
            endpoint_id: id,
            event_type: notification.event_type.to_string(),
            state: DeliveryState::Pending,
            attempts: 0,
            next_attempt_at: Some(now),
            created_at: now,
            last_attempt: None,
        };
        let answer = Answer::new(StatusCode::ACCEPTED, json(&DeliveryView::of(&row)));
        let direct = DirectEvent { notification, endpoint_id: id, request: answer.record(&app, &request) };
        if app.engine.store().send_directly(&direct).await? == Updated::Applied {
            app.engine.tell_outbound();
            return Ok(answer.into_response());
        }
    }
    Err(contended())
}

/// Resend an event to a webhook endpoint
///
/// Sends it once more, now and for three days, whatever became of it before. It is the same event under the same name, as
/// it was then.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints/{id}/deliveries/{event}/resend", operation_id = "resend_webhook_delivery",
    tag = "webhook_endpoints", security(("api_key" = ["webhooks:manage"])),
    params(
        ("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("event" = String, Path, description = "The event.", example = "evt_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request: the same when you try again.", min_length = 1, max_length = 255),
    ),
    request_body(content = Option<Nothing>, examples(("plain" = (summary = "Nothing to say.", value = json!({}))))),
    responses(
        (status = 202, description = "Recorded.", body = DeliveryView, headers(
            ("Idempotency-Replayed" = String, description = "`true` on the answer to a repeated request."),
        )),
        ResendProblems,
    )
)]
async fn resend(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    DeliveryPath(id, event_id): DeliveryPath,
    key: IdempotencyKey,
    ParsedOrDefault(asked): ParsedOrDefault<Nothing>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST {URL}/{id}/deliveries/{event_id}/resend"), &asked);
    for _ in 0..MAX_CONFLICTS {
        if let Some(earlier) = app.engine.store().request(&request.scope).await? {
            return replayed(earlier, &request);
        }
        let endpoint = app.engine.store().endpoint(client.merchant_id, id).await?;
        let endpoint = endpoint.ok_or_else(Problem::webhook_delivery_not_found)?;
        let row = app.engine.store().delivery(id, event_id).await?.ok_or_else(Problem::webhook_delivery_not_found)?;
        enabled(&endpoint)?;
        let now = app.engine.now();
        let row = DeliveryView::asked(row, now);
        let answer = Answer::new(StatusCode::ACCEPTED, json(&DeliveryView::of(&row)));
        let record = answer.record(&app, &request);
        let asked = Resend { event_id, endpoint_id: id, now, request: record };
        if app.engine.store().resend(&asked).await? == Updated::Applied {
            app.engine.tell_outbound();
            return Ok(answer.into_response());
        }
    }
    Err(contended())
}

fn enabled(endpoint: &Endpoint) -> Result<(), Problem> {
    if endpoint.disabled.is_none() {
        return Ok(());
    }
    let detail = "Nothing is sent to this endpoint: it is disabled. Enable it first.";
    Err(Problem::new(Code::WebhookEndpointDisabled, detail))
}

struct SendProblems;

impl IntoResponses for SendProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, CHANGES, &[Code::WebhookEndpointDisabled]])
    }
}

struct ResendProblems;

impl IntoResponses for ResendProblems {
    fn responses() -> Responses {
        let own = &[Code::WebhookDeliveryNotFound, Code::WebhookEndpointContended, Code::WebhookEndpointDisabled];
        problems(&[document::CLIENTS, document::WRITES, own])
    }
}
