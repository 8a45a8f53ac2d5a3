//! `/v1/webhook_endpoints/{id}`: read, change, delete.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::port::outbound::{Disabled, DisabledReason, Endpoint};
use workflow::port::store::Updated;

use super::{Answer, CHANGES, EndpointPath, ONE, URL, change, checked, owned};
use crate::App;
use crate::auth::{Client, WebhooksManage};
use crate::document::{self, Responses, problems};
use crate::fields;
use crate::fields::webhook::{self, Events, schema};
use crate::idempotency::IdempotencyKey;
use crate::parse::Parsed;
use crate::problem::Problem;
use crate::routes::as_json;
use crate::view::endpoint::{DeletedView, EndpointView};
use crate::view::json;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retrieve, update, delete))
}

/// Retrieve a webhook endpoint
///
/// As it stands, without its secret: that is shown when it is made, and never again.
#[utoipa::path(
    get, path = "/v1/webhook_endpoints/{id}", operation_id = "retrieve_webhook_endpoint", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    params(("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb")),
    responses((status = 200, description = "The endpoint.", body = EndpointView), RetrieveProblems)
)]
async fn retrieve(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EndpointPath(id): EndpointPath,
) -> Result<Response, Problem> {
    let endpoint = owned(&app, client, id).await?;
    Ok(as_json(json(&EndpointView::of(&endpoint, app.engine.now()))).into_response())
}

struct RetrieveProblems;

impl IntoResponses for RetrieveProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, ONE])
    }
}

/// What is to change; what is left out stays.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEndpointUpdate)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointUpdate {
    /// The empty text takes it away.
    #[serde(default, deserialize_with = "fields::description", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = fields::schema::description)]
    description: Option<String>,
    /// `true` stops sending; what is pending waits. `false` begins again, with what has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "webhook::events", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::events)]
    enabled_events: Option<Events>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::url_or_null)]
    url: Option<String>,
}

/// Update a webhook endpoint
///
/// Counts for everything that is sent from now on, what is pending included.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints/{id}", operation_id = "update_webhook_endpoint", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    params(
        ("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request: the same when you try again.", min_length = 1, max_length = 255),
    ),
    request_body(content = EndpointUpdate, examples(
        ("moved" = (summary = "Another address.", value = json!({"url": "https://shop.example.com/moved"}))),
        ("disabled" = (summary = "Told of nothing for now.", value = json!({"disabled": true}))),
    )),
    responses(
        (status = 200, description = "Changed.", body = EndpointView, headers(
            ("Idempotency-Replayed" = String, description = "`true` on the answer to a repeated request."),
        )),
        UpdateProblems,
    )
)]
async fn update(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EndpointPath(id): EndpointPath,
    key: IdempotencyKey,
    Parsed(asked): Parsed<EndpointUpdate>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST {URL}/{id}"), &asked);
    let url = asked.url.as_deref().map(|url| checked(&app, url)).transpose()?;
    let now = app.engine.now();
    let apply = |before: &Endpoint| {
        let mut after = Endpoint { updated_at: now, version: before.version + 1, ..before.clone() };
        if let Some(url) = &url {
            after.url.clone_from(url);
        }
        if let Some(Events(events)) = &asked.enabled_events {
            after.events.clone_from(events);
        }
        if let Some(description) = &asked.description {
            after.description = Some(description.clone()).filter(|description| !description.is_empty());
        }
        match asked.disabled {
            Some(true) => {
                let requested = Disabled { at: now, reason: DisabledReason::Requested };
                after.disabled.get_or_insert(requested);
            }
            Some(false) => (after.disabled, after.failing_since) = (None, None),
            None => {}
        }
        let answer = Answer::new(StatusCode::OK, json(&EndpointView::of(&after, now)));
        (after, answer)
    };
    change(&app, client, id, &request, apply).await
}

struct UpdateProblems;

impl IntoResponses for UpdateProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, CHANGES])
    }
}

/// Delete a webhook endpoint
///
/// Nothing is sent there any more, what is pending included, and the log of its deliveries is gone.
#[utoipa::path(
    delete, path = "/v1/webhook_endpoints/{id}", operation_id = "delete_webhook_endpoint", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    params(("id" = String, Path, description = "The endpoint.", example = "we_0197f3c2a1b47c6e8d5f00112233aabb")),
    responses((status = 200, description = "Deleted.", body = DeletedView), DeleteProblems)
)]
async fn delete(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EndpointPath(id): EndpointPath,
) -> Result<Response, Problem> {
    if app.engine.store().delete_endpoint(client.merchant_id, id).await? == Updated::Conflict {
        return Err(Problem::webhook_endpoint_not_found());
    }
    Ok(as_json(json(&DeletedView { id, object: "webhook_endpoint", deleted: true })).into_response())
}

struct DeleteProblems;

impl IntoResponses for DeleteProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, ONE])
    }
}
