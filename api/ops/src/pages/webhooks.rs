//! Webhooks in and out: events of PSPs that fit no payment or were refused, and endpoints of merchants with what was sent to
//! them.
//!
//! Not here: events with a wrong signature. They are refused at the door and counted, and nothing of them is kept.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use jiff::Timestamp;
use workflow::history::Hash;
use workflow::ids::{AuditId, EndpointId, EventId};
use workflow::port::audit::{AuditAct, AuditEntry, AuditOutcome, Via};
use workflow::port::outbound::{DeliveryPage, DeliveryRow, DeliveryState, Resend};
use workflow::port::overview::{EndpointRow, Inbox, InboxRow};
use workflow::port::store::{RequestRecord, RequestScope, Updated};

use super::{Frame, Section};
use crate::access::{Form, Visitor, cookie};
use crate::answer::{Trouble, page, see};
use crate::desk::App;
use crate::humane::{age, count, instant, short, words};

/// Rows of each list.
const EVENTS: u32 = 50;
const ENDPOINTS: u32 = 500;
const DELIVERIES: u32 = 50;

struct Event {
    psp: String,
    id: String,
    kind: String,
    outcome: String,
    payment: String,
    payment_short: String,
    age: String,
    at: String,
}

struct Endpoint {
    id: String,
    short: String,
    merchant: String,
    merchant_short: String,
    url: String,
    tone: &'static str,
    stands: String,
    pending: String,
    pending_since: String,
}

