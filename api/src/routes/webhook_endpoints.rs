//! `/v1/webhook_endpoints`: create, list. And what the routes below it share: whose endpoint it is, and doing once what is
//! asked twice.
//!
//! Not here: sending anything. Whoever delivers finds what was recorded.

mod deliveries;
mod endpoint;
mod rotate;
mod send;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::endpoint_url;
use workflow::engine::client::Request;
use workflow::ids::{EndpointId, EventId};
use workflow::port::outbound::{Endpoint, EndpointWrite, MAX_ENDPOINTS};
use workflow::port::store::{RequestRecord, Updated};
use workflow::signing::SigningSecret;

use super::{IDEMPOTENCY_REPLAYED, as_json};
use crate::App;
use crate::auth::{Client, WebhooksManage};
use crate::document::{self, Responses, problems};
use crate::fields::webhook::{self, Events, Signature, schema};
use crate::fields::{self};
use crate::idempotency::IdempotencyKey;
use crate::parse::Parsed;
use crate::problem::{Code, Problem};
use crate::view::endpoint::{EndpointListView, EndpointView};
use crate::view::json;

/// Where endpoints are.
const URL: &str = "/v1/webhook_endpoints";

/// How often a change is tried that somebody else was quicker with. They are made by people.
const MAX_CONFLICTS: usize = 8;

/// What can go wrong with every request about one endpoint.
const ONE: &[Code] = &[Code::WebhookEndpointNotFound];

/// What can go wrong with every request that changes one endpoint.
const CHANGES: &[Code] = &[Code::WebhookEndpointNotFound, Code::WebhookEndpointContended];

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .merge(endpoint::routes())
        .merge(rotate::routes())
        .merge(send::routes())
        .merge(deliveries::routes())
}

// The fields stand in alphabetical order, and those that are not there are left out: serialized, it is the canonical
// form that repetitions are recognized by.
/// Where events are to be sent.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEndpointRequest, examples(json!({
    "url": "https://shop.example.com/webhooks", "enabled_events": ["charge.succeeded", "charge.failed"]
})))]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointRequest {
    #[serde(default, deserialize_with = "fields::description", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = fields::schema::description)]
    description: Option<String>,
    #[serde(default, deserialize_with = "webhook::events", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::events)]
    enabled_events: Option<Events>,
    #[serde(default, deserialize_with = "fields::word", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::signature_or_null)]
    signature: Option<Signature>,
    #[schema(schema_with = schema::url)]
    url: String,
}

/// Create a webhook endpoint
///
/// From now on, events are sent there (docs/WEBHOOKS.md). The answer shows the signing secret; no later one does, but for the
/// repetition of this request.
#[utoipa::path(
    post, path = "/v1/webhook_endpoints", operation_id = "create_webhook_endpoint", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    params(("Idempotency-Key" = String, Header, description = "Your name for this request: the same when you try again.", min_length = 1, max_length = 255)),
    request_body(content = EndpointRequest, examples(
        ("some" = (summary = "For some types of event.", value = json!({
            "url": "https://shop.example.com/hooks", "description": "Orders",
            "enabled_events": ["charge.succeeded", "charge.failed", "refund.failed"]
        }))),
        ("all" = (summary = "For all of them, signed by ed25519.", value = json!({
            "url": "https://shop.example.com/hooks", "signature": "ed25519"
        }))),
    )),
    responses(
        (status = 201, description = "Created.", body = EndpointView, headers(
            ("Location" = String, description = "Where the endpoint is."),
            ("Idempotency-Replayed" = String, description = "`true` on the answer to a repeated request."),
        )),
        CreateProblems,
    )
)]
async fn create(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    key: IdempotencyKey,
    Parsed(asked): Parsed<EndpointRequest>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST {URL}"), &asked);
    let url = checked(&app, &asked.url)?;
    let now = app.engine.now();
    let endpoint = Endpoint {
        id: EndpointId::new(now, app.engine.random_pair()),
        merchant_id: client.merchant_id,
        url,
        description: asked.description,
        events: asked.enabled_events.unwrap_or_default().0,
        secret: secret(asked.signature.unwrap_or_default()),
        former_secret: None,
        disabled: None,
        failing_since: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    for _ in 0..MAX_CONFLICTS {
        if let Some(earlier) = app.engine.store().request(&request.scope).await? {
            return replayed(earlier, &request);
        }
        if app.engine.store().endpoints(client.merchant_id).await?.len() >= MAX_ENDPOINTS {
            return Err(Problem::new(
                Code::WebhookEndpointLimit,
                format!("There are {MAX_ENDPOINTS} webhook endpoints already. Delete one that is not needed."),
            ));
        }
        let answer = Answer::new(StatusCode::CREATED, json(&EndpointView::with_secret(&endpoint, now)));
        let record = answer.record(&app, &request);
        let write = EndpointWrite { endpoint: endpoint.clone(), expected_version: None, request: record };
        if app.engine.store().write_endpoint(&write).await? == Updated::Applied {
            return Ok(located(answer.into_response(), endpoint.id));
        }
    }
    Err(contended())
}

struct CreateProblems;

impl IntoResponses for CreateProblems {
    fn responses() -> Responses {
        problems(&[
            document::CLIENTS,
            document::WRITES,
            &[Code::ParameterMissing, Code::WebhookEndpointLimit, Code::WebhookEndpointContended],
        ])
    }
}

/// List webhook endpoints
///
/// Newest first; all of them.
#[utoipa::path(
    get, path = "/v1/webhook_endpoints", operation_id = "list_webhook_endpoints", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    responses((status = 200, description = "All endpoints.", body = EndpointListView), ListProblems)
)]
async fn list(State(app): State<App>, client: Client<WebhooksManage>) -> Result<Response, Problem> {
    let endpoints = app.engine.store().endpoints(client.merchant_id).await?;
    Ok(as_json(json(&EndpointListView::of(&endpoints, app.engine.now(), URL))).into_response())
}

struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS])
    }
}

/// The id of an endpoint in a path. What is no id names no endpoint.
struct EndpointPath(EndpointId);

impl FromRequestParts<App> for EndpointPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(Problem::webhook_endpoint_not_found)
    }
}

/// The ids of an endpoint and an event in a path. What are no ids name no delivery.
struct DeliveryPath(EndpointId, EventId);

impl FromRequestParts<App> for DeliveryPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<(EndpointId, EventId)>::from_request_parts(parts, app).await;
        path.map(|Path((id, event_id))| Self(id, event_id)).map_err(|_| Problem::webhook_delivery_not_found())
    }
}

/// A client's own endpoint.
async fn owned(app: &App, client: Client<WebhooksManage>, id: EndpointId) -> Result<Endpoint, Problem> {
    let endpoint = app.engine.store().endpoint(client.merchant_id, id).await?;
    endpoint.ok_or_else(Problem::webhook_endpoint_not_found)
}

/// The URL, if events may be sent there as far as it can be told now.
fn checked(app: &App, url: &str) -> Result<String, Problem> {
    let parsed = endpoint_url::parse(url, app.config.webhook_reach).map_err(|why| {
        let detail = format!("`url` has to be {}; {why}.", fields::expected("url"));
        Problem::new(Code::ParameterInvalid, detail).about("url")
    })?;
    Ok(parsed.into())
}

/// A new secret.
fn secret(signature: Signature) -> SigningSecret {
    match signature {
        Signature::Hmac => SigningSecret::shared(rand::random()),
        Signature::Ed25519 => SigningSecret::key_pair(rand::random()),
    }
}

/// Changes an endpoint as its merchant asks, once however often it is asked with one key.
async fn change(
    app: &App,
    client: Client<WebhooksManage>,
    id: EndpointId,
    request: &Request,
    change: impl Fn(&Endpoint) -> (Endpoint, Answer),
) -> Result<Response, Problem> {
    for _ in 0..MAX_CONFLICTS {
        if let Some(earlier) = app.engine.store().request(&request.scope).await? {
            return replayed(earlier, request);
        }
        let before = owned(app, client, id).await?;
        let (after, answer) = change(&before);
        let record = answer.record(app, request);
        let write = EndpointWrite { endpoint: after, expected_version: Some(before.version), request: record };
        if app.engine.store().write_endpoint(&write).await? == Updated::Applied {
            // What waited while it was disabled is due.
            app.engine.tell_outbound();
            return Ok(answer.into_response());
        }
    }
    Err(contended())
}

/// An answer to a request that is stored with what it did.
struct Answer {
    status: StatusCode,
    body: String,
}

impl Answer {
    fn new(status: StatusCode, body: String) -> Self {
        Self { status, body }
    }

    fn record(&self, app: &App, request: &Request) -> RequestRecord {
        RequestRecord {
            scope: request.scope.clone(),
            fingerprint: request.fingerprint,
            payment_id: None,
            status: self.status.as_u16(),
            body: Some(self.body.clone()),
            created_at: app.engine.now(),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, as_json(self.body)).into_response()
    }
}

fn located(mut response: Response, id: EndpointId) -> Response {
    let location = HeaderValue::try_from(format!("{URL}/{id}")).expect("an id is hexadecimal behind a prefix");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The stored answer to an earlier request, if it was this one.
fn replayed(earlier: RequestRecord, request: &Request) -> Result<Response, Problem> {
    if earlier.fingerprint != request.fingerprint {
        return Err(workflow::engine::EngineError::KeyReused.into());
    }
    let status = StatusCode::from_u16(earlier.status).map_err(|_| {
        tracing::error!(route = earlier.scope.route, "the stored answer has no valid status");
        Problem::new(Code::InternalError, "The stored answer to this request cannot be read.")
    })?;
    let Some(body) = earlier.body else {
        let detail = "This idempotency key was used so long ago that its answer is not kept any more. Use a new one.";
        return Err(Problem::new(Code::IdempotencyKeyReused, detail));
    };
    let is_new = status == StatusCode::CREATED;
    let id = is_new.then(|| serde_json::from_str::<Named>(&body).ok()).flatten().map(|named| named.id);
    let mut response = Answer::new(status, body).into_response();
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(match id {
        Some(id) => located(response, id),
        None => response,
    })
}

/// What a stored answer tells of the endpoint that was created.
#[derive(Deserialize)]
struct Named {
    id: EndpointId,
}

fn contended() -> Problem {
    Problem::new(
        Code::WebhookEndpointContended,
        "Too many others change this endpoint at the same time. Repeat the request with the same key.",
    )
}
