//! `/problems`: what each error code means and what to do about it, where `doc_url` leads.
//!
//! The same table as in `docs/API.md`, which it is made of.

use axum::response::{Html, IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use strum::IntoEnumIterator;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::document::{self, Responses};
use crate::problem::Code;

const DOCS: &str = include_str!("../../../docs/API.md");

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>FinCore: problems</title>\n\
    <style>body{font:16px/1.5 sans-serif;margin:2rem}td,th{text-align:left;vertical-align:top;padding:.3rem .8rem}\
    tr:target{background:#ff9}</style>\n<h1>Problems</h1>\n<table>\n\
    <tr><th>code<th>status<th>retryable<th>title<th>what to do\n";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(problems))
}

/// Read what the error codes mean
///
/// A page for people, with a row for each code: what happened, whether to try again, and what to do. Problems link to it
/// (`doc_url`).
#[utoipa::path(
    get, path = "/problems", operation_id = "read_problems", tag = "operations",
    responses((status = 200, description = "A page with a row for each code.", body = String, content_type = "text/html"), ProblemsProblems)
)]
async fn problems() -> Response {
    let mut response = Html(page()).into_response();
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

struct ProblemsProblems;

impl IntoResponses for ProblemsProblems {
    fn responses() -> Responses {
        document::problems(&[])
    }
}

fn page() -> String {
    let rows = Code::iter().map(|code| {
        let facts = code.facts();
        let retryable = facts.retry_after_seconds.map_or("no".to_owned(), |seconds| format!("after {seconds} s"));
        let (status, title, advice) = (facts.status.as_u16(), facts.title, as_html(advice(code)));
        format!("<tr id=\"{code}\"><td><code>{code}</code><td>{status}<td>{retryable}<td>{title}<td>{advice}\n")
    });
    format!("{HEAD}{}</table>\n</html>\n", rows.collect::<String>())
}

/// What the docs say there is to do: the last cell of the code's row.
fn advice(code: Code) -> &'static str {
    let begin = format!("| <a id=\"{code}\"></a>");
    let row = DOCS.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
    row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim()
}

/// Text with code between backquotes, as HTML.
fn as_html(markdown: &str) -> String {
    let escaped = markdown.replace('&', "&amp;").replace('<', "&lt;");
    let parts = escaped.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_row_with_advice() {
        for code in Code::iter() {
            assert!(advice(code).len() > 8, "{code}: {}", advice(code));
            assert!(page().contains(&format!("<tr id=\"{code}\">")), "{code}");
        }
        assert_eq!(as_html("Send `a<b>` & go."), "Send <code>a&lt;b></code> &amp; go.");
    }
}
