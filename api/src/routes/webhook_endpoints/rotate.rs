//! `/v1/webhook_endpoints/{id}/rotate_secret`: a new secret, with some time for receivers to learn it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::port::outbound::{Endpoint, FormerSecret};
use workflow::signing::SECRET_PREFIX;

use super::{Answer, CHANGES, EndpointPath, URL, change, secret};
use crate::App;
use crate::auth::{Client, WebhooksManage};
use crate::document::{self, Responses, problems};
use crate::fields::webhook::{self, Signature, schema};
use crate::idempotency::IdempotencyKey;
use crate::parse::ParsedOrDefault;
use crate::problem::Problem;
use crate::view::endpoint::EndpointView;
use crate::view::json;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(rotate))
}

/// How the secret is to be rotated.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookSecretRotation)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotateRequest {
    #[serde(deserialize_with = "webhook::overlap")]
    #[schema(schema_with = schema::overlap)]
    overlap_seconds: u32,
}

impl Default for RotateRequest {
    fn default() -> Self {
        Self { overlap_seconds: webhook::OVERLAP_DEFAULT }
    }
}

/// Rotate a webhook endpoint's secret
///
/// Makes a new one of the same kind, and shows it. For the time of `overlap_seconds` (a day, when you do not say) events
/// are signed with the one before as well: the header `webhook-signature` then has two signatures. One before that one
/// signs no longer.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints/{id}/rotate_secret", operation_id = "rotate_webhook_endpoint_secret",
    tag = "webhook_endpoints", security(("api_key" = ["webhooks:manage"])),
    params(
        ("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request: the same when you try again.", min_length = 1, max_length = 255),
    ),
    request_body(content = Option<RotateRequest>, examples(
        ("day" = (summary = "The old secret holds for another day.", value = json!({"overlap_seconds": 86400}))),
        ("plain" = (summary = "For as long as usual.", value = json!({}))),
    )),
    responses(
        (status = 200, description = "Rotated.", body = EndpointView, headers(
            ("Idempotency-Replayed" = String, description = "`true` on the answer to a repeated request."),
        )),
        RotateProblems,
    )
)]
async fn rotate(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EndpointPath(id): EndpointPath,
    key: IdempotencyKey,
    ParsedOrDefault(asked): ParsedOrDefault<RotateRequest>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST {URL}/{id}/rotate_secret"), &asked);
    let now = app.engine.now();
    let overlap = SignedDuration::from_secs(asked.overlap_seconds.into());
    let rotated = |before: &Endpoint| {
        let is_shared = before.secret.expose().starts_with(SECRET_PREFIX);
        let expires_at = now.saturating_add(overlap).unwrap_or(now);
        let former = FormerSecret { secret: before.secret.clone(), expires_at };
        let after = Endpoint {
            secret: secret(if is_shared { Signature::Hmac } else { Signature::Ed25519 }),
            former_secret: Some(former).filter(|former| former.expires_at > now),
            updated_at: now,
            version: before.version + 1,
            ..before.clone()
        };
        let answer = Answer::new(StatusCode::OK, json(&EndpointView::with_secret(&after, now)));
        (after, answer)
    };
    change(&app, client, id, &request, rotated).await
}

struct RotateProblems;

impl IntoResponses for RotateProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, CHANGES])
    }
}