struct Delivery {
    event: String,
    event_short: String,
    kind: String,
    tone: &'static str,
    stands: String,
    attempts: i32,
    last: String,
    next: String,
    age: String,
    at: String,
    can_resend: bool,
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Page {
    frame: Frame,
    unmatched: Vec<Event>,
    refused: Vec<Event>,
    endpoints: Vec<Endpoint>,
}

pub(crate) async fn whole(State(app): State<App>, Extension(visitor): Extension<Visitor>) -> Result<Response, Trouble> {
    let (now, overview) = (app.now(), &app.state.overview);
    let unmatched = overview.inbox(Inbox::Unmatched, Timestamp::MAX, EVENTS).await?;
    let refused = overview.inbox(Inbox::Refused, Timestamp::MAX, EVENTS).await?;
    let endpoints = overview.all_endpoints(ENDPOINTS).await?;
    Ok(page(&Page {
        frame: Frame::of(&visitor, Section::Webhooks, "Webhooks"),
        unmatched: unmatched.into_iter().map(|row| event(row, now)).collect(),
        refused: refused.into_iter().map(|row| event(row, now)).collect(),
        endpoints: endpoints.iter().map(|row| endpoint_line(row, now)).collect(),
    }))
}

fn event(row: InboxRow, now: Timestamp) -> Event {
    let payment = row.payment_id.map(|id| id.to_string()).unwrap_or_default();
    Event {
        psp: row.psp,
        id: row.event_id,
        kind: row.event_type,
        outcome: words(row.outcome.into()),
        payment_short: short(&payment),
        payment,
        age: age(row.received_at, now),
        at: instant(row.received_at),
    }
}

fn endpoint_line(row: &EndpointRow, now: Timestamp) -> Endpoint {
    let (id, merchant) = (row.id.to_string(), row.merchant_id.to_string());
    let (tone, stands) = match (row.disabled, row.failing_since) {
        (Some(disabled), _) => {
            let tone = if row.is_in_trouble() { "alarm" } else { "quiet" };
            (tone, format!("disabled ({}) {} ago", disabled.reason, age(disabled.at, now)))
        }
        (None, Some(since)) => ("waits", format!("failing for {}", age(since, now))),
        (None, None) => ("good", "well".to_owned()),
    };
    Endpoint {
        short: short(&id),
        id,
        merchant_short: short(&merchant),
        merchant,
        url: row.url.clone(),
        tone,
        stands,
        pending: count(row.pending),
        pending_since: row.pending_since.map(|since| age(since, now)).unwrap_or_default(),
    }
}

#[derive(Template)]
#[template(path = "endpoint.html")]
struct EndpointPage {
    frame: Frame,
    endpoint: Endpoint,
    deliveries: Vec<Delivery>,
    only_failed: bool,
    next: Option<String>,
}

pub(crate) async fn endpoint(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let row = found(&app, &id).await?;
    let asked = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let only_failed = asked("state") == Some("failed");
    let after = asked("after").map(str::parse::<EventId>).transpose();
    let after = after.map_err(|_| Trouble::Unreadable("after is no event's id.".to_owned()))?;
    let state = only_failed.then_some(DeliveryState::Failed);
    let wanted = DeliveryPage { endpoint_id: row.id, state, after, limit: DELIVERIES };
    let deliveries = app.state.engine.store().deliveries(wanted).await?;
    let now = app.now();
    let is_full = deliveries.len() >= DELIVERIES as usize;
    let next = deliveries.last().filter(|_| is_full).map(|last| {
        let only = if only_failed { "state=failed&" } else { "" };
        format!("/ops/webhooks/{}?{only}after={}", row.id, last.event_id)
    });
    Ok(page(&EndpointPage {
        frame: Frame::of(&visitor, Section::Webhooks, format!("Endpoint {}", row.id)),
        endpoint: endpoint_line(&row, now),
        deliveries: deliveries.iter().map(|row| delivery(row, now)).collect(),
        only_failed,
        next,
    }))
}

/// An endpoint, whosever it is.
async fn found(app: &App, id: &str) -> Result<EndpointRow, Trouble> {
    let id: EndpointId = id.parse().map_err(|_| Trouble::NotFound("endpoint"))?;
    let all = app.state.overview.all_endpoints(ENDPOINTS).await?;
    all.into_iter().find(|row| row.id == id).ok_or(Trouble::NotFound("endpoint"))
}

fn delivery(row: &DeliveryRow, now: Timestamp) -> Delivery {
    let event = row.event_id.to_string();
    let last = row.last_attempt.as_ref().map(|attempt| match (attempt.status, &attempt.error) {
        (Some(status), _) => format!("answered {status}"),
        (None, error) => error.clone().unwrap_or_default(),
    });
    let tone = match row.state {
        DeliveryState::Pending => "works",
        DeliveryState::Delivered => "good",
        DeliveryState::Failed => "alarm",
    };
    Delivery {
        event_short: short(&event),
        event,
        kind: row.event_type.clone(),
        tone,
        stands: row.state.to_string(),
        attempts: row.attempts,
        last: last.unwrap_or_default(),
        next: row.next_attempt_at.filter(|at| *at > now).map(|at| format!("in {}", age(now, at))).unwrap_or_default(),
        age: age(row.created_at, now),
        at: instant(row.created_at),
        can_resend: row.state != DeliveryState::Pending,
    }
}

/// Has an event sent to the endpoint once more, now.
pub(crate) async fn resend(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let row = found(&app, &id).await?;
    let event_id: EventId = form.get("event").and_then(|text| text.parse().ok()).ok_or(Trouble::NotFound("event"))?;
    let (now, store) = (app.now(), app.state.engine.store());
    // A request of ours is like one of the merchant's, under a key that nobody else has.
    let scope = RequestScope {
        merchant_id: row.merchant_id,
        route: format!("POST /ops/webhooks/{}/resend", row.id),
        key: cookie::token(),
    };
    let request = RequestRecord {
        fingerprint: Hash::of(scope.key.as_bytes()),
        scope,
        payment_id: None,
        status: 303,
        body: None,
        created_at: now,
    };
    let resend = Resend { event_id, endpoint_id: row.id, now, request };
    if store.resend(&resend).await? == Updated::Conflict {
        return Err(Trouble::NotFound("delivery"));
    }
    app.state.engine.tell_outbound();
    store.enter(&[entry(&app, &visitor, &row, event_id)]).await?;
    Ok(see(&format!("/ops/webhooks/{}", row.id)))
}

fn entry(app: &App, visitor: &Visitor, row: &EndpointRow, event_id: EventId) -> AuditEntry {
    let at = app.now();
    AuditEntry {
        id: AuditId::new(at, app.state.engine.random_pair()),
        at,
        actor: visitor.operator.name.clone(),
        role: Some(visitor.operator.role),
        act: AuditAct::ResendWebhook,
        payment_id: None,
        subject: Some(format!("{event_id} to {}", row.id)),
        reason: None,
        outcome: AuditOutcome::Done,
        via: Via::Web,
        remote: Some(visitor.address.to_string()),
    }
}
