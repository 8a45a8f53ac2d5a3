//! `/v1/charges/{id}/capture`: ask for the money of an authorized charge.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::event::Event;
use workflow::money::{Amount, Money};

use super::{ChargeId, owned, recorded, supported};
use crate::App;
use crate::auth::{ChargesWrite, Client};
use crate::document::{self, Responses, problems};
use crate::fields::schema;
use crate::idempotency::IdempotencyKey;
use crate::parse::ParsedOrDefault;
use crate::problem::Problem;
use crate::view::{self, ChargeView};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(capture))
}

/// How much to capture.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CaptureRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::amount_or_null)]
    amount: Option<Amount>,
}

/// Capture a charge
///
/// Takes the money of an authorized charge, all of it or a part; the rest is released.
#[utoipa::path(
    post, path = "/v1/charges/{id}/capture", operation_id = "capture_charge", tag = "charges",
    security(("api_key" = ["charges:write"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("Idempotency-Key" = String, Header),
    ),
    request_body(content = Option<CaptureRequest>, examples(
        ("part" = (summary = "A part of it: the rest is released.", value = json!({"amount": 1500}))),
        ("all" = (summary = "All of it.", value = json!({}))),
    )),
    responses(
        (status = 202, description = "Recorded.", body = ChargeView, headers(
            ("Location" = String),
            ("Retry-After" = u16),
            ("Idempotency-Replayed" = String),
            ("Idempotency-Answer" = String),
        )),
        CaptureProblems,
    )
)]
async fn capture(
    State(app): State<App>,
    client: Client<ChargesWrite>,
    ChargeId(id): ChargeId,
    key: IdempotencyKey,
    ParsedOrDefault(asked): ParsedOrDefault<CaptureRequest>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST /v1/charges/{id}/capture"), &asked);
    let payment = owned(&app, client, id).await?;
    // What was authorized is what was asked for: anything else goes to a person, not here.
    let amount_minor = asked.amount.map_or(payment.amount_minor, Amount::minor);
    supported(&app, &payment.psp, Money { amount_minor, currency: payment.currency })?;
    recorded(app.engine.request(payment.id, Event::CaptureRequested { amount_minor }, request, &view::payment).await?)
}

struct CaptureProblems;

impl IntoResponses for CaptureProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, document::MOVES])
    }
}
