//! The style sheet, the script and the icon, under names that change with what is in them: a browser keeps them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use workflow::history::Hash;

use crate::answer::Trouble;

const STYLE: &str = include_str!("../../assets/ops.css");
const SCRIPT: &str = include_str!("../../assets/ops.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// Letters of the hash in a name.
const MARK: usize = 16;

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("ops", "css", STYLE));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("ops", "js", SCRIPT));

fn path(name: &str, ending: &str, text: &str) -> String {
    format!("/ops/assets/{name}-{}.{ending}", &Hash::of(text.as_bytes()).to_string()[..MARK])
}

pub(crate) fn style_path() -> &'static str {
    &STYLE_PATH
}

pub(crate) fn script_path() -> &'static str {
    &SCRIPT_PATH
}

pub(crate) async fn file(Path(name): Path<String>) -> Response {
    let path = format!("/ops/assets/{name}");
    let (content_type, text) = match path.as_str() {
        path if path == style_path() => ("text/css; charset=utf-8", STYLE),
        path if path == script_path() => ("text/javascript; charset=utf-8", SCRIPT),
        "/ops/assets/icon.svg" => ("image/svg+xml", ICON),
        _ => return Trouble::NotFound("file").into_response(),
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, text).into_response()
}
