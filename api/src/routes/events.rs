//! `/v1/events/{id}`: an event, as it is sent to webhook endpoints.

use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::ids::EventId;
use workflow::view::event::EventView;

use super::as_json;
use crate::App;
use crate::auth::{Client, WebhooksManage};
use crate::document::{self, Responses, problems};
use crate::problem::{Code, Problem};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retrieve))
}

/// Retrieve an event
///
/// The body that webhook endpoints are sent, byte for byte. Kept are events that an endpoint listened to, for thirty days
/// unless the server is set otherwise.
#[utoipa::path(
    get, path = "/v1/events/{id}", operation_id = "retrieve_event", tag = "webhook_endpoints",
    security(("api_key" = ["webhooks:manage"])),
    params(("id" = String, Path, description = "The event.", example = "evt_0197f3c2a1b47c6e8d5f00112233aabb")),
    responses((status = 200, description = "The event.", body = EventView), RetrieveProblems)
)]
async fn retrieve(
    State(app): State<App>,
    client: Client<WebhooksManage>,
    EventPath(id): EventPath,
) -> Result<Response, Problem> {
    let payload = app.engine.store().event(client.merchant_id, id).await?;
    Ok(as_json(payload.ok_or_else(Problem::event_not_found)?).into_response())
}

/// The id of an event in a path. What is no id names no event.
struct EventPath(EventId);

impl FromRequestParts<App> for EventPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let path = Path::<EventId>::from_request_parts(parts, app).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Problem::event_not_found())
    }
}

struct RetrieveProblems;

impl IntoResponses for RetrieveProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::EventNotFound]])
    }
}
