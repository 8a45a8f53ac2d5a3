//! `/v1/charges/{id}/cancel`: give a charge up.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::event::Event;

use super::{ChargeId, recorded};
use crate::App;
use crate::auth::{ChargesWrite, Client};
use crate::document::{self, Responses, problems};
use crate::fields;
use crate::idempotency::IdempotencyKey;
use crate::parse::ParsedOrDefault;
use crate::problem::Problem;
use crate::view::{self, ChargeView};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(cancel))
}

/// Why a charge is canceled.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CancelRequest {
    /// Kept in the history.
    #[serde(deserialize_with = "fields::word", skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

/// Why, from a fixed list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Reason {
    /// The customer changed their mind.
    RequestedByCustomer,
    /// There is another charge for the same thing.
    Duplicate,
    /// Somebody else's means of payment.
    Fraudulent,
    /// The customer went away.
    Abandoned,
}

/// Cancel a charge
///
/// Releases the money, or makes sure that none can be reserved. While the outcome of an attempt is unknown, the
/// wish is recorded and carried out once it is known.
#[utoipa::path(
    post, path = "/v1/charges/{id}/cancel", operation_id = "cancel_charge", tag = "charges",
    security(("api_key" = ["charges:write"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("Idempotency-Key" = String, Header),
    ),
    request_body(content = Option<CancelRequest>, examples(
        ("reason" = (summary = "With a reason.", value = json!({"reason": "requested_by_customer"}))),
        ("plain" = (summary = "Without one.", value = json!({}))),
    )),
    responses(
        (status = 202, description = "Recorded.", body = ChargeView, headers(
            ("Location" = String),
            ("Retry-After" = u16),
            ("Idempotency-Replayed" = String),
            ("Idempotency-Answer" = String),
        )),
        CancelProblems,
    )
)]
async fn cancel(
    State(app): State<App>,
    client: Client<ChargesWrite>,
    ChargeId(id): ChargeId,
    key: IdempotencyKey,
    ParsedOrDefault(asked): ParsedOrDefault<CancelRequest>,
) -> Result<Response, Problem> {
    let request = key.request(client, format!("POST /v1/charges/{id}/cancel"), &asked);
    let reason = asked.reason.map(|reason| <&str>::from(reason).to_owned());
    recorded(app.engine.request(id, Event::CancelRequested { reason }, request, &view::payment).await?)
}

struct CancelProblems;

impl IntoResponses for CancelProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, document::WRITES, document::MOVES])
    }
}
