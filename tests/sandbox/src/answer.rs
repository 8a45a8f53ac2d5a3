//! An answer, and how it leaves: whole, or as the fault has it.
//!
//! Not here: what the answer says (`state`) and which fault strikes (`faults`).

use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::connection::Cut;
use crate::scenario::Fault;
use crate::state::{Origin, Reply};
use crate::{API_VERSION, ids, limits};

/// A finished answer: what an idempotency key stands for.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    /// As it leaves when nothing goes wrong.
    pub(crate) fn into_response(self, origin: Origin) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("stripe-version"), HeaderValue::from_static(API_VERSION));
        if let Ok(id) = HeaderValue::try_from(ids::new("req_")) {
            headers.insert(HeaderName::from_static("request-id"), id);
        }
        if self.status == 429 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if origin == Origin::Replayed {
            headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
        }
        response
    }
}

/// Sends the reply, or does to it what its fault says. Everything it reports has happened already.
pub(crate) async fn carry_out(reply: Reply, cut: &Cut, stop: &CancellationToken) -> Response {
    let Some(fault) = reply.fault else { return reply.answer.into_response(reply.origin) };
    match fault {
        Fault::AnswerLost | Fault::DropBefore => cut.now(),
        Fault::NeverAnswers => {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(limits::NEVER) => {}
            }
            cut.now()
        }
        Fault::HalfBody => half(reply.answer),
        Fault::Garbage => {
            let answer = Answer { status: 200, body: Bytes::from_static(b"<html>upstream connect error") };
            answer.into_response(reply.origin)
        }
        Fault::SlowDrip => drip(reply.answer, stop.clone()),
        Fault::WebhookFirst => {
            if let Some(delivery) = reply.delivery {
                // Late or failed, the answer leaves all the same.
                let _ = tokio::time::timeout(limits::WEBHOOK_FIRST_WAIT, delivery).await;
            }
            reply.answer.into_response(reply.origin)
        }
        Fault::Error500
        | Fault::Error500Unstored
        | Fault::Error500AfterEffect
        | Fault::Throttled
        | Fault::Delayed(_)
        | Fault::Declined
        | Fault::AmountMismatch
        | Fault::WebhookNever
        | Fault::WebhookThrice
        | Fault::WebhookOvertaken => reply.answer.into_response(reply.origin),
    }
}

/// Promises the whole body, sends half of it and breaks off.
fn half(answer: Answer) -> Response {
    let promised = answer.body.len();
    let first = answer.body.slice(..promised / 2);
    let mut response = answer.into_response(Origin::Fresh);
    let pieces = stream::unfold(Some(first), |piece| async move {
        match piece {
            Some(piece) if !piece.is_empty() => Some((Ok(piece), Some(Bytes::new()))),
            Some(_) => {
                tokio::time::sleep(limits::HALF_BODY_PAUSE).await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
            None => None,
        }
    });
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    *response.body_mut() = Body::from_stream(pieces);
    response
}

/// Sends the status and then one space after the other.
fn drip(answer: Answer, stop: CancellationToken) -> Response {
    let mut response = answer.into_response(Origin::Fresh);
    let drops = stream::unfold((limits::DRIP_BYTES, stop), |(left, stop)| async move {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(limits::DRIP_PAUSE) => {}
        }
        let left = left.checked_sub(1)?;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), (left, stop)))
    });
    *response.body_mut() = Body::from_stream(drops);
    response
}
