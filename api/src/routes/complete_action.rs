//! `/v1/charges/{id}/complete_action`: the customer is back from the PSP's page.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::event::Event;

use super::{ChargeId, recorded};
use crate::App;
use crate::auth::{ChargesWrite, Client};
use crate::document::{self, Responses, problems};
use crate::fields::{self, schema};
use crate::idempotency::IdempotencyKey;
use crate::parse::ParsedOrDefault;
use crate::problem::Problem;
use crate::view::{self, ChargeView};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(complete_action))
}

/// What the customer came back with.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CompleteActionRequest {
    #[serde(deserialize_with = "fields::action_result", skip_serializing_if = "String::is_empty")]
    #[schema(schema_with = schema::action_result)]
    result: String,
}

/// Complete the customer's action
///
/// Tells that the customer has done what `next_action` asked for, with what they came back with. Some PSPs learn the
/// result from nobody else; those that tell it by webhook are asked at once instead of being waited for.
#[utoipa::path(
    post, path = "/v1/charges/{id}/complete_action", operation_id = "complete_charge_action", tag = "charges",
    security(("api_key" = ["charges:write"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("Idempotency-Key" = String, Header),
    ),
    request_body(content = Option<CompleteActionRequest>, examples(
        ("result" = (summary = "With what the customer brought.", value = json!({"result": "eyJ0cmFuc1N0YXR1cyI6IlkifQ"}))),
        ("plain" = (summary = "With nothing: the PSP is asked.", value = json!({}))),
    )),
    responses(
        (status = 202, description = "Recorded.", body = ChargeView, headers(
            ("Location" = String),
            ("Retry-After" = u16),
            ("Idempotency-Replayed" = String),
            ("Idempotency-Answer" = String),
        )),
        CompleteActionProblems,
    )
)]
async fn complete_action(
    State(app): State<App>,
    client: Client<ChargesWrite>,
    ChargeId(id): ChargeId,
    key: IdempotencyKey,
    ParsedOrDefault(asked): ParsedOrDefault<CompleteActionRequest>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST /v1/charges/{id}/complete_action"), &asked);
    let event = Event::ActionCompleted { result: asked.result };
    recorded(app.engine.request(id, event, request, &view::payment).await?)
}

struct CompleteActionProblems;

impl IntoResponses for CompleteActionProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, document::MOVES])
    }
}
