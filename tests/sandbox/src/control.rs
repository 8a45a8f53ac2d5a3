//! The control API: what a test or a person does to the sandbox over HTTP, behind the merchant's back. No key, but this
//! machine only: the sandbox listens on the loopback interface, and a request that names another host (a page in a
//! browser, over a rebound name) is refused.
//!
//! Not here: what the steps do (`machine`). In a test, the methods of [`Sandbox`](crate::Sandbox) do the same.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::machine::Settled;
use crate::params::Form;
use crate::scenario::{ALWAYS, DisputeKind, DisputePlan, Fault, Operation, SCENARIOS, Verdict};
use crate::shared::Shared;
use crate::webhook::{Delivery, ReleaseOrder, WebhookMode};
use crate::{manual, page};

type App = State<Arc<Shared>>;

/// A refusal that says what to send instead.
type Refused = (StatusCode, Json<Value>);

/// Every route under `/sandbox`.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/sandbox", get(handbook))
        .route("/sandbox/scenarios", get(scenarios))
        .route("/sandbox/ledger", get(ledger))
        .route("/sandbox/events", get(events))
        .route("/sandbox/events/{id}/resend", post(resend))
        .route("/sandbox/settle", post(settle))
        .route("/sandbox/faults", post(program))
        .route("/sandbox/webhooks", post(steer))
        .route("/sandbox/disputes", post(dispute))
        .route("/sandbox/disputes/{id}", post(decide))
        .route("/sandbox/authenticate/{id}", get(page::show).post(page::answer))
        .layer(middleware::from_fn(only_this_machine))
}

async fn only_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _port)| name));
    if matches!(name, Some("127.0.0.1" | "localhost")) {
        return next.run(request).await;
    }
    refused(StatusCode::FORBIDDEN, "The control API is for this machine: call it as 127.0.0.1 or localhost.")
        .into_response()
}

fn refused(status: StatusCode, message: &str) -> Refused {
    (status, Json(json!({"error": message})))
}

fn form(body: &str) -> Result<Form, Refused> {
    Form::parse(body.as_bytes()).map_err(|_| refused(StatusCode::BAD_REQUEST, "Send a form: name=value&name=value."))
}

/// The value of a word, or the words there are.
fn word<T: Copy>(form: &Form, name: &str, words: &[(&str, T)]) -> Result<T, Refused> {
    let said = form.text(name);
    let found = words.iter().find(|(word, _)| Some(*word) == said);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        refused(StatusCode::BAD_REQUEST, &format!("Send {name}= one of: {}.", all.join(", ")))
    })
}

/// `GET /sandbox`
async fn handbook() -> Html<String> {
    let text = manual::render().replace('&', "&amp;").replace('<', "&lt;");
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandbox PSP</title><pre>{text}</pre></html>"
    ))
}

/// `GET /sandbox/scenarios`
async fn scenarios() -> Json<Value> {
    let rows = SCENARIOS.iter().map(|scenario| {
        json!({"payment_method": scenario.name, "what_happens": scenario.summary, "a_charge_ends": scenario.ends})
    });
    Json(rows.collect())
}

/// `GET /sandbox/ledger`
async fn ledger(State(shared): App) -> Response {
    Json(&shared.state().ledger).into_response()
}

/// `GET /sandbox/events`, `?payment_intent=pi_…`: as they were or would have been sent, the oldest first.
async fn events(State(shared): App, request: Request) -> Result<Response, Refused> {
    let form = form(request.uri().query().unwrap_or_default())?;
    let wanted = form.text("payment_intent");
    let recorded = shared.webhooks.recorded();
    let bodies = recorded.iter().filter(|event| wanted.is_none_or(|wanted| event.payment_intent == wanted));
    let bodies: Vec<&RawValue> = bodies.filter_map(|event| serde_json::from_slice(&event.body).ok()).collect();
    Ok(Json(bodies).into_response())
}

