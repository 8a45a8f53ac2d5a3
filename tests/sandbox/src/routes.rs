//! The HTTP surface: authenticates, reads the form, performs the call, lets the answer leave.
//!
//! Not here: what calls do (`state`) and how faults look on the wire (`answer`).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};

use crate::answer::{Answer, carry_out};
use crate::connection::Cut;
use crate::error::ApiError;
use crate::idempotency::Key;
use crate::params::{self, Call, Form};
use crate::scenario::{Fault, Operation};
use crate::shared::Shared;
use crate::state::{Origin, Reply, State as SandboxState, Step};
use crate::{control, limits};

/// Every route of the sandbox.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/payment_intents", post(create))
        .route("/v1/payment_intents/{id}", get(retrieve))
        .route("/v1/payment_intents/{id}/confirm", post(confirm))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/refunds", post(refund).get(list_refunds))
        .route("/v1/refunds/{id}", get(retrieve_refund))
        .route("/v1/disputes/{id}", get(retrieve_dispute).post(answer_dispute))
        .route("/v1/disputes/{id}/close", post(close_dispute))
        .merge(control::router())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .with_state(shared)
}

/// A request, read as far as HTTP goes.
struct Arrival {
    cut: Cut,
    parts: Parts,
    body: Option<Bytes>,
}

impl FromRequest<Arc<Shared>> for Arrival {
    type Rejection = Infallible;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        let cut = ConnectInfo::<Cut>::from_request_parts(&mut parts, shared).await;
        let cut = cut.map(|ConnectInfo(cut)| cut).unwrap_or_default();
        let body = to_bytes(body, limits::BODY_BYTES).await.ok();
        Ok(Self { cut, parts, body })
    }
}

type App = State<Arc<Shared>>;

async fn create(State(shared): App, arrival: Arrival) -> Response {
    change(shared, Operation::Create, arrival, Call::create).await
}

async fn confirm(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    change(shared, Operation::Confirm, arrival, |form| Call::confirm(id, form)).await
}

async fn capture(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    change(shared, Operation::Capture, arrival, |form| Call::capture(id, form)).await
}

async fn cancel(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    change(shared, Operation::Cancel, arrival, |form| Call::cancel(id, form)).await
}

async fn refund(State(shared): App, arrival: Arrival) -> Response {
    change(shared, Operation::Refund, arrival, Call::refund).await
}

async fn retrieve(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    read(shared, Operation::Retrieve, arrival, params::retrieve, |state, expand| state.intent(&id, expand)).await
}

async fn retrieve_refund(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    read(shared, Operation::RetrieveRefund, arrival, params::retrieve, |state, _| state.refund(&id)).await
}

async fn list_refunds(State(shared): App, arrival: Arrival) -> Response {
    read(shared, Operation::RetrieveRefund, arrival, params::refunds, |state, page| state.refunds(&page)).await
}

async fn answer_dispute(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    change(shared, Operation::Dispute, arrival, |form| Call::answer_dispute(id, form)).await
}

async fn close_dispute(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    change(shared, Operation::Dispute, arrival, |form| Call::close_dispute(id, form)).await
}

async fn retrieve_dispute(State(shared): App, Path(id): Path<String>, arrival: Arrival) -> Response {
    read(shared, Operation::RetrieveDispute, arrival, params::retrieve, |state, _| state.dispute(&id)).await
}

async fn unknown(State(shared): App, method: Method, uri: Uri) -> Response {
    let error = ApiError::unknown_route(method.as_str(), uri.path());
    error.into_answer(&shared.base_url).into_response(Origin::Fresh)
}

/// A call that changes something.
async fn change(
    shared: Arc<Shared>,
    route: Operation,
    arrival: Arrival,
    read: impl FnOnce(&Form) -> Result<Call, ApiError>,
) -> Response {
    shared.counters.count(route);
    if shared.is_down() {
        return arrival.cut.now();
    }
    let (call, key) = match admit(&shared, &arrival, read) {
        Ok(admitted) => admitted,
        Err(error) => return error.into_answer(&shared.base_url).into_response(Origin::Fresh),
    };
    let reply = match shared.perform(&call, key.as_ref()) {
        Step::Done(reply) => reply,
        Step::Later(delay) => match shared.perform_after(delay, call, key).await {
            Some(reply) => reply,
            None => return arrival.cut.now(),
        },
    };
    carry_out(reply, &arrival.cut, &shared.stop).await
}

/// Everything that is answered before the idempotency layer.
fn admit(
    shared: &Shared,
    arrival: &Arrival,
    read: impl FnOnce(&Form) -> Result<Call, ApiError>,
) -> Result<(Call, Option<Key>), ApiError> {
    authorize(shared, &arrival.parts.headers)?;
    let body = arrival.body.as_ref().ok_or_else(ApiError::too_large)?;
    if !body.is_empty() && !is_form(&arrival.parts.headers) {
        let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
        return Err(ApiError::malformed(message.to_owned()));
    }
    let form = Form::parse(body)?;
    let call = read(&form)?;
    let key = match arrival.parts.headers.get("idempotency-key") {
        None => None,
        Some(value) => {
            let text = String::from_utf8_lossy(value.as_bytes());
            if text.chars().count() > limits::IDEMPOTENCY_KEY_CHARS {
                return Err(ApiError::key_too_long());
            }
            let fingerprint = form.fingerprint(arrival.parts.uri.path());
            Some(Key { text: text.into_owned(), fingerprint }).filter(|key| !key.text.is_empty())
        }
    };
    Ok((call, key))
}

/// A call that changes nothing.
async fn read<Query>(
    shared: Arc<Shared>,
    route: Operation,
    arrival: Arrival,
    read: impl FnOnce(&Form) -> Result<Query, ApiError>,
    find: impl FnOnce(&SandboxState, Query) -> Result<Bytes, ApiError>,
) -> Response {
    shared.counters.count(route);
    if shared.is_down() {
        return arrival.cut.now();
    }
    let query = Form::parse(arrival.parts.uri.query().unwrap_or_default().as_bytes());
    let asked = authorize(&shared, &arrival.parts.headers).and_then(|()| read(&query?));
    let (fault, found) = {
        let mut state = shared.state();
        let fault = asked.is_ok().then(|| state.faults.take(route, |_| true)).flatten();
        let found = match fault {
            Some(Fault::Throttled) => Err(ApiError::throttled()),
            Some(Fault::Error500 | Fault::Error500Unstored | Fault::Error500AfterEffect) => Err(ApiError::internal()),
            _ => asked.and_then(|asked| find(&state, asked)),
        };
        (fault, found)
    };
    if let Some(Fault::Delayed(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let answer = match found {
        Ok(body) => Answer { status: 200, body },
        Err(error) => error.into_answer(&shared.base_url),
    };
    carry_out(Reply { fault, ..Reply::plain(answer) }, &arrival.cut, &shared.stop).await
}

fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::AUTHORIZATION) {
        Some(value) if value.as_bytes() == shared.authorization.as_bytes() => Ok(()),
        Some(_) | None => Err(ApiError::unauthorized()),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    value.is_some_and(|value| value.starts_with(b"application/x-www-form-urlencoded"))
}
