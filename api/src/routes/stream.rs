//! `/v1/charges/{id}/events`: what happens to a charge, as it happens (server-sent events).
//!
//! Each row of the charge's history is one event, numbered like the row, so a client that was cut off goes on where it
//! was. Not here: how following is done ([`workflow::waiting`]).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use tokio::time::Instant;
use utoipa::{IntoResponses, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use workflow::definition;
use workflow::history::HistoryRow;
use workflow::port::store::HistoryPlace;
use workflow::waiting::Follower;

use super::{ChargeId, owned};
use crate::App;
use crate::auth::{Caller, ChargesRead, Client, KEY_BELIEVED_FOR};
use crate::document::{self, Responses, problems};
use crate::parse;
use crate::problem::{Code, Problem};
use crate::view::{self, HistoryRowView};

/// A stream ends after this, and its client comes back: connections are spread over the servers again, and none is kept
/// for somebody who has long gone.
const LONGEST: Duration = Duration::from_mins(15);

/// Nothing happens for longer than this without a sign of life. Proxies give up after a minute or less.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Clients are asked to come back after this.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

/// How often it is looked whether the client's key still holds, on top of how long a key is believed: together less than
/// the five seconds within which a revocation is effective.
const KEY_ASKED_EVERY: Duration = Duration::from_secs(2);

const _: () = assert!(KEY_ASKED_EVERY.as_secs() as i64 + KEY_BELIEVED_FOR.as_secs() < 5);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells nginx and its kin to pass on what comes, as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Follow a charge
///
/// Server-sent events: one for each row of the charge's history, those that were there before first. `id` is the row's
/// `seq`, `event` what happened, `data` the row. The stream ends when the charge has ended, and after 15 minutes at the
/// latest; come back with `Last-Event-ID` and nothing is missed or repeated. Once a charge that has ended has nothing
/// more to tell, the answer is 204, which tells browsers to stay away. Rows that are archived are not told. Comments keep
/// the connection alive.
#[utoipa::path(
    get, path = "/v1/charges/{id}/events", operation_id = "follow_charge", tag = "charges",
    security(("api_key" = ["charges:read"])),
    params(
        ("id" = String, Path, description = "The charge.", example = "ch_0197f3c2a1b47c6e8d5f00112233aaba"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The `id` of the last event that you have; 0 or nothing for none.", minimum = 0),
    ),
    responses(
        (status = 200, description = "Events, until there are no more.", body = SentEvent, content_type = "text/event-stream"),
        (status = 204, description = "The charge has ended, and you know all of it."),
        EventsProblems,
    )
)]
async fn events(
    State(app): State<App>,
    client: Client<ChargesRead>,
    ChargeId(id): ChargeId,
    LastEventId(last): LastEventId,
) -> Result<Response, Problem> {
    let payment = owned(&app, client, id).await?;
    if last > payment.seq {
        return Err(parse::invalid("Last-Event-ID"));
    }
    // What is archived is not told again.
    let archived = app.engine.store().statements(&[payment.id]).await?.pop().flatten();
    let last = last.max(archived.map_or(0, |statement| statement.prefix.seq));
    if last == payment.seq && definition::has_ended(payment.state) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower = app.waiting.follow(HistoryPlace { payment_id: payment.id, seq: last });
    let follower = follower.ok_or_else(|| Problem::new(Code::Overloaded, "Too many others follow charges here."))?;
    metrics::counter!("fincore_event_streams_total").increment(1);
    let first = Event::default().retry(COME_BACK_AFTER).comment("following");
    let stream = Stream {
        app,
        caller: client.caller,
        follower,
        pending: VecDeque::from([first]),
        ends_at: Instant::now() + LONGEST,
        has_ended: false,
    };
    let events =
        stream::unfold(stream, |mut stream| async move { Some((Ok::<_, Infallible>(stream.next().await?), stream)) });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here")).into_response();
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

struct EventsProblems;

impl IntoResponses for EventsProblems {
    fn responses() -> Responses {
        problems(&[document::CLIENTS, &[Code::ChargeNotFound, Code::ParameterInvalid]])
    }
}

/// A stream of events to one client.
struct Stream {
    app: App,
    caller: Caller,
    follower: Follower,
    /// Read, and not sent yet.
    pending: VecDeque<Event>,
    ends_at: Instant,
    /// Whether the last row that was read is the end of the charge.
    has_ended: bool,
}

impl Stream {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.has_ended || Instant::now() >= self.ends_at {
                return None;
            }
            let ask_again_at = self.ends_at.min(Instant::now() + KEY_ASKED_EVERY);
            match tokio::time::timeout_at(ask_again_at, self.follower.next()).await {
                Ok(rows) => {
                    let rows = rows?;
                    self.has_ended = rows.last().is_some_and(|row| definition::has_ended(row.fact.to));
                    self.pending.extend(rows.iter().map(event));
                }
                Err(_nothing_yet) => {}
            }
            // Whatever there is to tell, it is told only to those who may know.
            if !self.caller.is_still_welcome(&self.app).await {
                return None;
            }
        }
    }
}

fn event(row: &HistoryRow) -> Event {
    let kind: &'static str = row.fact.event.into();
    Event::default().id(row.seq.to_string()).event(kind).data(view::json(&HistoryRowView::of(row)))
}

/// One event of the stream, as its fields are called there.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written by the library; this is how the document shows it")]
struct SentEvent {
    /// The row's `seq`: what `Last-Event-ID` goes on from.
    id: String,
    /// What happened.
    event: String,
    /// The row of the history, as JSON.
    data: String,
}

/// The number of the last event that a client has.
struct LastEventId(i64);

impl FromRequestParts<App> for LastEventId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(LAST_EVENT_ID) else { return Ok(Self(0)) };
        let text = value.to_str().unwrap_or("-").trim();
        if text.is_empty() {
            return Ok(Self(0));
        }
        let seq = text.parse().ok().filter(|seq| *seq >= 0);
        seq.map(Self).ok_or_else(|| parse::invalid("Last-Event-ID"))
    }
}