/// `POST /sandbox/events/{id}/resend`
async fn resend(State(shared): App, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    match shared.webhooks.resend(&id).await {
        Delivery::Delivered => Ok(Json(json!({"delivered": true}))),
        Delivery::NotDelivered => Ok(Json(json!({"delivered": false}))),
        Delivery::Unknown => Err(refused(StatusCode::NOT_FOUND, "There is no such event (any more).")),
    }
}

/// `POST /sandbox/settle`
async fn settle(State(shared): App) -> Json<Value> {
    Json(json!({"steps": shared.settle()}))
}

/// `POST /sandbox/faults` with `operation`, `fault` and `times` (a number or `always`; 1 if absent).
async fn program(State(shared): App, body: String) -> Result<Json<Value>, Refused> {
    let form = form(&body)?;
    let operation = word(&form, "operation", &Operation::ALL)?;
    let fault = word(&form, "fault", &Fault::ALL)?;
    let times = match form.text("times") {
        None => 1,
        Some("always") => ALWAYS,
        Some(text) => text.parse().map_err(|_| refused(StatusCode::BAD_REQUEST, "Send times= a number or always."))?,
    };
    shared.state().faults.program(operation, fault, times);
    Ok(Json(json!({"programmed": true})))
}

#[derive(Clone, Copy)]
enum Steer {
    Mode(WebhookMode),
    Hold,
    Release(ReleaseOrder),
}

/// `POST /sandbox/webhooks` with `do=on`, `off`, `hold`, `release` or `release_reversed`.
async fn steer(State(shared): App, body: String) -> Result<Json<Value>, Refused> {
    let words = [
        ("on", Steer::Mode(WebhookMode::On)),
        ("off", Steer::Mode(WebhookMode::Off)),
        ("hold", Steer::Hold),
        ("release", Steer::Release(ReleaseOrder::AsHappened)),
        ("release_reversed", Steer::Release(ReleaseOrder::Reversed)),
    ];
    let steer = word(&form(&body)?, "do", &words)?;
    match steer {
        Steer::Mode(mode) => shared.webhooks.set_mode(mode),
        Steer::Hold => shared.webhooks.hold(),
        Steer::Release(order) => {
            let arrived = shared.webhooks.release(order).await;
            return Ok(Json(json!({"arrived": arrived})));
        }
    }
    Ok(Json(json!({"done": true})))
}

/// `POST /sandbox/disputes` with `payment_intent` and, if it shall only be an inquiry, `kind=inquiry`.
async fn dispute(State(shared): App, body: String) -> Result<Json<Value>, Refused> {
    let form = form(&body)?;
    let kinds = [("chargeback", DisputeKind::Chargeback), ("inquiry", DisputeKind::Inquiry)];
    let kind = if form.text("kind").is_some() { word(&form, "kind", &kinds)? } else { DisputeKind::Chargeback };
    let id = form.text("payment_intent").unwrap_or_default();
    let plan = DisputePlan { kind, reason: "fraudulent", verdict: None };
    settled(shared.open_dispute(id, plan))?;
    let state = shared.state();
    let dispute = state.intents.get(id).and_then(|intent| intent.dispute.as_ref());
    Ok(Json(json!({"dispute": dispute.map(|dispute| &dispute.id)})))
}

/// `POST /sandbox/disputes/{id}` with `verdict=won` or `verdict=lost`.
async fn decide(State(shared): App, Path(id): Path<String>, body: String) -> Result<Json<Value>, Refused> {
    let verdict = word(&form(&body)?, "verdict", &[("won", Verdict::Won), ("lost", Verdict::Lost)])?;
    settled(shared.close_dispute(&id, verdict))?;
    Ok(Json(json!({"closed": true})))
}

fn settled(settled: Settled) -> Result<(), Refused> {
    match settled {
        Settled::Now => Ok(()),
        Settled::Unchanged | Settled::NotAwaited => {
            Err(refused(StatusCode::CONFLICT, "There is none, or it is not in a state for this: see /sandbox/events."))
        }
    }
}
