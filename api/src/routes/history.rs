//! `/v1/charges/{id}/history` and `/v1/refunds/{id}/history`: everything that happened to a payment.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::ids::PaymentId;
use workflow::port::archives;

use super::{ChargeId, RefundId, as_json, owned, path_of};
use crate::App;
use crate::auth::{ChargesRead, Client};
use crate::document::{self, Responses, problems};
use crate::problem::{Code, Problem};
use crate::view::{self, HistoryListView};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(refund_history))
}

/// List a charge's history
///
/// Every attempt, every answer of the PSP, every webhook and every person's act, oldest first. Each row's hash covers
/// the row before, so nothing can be changed or left out unseen. Of a charge that ended long ago, the first rows may be
/// archived: then `archived` says how far they reach, and the list goes on from there.
#[utoipa::path(
    get, path = "/v1/charges/{id}/history", operation_id = "list_charge_history", tag = "charges",
    security(("api_key" = ["charges:read"])),
    params(("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba")),
    responses((status = 200, description = "The whole history.", body = HistoryListView), HistoryProblems)
)]
async fn history(
    State(app): State<App>,
    client: Client<ChargesRead>,
    ChargeId(id): ChargeId,
) -> Result<Response, Problem> {
    answer(&app, client, id).await
}

/// List a refund's history
///
/// Like that of a charge. How the charge counted the refund stands in the charge's own history.
#[utoipa::path(
    get, path = "/v1/refunds/{id}/history", operation_id = "list_refund_history", tag = "refunds",
    security(("api_key" = ["charges:read"])),
    params(("id" = String, Path, description = "The refund.", example = "re_0197f3c2a1b47c6e8d5f00112233aabb")),
    responses((status = 200, description = "The whole history.", body = HistoryListView), RefundHistoryProblems)
)]
async fn refund_history(
    State(app): State<App>,
    client: Client<ChargesRead>,
    RefundId(id): RefundId,
) -> Result<Response, Problem> {
    answer(&app, client, id).await
}

async fn answer(app: &App, client: Client<ChargesRead>, id: PaymentId) -> Result<Response, Problem> {
    let payment = owned(app, client, id).await?;
    let history = archives::history_of(app.engine.store().as_ref(), payment.id).await?;
    let url = format!("{}/history", path_of(payment.id));
    Ok(as_json(view::json(&HistoryListView::of(&history, url))).into_response())
}

struct HistoryProblems;

impl IntoResponses for HistoryProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::ChargeNotFound]])
    }
}

struct RefundHistoryProblems;

impl IntoResponses for RefundHistoryProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::RefundNotFound]])
    }
}
