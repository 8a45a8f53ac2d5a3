//! The routes, one file each. A file has its handlers, what they are asked, and which problems they may answer with.
//!
//! A handler parses nothing itself: its extractors do, in the order of its arguments, and each refuses with a
//! [`Problem`]. Not here: anything that acts. A handler has the engine record, or reads.

mod cancel;
mod capture;
mod charges;
mod complete_action;
mod docs;
mod events;
mod health;
mod history;
mod list;
pub(crate) mod metrics;
mod openapi;
mod problems;
mod refunds;
mod retrieve;
mod stream;
mod webhook_endpoints;
mod webhooks;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::request::Parts;
use utoipa_axum::router::OpenApiRouter;
use workflow::definition::Kind;
use workflow::engine::client::{Replayed, Reply};
use workflow::ids::PaymentId;
use workflow::money::Money;
use workflow::payment::Payment;

use crate::auth::Client;
use crate::problem::{Code, Problem};
use crate::{App, document};

/// Says that this is the stored answer to an earlier request.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Says that the first answer is not kept any more: this one shows how things stand now.
const IDEMPOTENCY_ANSWER: HeaderName = HeaderName::from_static("idempotency-answer");

/// Seconds after which a charge that was just recorded is worth reading. Most have ended by then.
const READ_AFTER_SECONDS: u16 = 1;

/// Every route there is, in the document's order.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::frame()).merge(of_clients()).merge(of_others())
}

/// Routes for clients with an API key.
pub(crate) fn of_clients() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(charges::routes())
        .merge(list::routes())
        .merge(retrieve::routes())
        .merge(history::routes())
        .merge(stream::routes())
        .merge(capture::routes())
        .merge(cancel::routes())
        .merge(complete_action::routes())
        .merge(refunds::routes())
        .merge(webhook_endpoints::routes())
        .merge(events::routes())
}

/// Routes for PSPs and for whoever runs the server.
pub(crate) fn of_others() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(webhooks::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(openapi::routes())
        .merge(docs::routes())
        .merge(problems::routes())
}

/// The id of a charge in a path. What is no id names no charge.
#[derive(Clone, Copy)]
struct ChargeId(PaymentId);

impl FromRequestParts<App> for ChargeId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        named(Kind::Charge, parts, app).await.map(Self)
    }
}

/// The id of a refund in a path, likewise.
#[derive(Clone, Copy)]
struct RefundId(PaymentId);

impl FromRequestParts<App> for RefundId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        named(Kind::Refund, parts, app).await.map(Self)
    }
}

async fn named(kind: Kind, parts: &mut Parts, app: &App) -> Result<PaymentId, Problem> {
    let path = Path::<String>::from_request_parts(parts, app).await;
    let id = path.ok().and_then(|Path(text)| text.parse().ok());
    id.filter(|id: &PaymentId| id.kind() == kind).ok_or_else(|| Problem::not_found(kind))
}

/// A client's own payment.
async fn owned<S>(app: &App, client: Client<S>, id: PaymentId) -> Result<Arc<Payment>, Problem> {
    let payment = app.engine.load(id).await?;
    payment.filter(|payment| payment.merchant_id == client.merchant_id).ok_or_else(|| Problem::not_found(id.kind()))
}

/// Refuses an amount that the PSP cannot take exactly, before anything is recorded.
fn supported(app: &App, psp: &str, money: Money) -> Result<(), Problem> {
    app.gateways.get(psp).map_or(Ok(()), |gateway| gateway.supports(money)).map_err(|why| {
        let detail = format!("The PSP cannot take this amount of this currency: {why}.");
        Problem::new(Code::ParameterInvalid, detail).about("amount")
    })
}

/// The answer to a recorded request, byte for byte as it is stored.
fn recorded(reply: Reply) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(reply.status).map_err(|_| {
        tracing::error!(payment = %reply.payment_id, status = reply.status, "the stored answer has no valid status");
        Problem::new(Code::InternalError, "The stored answer to this request cannot be read.")
    })?;
    let location = HeaderValue::try_from(path_of(reply.payment_id));
    let mut response = (status, as_json(reply.body)).into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location.expect("an id is hexadecimal behind a prefix"));
    headers.insert(RETRY_AFTER, HeaderValue::from(READ_AFTER_SECONDS));
    if reply.replayed != Replayed::No {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if reply.replayed == Replayed::Afresh {
        headers.insert(IDEMPOTENCY_ANSWER, HeaderValue::from_static("expired"));
    }
    Ok(response)
}

/// Where a payment is read.
pub(crate) fn path_of(id: PaymentId) -> String {
    match id.kind() {
        Kind::Charge => format!("/v1/charges/{id}"),
        Kind::Refund => format!("/v1/refunds/{id}"),
    }
}

/// A body that is JSON already.
fn as_json(body: impl IntoResponse) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_replay_is_marked_and_is_the_first_answer_otherwise() {
        let payment_id = PaymentId::new(Timestamp::UNIX_EPOCH, [1, 2]);
        let answer = |replayed| recorded(Reply { status: 202, body: "{}".into(), payment_id, replayed }).unwrap();
        let (first, mut again) = (answer(Replayed::No), answer(Replayed::Stored));
        assert_eq!(again.headers_mut().remove(IDEMPOTENCY_REPLAYED).unwrap(), "true");
        assert_eq!(first.headers(), again.headers());
        let mut late = answer(Replayed::Afresh);
        assert_eq!(late.headers_mut().remove(IDEMPOTENCY_ANSWER).unwrap(), "expired");
        assert_eq!(late.headers_mut().remove(IDEMPOTENCY_REPLAYED).unwrap(), "true");
        assert_eq!(first.headers()[LOCATION], format!("/v1/charges/{payment_id}"));
    }
}
