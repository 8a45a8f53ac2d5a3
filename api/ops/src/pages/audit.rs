//! The audit log: who did what, when and why, and who logged in or tried to.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use workflow::port::audit::{AuditEntry, AuditFilter, AuditOutcome};

use super::{Frame, Section};
use crate::access::Visitor;
use crate::answer::{Trouble, page};
use crate::desk::App;
use crate::humane::{instant, short, words};

/// Entries on a page.
const PAGE: u32 = 100;

struct Line {
    at: String,
    actor: String,
    act: String,
    payment: String,
    payment_short: String,
    subject: String,
    reason: String,
    tone: &'static str,
    outcome: String,
    via: String,
    remote: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    frame: Frame,
    lines: Vec<Line>,
    actor: String,
    next: Option<String>,
}

pub(crate) async fn whole(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let said = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.trim().to_owned());
    let actor = said("actor").filter(|actor| !actor.is_empty());
    let before = said("before").map(|id| id.parse()).transpose();
    let before = before.map_err(|_| Trouble::Unreadable("before is no entry's id.".to_owned()))?;
    let filter = AuditFilter { actor: actor.clone(), ..AuditFilter::default() };
    let entries = app.state.engine.store().entries(&filter, before, PAGE).await?;
    let is_full = entries.len() >= PAGE as usize;
    let next = entries.last().filter(|_| is_full).map(|last| {
        let pairs = [("actor", actor.clone().unwrap_or_default()), ("before", last.id.to_string())];
        format!("/ops/audit?{}", serde_html_form::to_string(pairs).unwrap_or_default())
    });
    Ok(page(&Page {
        frame: Frame::of(&visitor, Section::Audit, "Audit log"),
        lines: entries.into_iter().map(line).collect(),
        actor: actor.unwrap_or_default(),
        next,
    }))
}

fn line(entry: AuditEntry) -> Line {
    let payment = entry.payment_id.map(|id| id.to_string()).unwrap_or_default();
    let (tone, outcome) = match entry.outcome {
        AuditOutcome::Done => ("good", "done".to_owned()),
        AuditOutcome::Refused(why) => ("waits", format!("refused: {why}")),
    };
    Line {
        at: instant(entry.at),
        actor: entry.actor,
        act: words(entry.act.into()),
        payment_short: short(&payment),
        payment,
        subject: entry.subject.unwrap_or_default(),
        reason: entry.reason.unwrap_or_default(),
        tone,
        outcome,
        via: entry.via.to_string(),
        remote: entry.remote.unwrap_or_default(),
    }
}
