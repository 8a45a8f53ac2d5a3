//! The page on which a payer authenticates, or does not.
//!
//! Not here: what that does to the payment (`machine`).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::intent::{Intent, Status};
use crate::machine::{Authentication, Settled};
use crate::params::Form;
use crate::shared::Shared;

/// `GET /sandbox/authenticate/{id}`
pub(crate) async fn show(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.state().intents.get(&id) {
        None => (StatusCode::NOT_FOUND, page("There is no such payment.")).into_response(),
        Some(intent) if intent.status != Status::RequiresAction => closed(),
        Some(intent) => page(&question(intent)).into_response(),
    }
}

/// `POST /sandbox/authenticate/{id}` with `outcome=complete`, `fail` or `abandon`; leads back to the `return_url`.
pub(crate) async fn answer(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: String) -> Response {
    let form = Form::parse(body.as_bytes()).ok();
    let (answer, result) = match form.as_ref().and_then(|form| form.text("outcome")) {
        Some("complete") => (Authentication::Complete, "succeeded"),
        Some("fail") => (Authentication::Fail, "failed"),
        Some("abandon") => (Authentication::Abandon, "pending"),
        Some(_) | None => {
            return (StatusCode::BAD_REQUEST, page("Say outcome=complete, fail or abandon.")).into_response();
        }
    };
    match shared.authenticate(&id, answer) {
        Settled::NotAwaited => closed(),
        Settled::Now | Settled::Unchanged => {
            let state = shared.state();
            let back = state.intents.get(&id).and_then(|intent| way_back(intent, result));
            match back {
                Some(headers) => (StatusCode::SEE_OTHER, headers).into_response(),
                None => page(&format!("Authentication {result}.")).into_response(),
            }
        }
    }
}

fn way_back(intent: &Intent, result: &str) -> Option<HeaderMap> {
    let url = intent.return_url.as_deref()?;
    let sign = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{sign}payment_intent={}&redirect_status={result}", intent.id);
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, HeaderValue::try_from(url).ok()?);
    Some(headers)
}

fn closed() -> Response {
    (StatusCode::CONFLICT, page("This payment does not wait for its payer.")).into_response()
}

fn question(intent: &Intent) -> String {
    // Ids and currency codes are letters, digits and underscores: nothing to escape.
    format!(
        "Payment <code>{}</code> of {} {} (minor units).</p><form method=\"post\">\
         <button name=\"outcome\" value=\"complete\">Complete authentication</button> \
         <button name=\"outcome\" value=\"fail\">Fail authentication</button> \
         <button name=\"outcome\" value=\"abandon\">Leave without an answer</button></form><p>",
        intent.id, intent.amount, intent.currency
    )
}

fn page(content: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandbox authentication</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <main style=\"font-family:sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem\">\
         <h1>Sandbox authentication</h1><p>{content}</p></main></html>"
    ))
}
