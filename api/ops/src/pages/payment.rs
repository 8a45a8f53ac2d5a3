//! One payment: where it stands and why, the way it took, everything that happened, and what there is to do.
//!
//! What happened is the history, which holds allow-listed fields only: nothing else of a PSP's answer is ever kept. Not
//! here: the picture (`diagram`) and the timeline (`story`).

mod story;

use askama::Template;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};
use workflow::definition;
use workflow::engine::EngineError;
use workflow::engine::operator::ActKind;
use workflow::explain::{self, Allowed, Explanation, Who};
use workflow::ids::PaymentId;
use workflow::money::Money;
use workflow::payment::Payment;
use workflow::port::archives::{self, Statement, StoredHistory};
use workflow::port::store::DeadLetterRow;
use workflow::view::{ChargeView, HistoryListView, RefundView};

use super::{Frame, Section, acts};
use crate::access::Visitor;
use crate::answer::{Trouble, page};
use crate::desk::App;
use crate::diagram::{self, Diagram};
use crate::humane::{age, instant, money, tone, words};
use crate::pages::payments::Line;
use story::{Attempt, Moment, Stay};

/// Dead letters and refunds that are shown.
const LETTERS: u32 = 20;
const REFUNDS: u32 = 100;

/// A fact about the payment.
struct Fact {
    name: &'static str,
    value: String,
    link: String,
    copy: bool,
}

/// Why it went to a person.
struct Letter {
    at: String,
    age: String,
    reason: String,
    told: String,
    is_open: bool,
}

/// An act, and why not now.
struct Offer {
    kind: &'static str,
    label: &'static str,
    takes_two: bool,
    refused: String,
}

/// What waits for a second person.
struct Pending {
    what: String,
    by: String,
    why: String,
    ago: String,
    until: String,
    number: i64,
}

#[derive(Template)]
#[template(path = "payment.html")]
struct Page {
    frame: Frame,
    body: Body,
}

#[derive(Template)]
#[template(path = "payment_body.html")]
struct Body {
    id: String,
    seq: i64,
    state: String,
    tone: &'static str,
    is_open: bool,
    amount: String,
    explains: Vec<Fact>,
    says: String,
    facts: Vec<Fact>,
    metadata: Vec<(String, String)>,
    diagram: Option<Diagram>,
    stays: Vec<Stay>,
    moments: Vec<Moment>,
    attempts: Vec<Attempt>,
    letters: Vec<Letter>,
    refunds: Vec<Line>,
    may_act: bool,
    acts: Vec<Offer>,
    not_now: Vec<Offer>,
    proposal: Option<Pending>,
    done: &'static str,
    version: i32,
    archived: String,
    raw: String,
}

pub(crate) async fn whole(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let (payment, history) = read(&app, &id).await?;
    let done = query.iter().find(|(name, _)| name == "done").and_then(|(_, kind)| kind.parse().ok());
    let body = Body { done: done.map_or("", acts::label), ..body(&app, &visitor, &payment, &history).await? };
    let frame = Frame::of(&visitor, Section::Payments, format!("{} {}", payment.id, words(payment.state.into())));
    Ok(page(&Page { frame, body }))
}

/// What changes on the page while the payment does; nothing when it stands where the page says.
pub(crate) async fn live(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let (payment, history) = read(&app, &id).await?;
    let known = query.iter().find(|(name, _)| name == "seq").and_then(|(_, seq)| seq.parse().ok());
    if known == Some(payment.seq) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(page(&body(&app, &visitor, &payment, &history).await?))
}

