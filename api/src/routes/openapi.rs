//! `/openapi.json`: the description of this API, as committed.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::as_json;
use crate::App;
use crate::document::{Responses, problems};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(openapi))
}

/// Read this document
///
/// The same as `docs/openapi.json` in the repository.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "read_openapi", tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1.", body = BTreeMap<String, serde_json::Value>), OpenapiProblems)
)]
async fn openapi(State(app): State<App>) -> Response {
    as_json(app.openapi.clone()).into_response()
}

struct OpenapiProblems;

impl IntoResponses for OpenapiProblems {
    fn responses() -> Responses {
        problems(&[])
    }
}
