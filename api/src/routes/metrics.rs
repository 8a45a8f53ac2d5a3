//! `/metrics`: counters and histograms as Prometheus text.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue};
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::document::{Responses, problems};

/// What Prometheus calls its text format.
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Read the metrics
///
/// Counters and histograms as Prometheus reads them.
#[utoipa::path(
    get, path = "/metrics", operation_id = "read_metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text.", body = String, content_type = "text/plain"), MetricsProblems)
)]
async fn metrics(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE))], (app.metrics)()).into_response()
}

struct MetricsProblems;

impl IntoResponses for MetricsProblems {
    fn responses() -> Responses {
        problems(&[])
    }
}
