//! `/docs`: the description of this API as a page, for whoever has a browser.
//!
//! Swagger UI comes with the crate and is served from here: the page needs no other server, and its policy lets it ask
//! none. Like all that is for whoever runs the server, it needs no key, and is not part of the described API.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use crate::App;
use crate::problem::{Code, Problem};

/// What the page may load: ours alone. Swagger UI's pictures are part of its style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const INDEX: &str = include_str!("docs/index.html");
const STYLE: &str = include_str!("docs/page.css");
const SCRIPT: &str = include_str!("docs/page.js");

/// The files of Swagger UI that the page needs.
const SWAGGER_UI: [&str; 3] = ["favicon-32x32.png", "swagger-ui-bundle.js", "swagger-ui.css"];

pub(super) fn routes() -> OpenApiRouter<App> {
    let index = || axum::routing::get(async || file("text/html; charset=utf-8", Cow::Borrowed(INDEX.as_bytes())));
    OpenApiRouter::new()
        .route("/docs", index())
        .route("/docs/", index())
        .route("/docs/{file}", axum::routing::get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "page.css" => file("text/css; charset=utf-8", Cow::Borrowed(STYLE.as_bytes())),
        "page.js" => file("text/javascript; charset=utf-8", Cow::Borrowed(SCRIPT.as_bytes())),
        name if SWAGGER_UI.contains(&name) => of_swagger_ui(name),
        _ => Problem::new(Code::RouteNotFound, "There is no such route.").into_response(),
    }
}

/// A file of the crate's. Text is there only compressed, which every browser takes.
fn of_swagger_ui(name: &str) -> Response {
    let Ok(Some(found)) = utoipa_swagger_ui::serve(name, Arc::new(Config::default())) else {
        tracing::error!(name, "the crate has no such file");
        return Problem::internal().into_response();
    };
    let mut response = file(&found.content_type, found.bytes);
    if found.gzpipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn file(content_type: &str, bytes: Cow<'static, [u8]>) -> Response {
    let content_type = HeaderValue::try_from(content_type).expect("a media type is visible characters");
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, bytes.into_owned()).into_response()
}