/// Everything there is to know of the payment, as JSON. As a file, when it is asked for like that.
pub(crate) async fn raw(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let (payment, history) = read(&app, &id).await?;
    let text = pretty(&everything(&payment, &history));
    let mut response =
        ([(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))], text).into_response();
    if query.iter().any(|(name, _)| name == "file") {
        let disposition = format!("attachment; filename=\"{}.json\"", payment.id);
        let disposition = HeaderValue::try_from(disposition).expect("an id is hexadecimal behind a prefix");
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

async fn read(app: &App, id: &str) -> Result<(Arc<Payment>, StoredHistory), Trouble> {
    let id: PaymentId = id.parse().map_err(|_| Trouble::NotFound("payment"))?;
    let payment = app.state.engine.load(id).await?.ok_or(Trouble::NotFound("payment"))?;
    let history = archives::history_of(app.state.engine.store().as_ref(), id).await?;
    Ok((payment, history))
}

async fn body(app: &App, visitor: &Visitor, payment: &Payment, history: &StoredHistory) -> Result<Body, Trouble> {
    let (now, store, rows) = (app.now(), app.state.engine.store(), history.rows.as_slice());
    let letters = store.dead_letters_of(payment.id, LETTERS).await?;
    let refunds = store.refunds(payment.id, None, REFUNDS).await?;
    let explanation = explanation(app, payment.id).await?;
    let (says, explains) = explained(explanation.as_ref(), now);
    Ok(Body {
        id: payment.id.to_string(),
        seq: payment.seq,
        state: words(payment.state.into()),
        tone: tone(payment.state),
        is_open: !definition::has_ended(payment.state),
        amount: money(payment.asked()),
        says,
        explains,
        facts: facts(payment, now),
        metadata: payment.metadata.clone().into_iter().collect(),
        diagram: payment.definition().map(|definition| diagram::of_history(definition, rows, now)),
        stays: story::stays(rows, now),
        moments: story::moments(rows, now),
        attempts: story::attempts(rows),
        letters: letters.iter().map(|row| letter(row, now)).collect(),
        refunds: refunds.iter().map(|refund| Line::of(refund, now)).collect(),
        may_act: visitor.may_act(),
        acts: offers(explanation.as_ref(), Now::Allowed),
        not_now: offers(explanation.as_ref(), Now::Refused),
        proposal: explanation.and_then(|told| told.proposal).map(|pending| waiting(pending, now)),
        done: "",
        version: payment.definition_version,
        archived: history.archived.as_ref().map_or_else(String::new, archived),
        raw: pretty(&everything(payment, history)),
    })
}

/// Nothing when this program does not know the workflow version.
async fn explanation(app: &App, id: PaymentId) -> Result<Option<Explanation>, Trouble> {
    match app.state.engine.explain(id).await {
        Ok(explanation) => Ok(Some(explanation)),
        Err(EngineError::UnknownVersion(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact { name, value: value.into(), link: String::new(), copy: false }
}

/// What it waits for in a sentence, and since when, until when, who can unblock it, and what happens next.
fn explained(explanation: Option<&Explanation>, now: Timestamp) -> (String, Vec<Fact>) {
    let Some(told) = explanation else {
        let says = "This program does not know the workflow version it runs by; a newer one does.";
        return (says.to_owned(), Vec::new());
    };
    let mut facts = Vec::new();
    if let Some(review) = &told.review {
        facts.push(fact("Because", format!("{}: {}", words(review.reason), review.told)));
        facts.extend(review.settle_first.map(|what| fact("Settle first", what)));
    }
    if let Some(pause) = &told.pause {
        facts.push(fact(
            "Paused",
            format!("{} by {}, for {}: {}", pause.psp, pause.by, age(pause.since, now), pause.why),
        ));
    }
    facts.push(fact("Since", format!("{} ({})", instant(told.since), age(told.since, now))));
    facts.extend(told.until.map(|until| fact("Until", format!("{} ({})", instant(until), when(until, now)))));
    if told.who != Who::Nobody {
        facts.push(fact("Who can unblock it", words(told.who.into())));
        let at = told.next.at.map(|at| format!(", {}", when(at, now))).unwrap_or_default();
        let late = if told.next.is_overdue { ": overdue" } else { "" };
        facts.push(fact("Next", format!("{}{at}{late}", told.next.what)));
    }
    facts.extend(told.doubt.map(|doubt| fact("In doubt", doubt)));
    facts.push(fact("To know", told.hint));
    (told.waits_for.clone(), facts)
}

/// Which acts are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Now {
    Allowed,
    Refused,
}

/// Acts that can be had now, or those that cannot with the reasons. What is about a proposal stands beside it.
fn offers(explanation: Option<&Explanation>, now: Now) -> Vec<Offer> {
    let acts = explanation.map(|told| told.acts.as_slice()).unwrap_or_default();
    let is_meant = |offered: &&Allowed| {
        offered.is_allowed() == (now == Now::Allowed) && !matches!(offered.act, ActKind::Approve | ActKind::Withdraw)
    };
    let offer = |offered: &Allowed| Offer {
        kind: offered.act.into(),
        label: acts::label(offered.act),
        takes_two: offered.takes_two,
        refused: offered.refused.clone().unwrap_or_default(),
    };
    acts.iter().filter(is_meant).map(offer).collect()
}

fn waiting(pending: explain::Pending, now: Timestamp) -> Pending {
    let until = if pending.has_expired {
        "it has expired".to_owned()
    } else {
        format!("can be approved for another {}", age(now, pending.expires_at))
    };
    let ago = age(pending.at, now);
    Pending { what: pending.what, by: pending.by, why: pending.why, ago, until, number: pending.proposal }
}

fn when(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", age(now, at)) } else { format!("{} ago", age(at, now)) }
}

fn facts(payment: &Payment, now: Timestamp) -> Vec<Fact> {
    let sum = |amount_minor| money(Money { amount_minor, currency: payment.currency });
    let linked = |name, value: String, link: String| Fact { name, value, link, copy: true };
    let merchant = payment.merchant_id.to_string();
    let mut facts = vec![
        linked("Merchant", merchant.clone(), format!("/ops/payments?merchant={merchant}")),
        Fact {
            copy: false,
            ..linked("PSP", payment.psp.clone(), format!("/ops/payments?{}", query("psp", &payment.psp)))
        },
    ];
    if let Some(reference) = &payment.psp_reference {
        facts.push(Fact { copy: true, ..fact("PSP reference", reference.clone()) });
    }
    if let Some(of) = &payment.refund_of {
        facts.push(linked("Refund of", of.charge.to_string(), format!("/ops/payments/{}", of.charge)));
    }
    facts.push(fact("Accepted", format!("{} ({} ago)", instant(payment.created_at), age(payment.created_at, now))));
    let goal: &str = payment.goal.into();
    facts.push(fact("Wanted", goal));
    for (name, amount_minor) in [
        ("Authorized", payment.amount_authorized_minor),
        ("Captured", payment.amount_captured_minor),
        ("Refunded", payment.amount_refunded_minor),
        ("Refunds under way", payment.amount_refund_pending_minor),
        ("Charged back", payment.amount_charged_back_minor),
    ] {
        if amount_minor > 0 {
            facts.push(fact(name, sum(amount_minor)));
        }
    }
    if let Some(failure) = &payment.failure {
        let codes = [Some(&failure.code), failure.decline_code.as_ref()].into_iter().flatten().cloned();
        let advice = failure.advice.as_ref().map(|advice| format!(": {advice}")).unwrap_or_default();
        facts.push(fact("Failure", format!("{}{advice}", codes.collect::<Vec<_>>().join(" · "))));
    }
    facts.extend(payment.description.clone().map(|description| fact("Description", description)));
    facts
}

fn query(name: &str, value: &str) -> String {
    serde_html_form::to_string([(name, value)]).unwrap_or_default()
}

/// Where the first rows are.
fn archived(statement: &Statement) -> String {
    let Statement { prefix, archived_at, file, .. } = statement;
    format!("Rows 1 to {} are archived in {file} since {}.", prefix.seq, instant(*archived_at))
}

fn letter(row: &DeadLetterRow, now: Timestamp) -> Letter {
    Letter {
        at: instant(row.at),
        age: age(row.at, now),
        reason: words(row.letter.reason.into()),
        told: row.letter.told(),
        is_open: row.is_open(),
    }
}

/// The payment as its merchant sees it, and its history.
fn everything(payment: &Payment, history: &StoredHistory) -> Value {
    let url = format!("/ops/payments/{}", payment.id);
    let history = HistoryListView::of(history, url);
    match &payment.refund_of {
        Some(of) => json!({"refund": RefundView::of(payment, of), "history": history}),
        None => json!({"charge": ChargeView::of(payment), "history": history}),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
