//! `/healthz` and `/readyz`: whether the process lives, and whether it can take requests.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::as_json;
use crate::App;
use crate::document::{Responses, problems};
use crate::problem::{Code, Problem};
use crate::view;

/// A database that takes longer is not ready; load balancers ask every few seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(alive)).routes(routes!(ready))
}

/// Is the process alive?
///
/// For whoever restarts processes that are not. Asks nobody else.
#[utoipa::path(
    get, path = "/healthz", operation_id = "check_alive", tag = "operations",
    responses((status = 200, description = "It is.", body = Health, example = json!({"status": "alive"})), AliveProblems)
)]
async fn alive() -> Response {
    is("alive")
}

/// How the process is.
#[derive(Serialize, ToSchema)]
struct Health {
    /// In one word.
    status: &'static str,
}

fn is(status: &'static str) -> Response {
    as_json(view::json(&Health { status })).into_response()
}

struct AliveProblems;

impl IntoResponses for AliveProblems {
    fn responses() -> Responses {
        problems(&[])
    }
}

/// Can it take requests?
///
/// For load balancers. Asks the database, for two seconds at most.
#[utoipa::path(
    get, path = "/readyz", operation_id = "check_ready", tag = "operations",
    responses((status = 200, description = "It can.", body = Health, example = json!({"status": "ready"})), ReadyProblems)
)]
async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    // In a task of its own: a check that takes too long is left to end by itself, never cut off within a transaction.
    let check = tokio::spawn(async move { app.engine.store().check().await });
    match tokio::time::timeout(CHECK_TIMEOUT, check).await {
        Ok(Ok(Ok(_usable))) => Ok(is("ready")),
        Ok(Ok(Err(error))) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
            Err(not_ready("The database does not answer, or has another schema than this server needs."))
        }
        Ok(Err(_)) | Err(_) => {
            tracing::warn!("not ready: the check did not end in time");
            Err(not_ready("The database does not answer in time."))
        }
    }
}

fn not_ready(detail: &'static str) -> Problem {
    Problem::new(Code::NotReady, detail)
}

struct ReadyProblems;

impl IntoResponses for ReadyProblems {
    fn responses() -> Responses {
        problems(&[&[Code::NotReady]])
    }
}
