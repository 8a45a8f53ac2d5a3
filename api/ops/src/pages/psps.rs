//! PSPs: how quickly they answered lately, with what, and whether their circuit breakers are open.
//!
//! What is told comes from the histories of the latest payments: an answer is a worker's row, and its call took the time
//! since that worker's row before. Breakers are each process's own; what is told of them here is what processes tell each
//! other.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use workflow::definition::EventKind;
use workflow::engine::operator::Performed;
use workflow::port::breakers::BreakerNews;
use workflow::port::overview::WorkerRow;
use workflow::timeline::duration;

use super::{Frame, Section, acts};
use crate::access::{Form, Visitor};
use crate::answer::{Trouble, page, see};
use crate::desk::{App, Desk};
use crate::humane::{age, count, share};

/// Payments whose histories are read.
const PAYMENTS: u32 = 500;

/// A PSP account, as it did lately.
pub(crate) struct Health {
    pub(crate) psp: String,
    pub(crate) calls: String,
    pub(crate) median: String,
    pub(crate) slowest: String,
    pub(crate) answered: String,
    pub(crate) refused: String,
    pub(crate) unknown: String,
    pub(crate) not_sent: String,
    pub(crate) tone: &'static str,
    pub(crate) breaker: String,
    pub(crate) bars: Vec<Bar>,
}

/// Calls that took about so long.
pub(crate) struct Bar {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) height: usize,
    pub(crate) told: String,
}

/// What a call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Came {
    /// To an answer that the payment goes on from.
    Answered,
    /// To a no.
    Refused,
    /// To nothing that can be read.
    Unknown,
    /// To nothing at all, surely.
    NotSent,
}

impl Came {
    /// None of what is no call's end.
    fn of(event: EventKind) -> Option<Self> {
        match event {
            EventKind::Registered
            | EventKind::Authorized
            | EventKind::Captured
            | EventKind::Accepted
            | EventKind::ActionRequired
            | EventKind::Voided
            | EventKind::Refunded
            | EventKind::Untouched => Some(Self::Answered),
            EventKind::Declined
            | EventKind::Rejected
            | EventKind::AmountsDisagree
            | EventKind::CaptureFailed
            | EventKind::VoidFailed
            | EventKind::RefundFailed => Some(Self::Refused),
            EventKind::Unknown => Some(Self::Unknown),
            EventKind::NotSent | EventKind::Throttled => Some(Self::NotSent),
            EventKind::Started
            | EventKind::AttemptStarted
            | EventKind::DisputeOpened
            | EventKind::ChargedBack
            | EventKind::ChargebackReversed
            | EventKind::DisputeClosed
            | EventKind::KeyExpired
            | EventKind::DeadlinePassed
            | EventKind::CaptureRequested
            | EventKind::CancelRequested
            | EventKind::ActionCompleted
            | EventKind::Redriven
            | EventKind::RefundRequested
            | EventKind::RefundUpdated
            | EventKind::RetryRequested
            | EventKind::InquiryRequested
            | EventKind::Noted
            | EventKind::ResolutionProposed
            | EventKind::RefundProposed
            | EventKind::ProposalWithdrawn
            | EventKind::ResolvedSucceeded
            | EventKind::ResolvedFailed
            | EventKind::ResolvedCanceled => None,
        }
    }
}

/// The calls of one PSP account.
#[derive(Default)]
struct Calls {
    took_ms: Vec<i64>,
    answered: usize,
    refused: usize,
    unknown: usize,
    not_sent: usize,
}

/// Bounds of the bars, in milliseconds.
const BUCKETS_MS: [i64; 9] = [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, i64::MAX];
const BAR_WIDTH: usize = 14;
pub(crate) const BAR_HEIGHT: usize = 36;

impl Calls {
    fn bars(&self) -> Vec<Bar> {
        let counts = BUCKETS_MS.map(|most| self.took_ms.iter().filter(|took| **took <= most).count());
        let each = (0..counts.len()).map(|at| counts[at] - if at == 0 { 0 } else { counts[at - 1] });
        let each: Vec<usize> = each.collect();
        let most = each.iter().copied().max().unwrap_or(0).max(1);
        let bar = |(at, calls): (usize, &usize)| {
            let height = if *calls == 0 { 0 } else { (calls * BAR_HEIGHT / most).max(2) };
            let bound = BUCKETS_MS[at];
            let told = if bound == i64::MAX {
                format!("{calls} took longer than {}", duration(BUCKETS_MS[at - 1]))
            } else {
                format!("{calls} took at most {}", duration(bound))
            };
            Bar { x: at * BAR_WIDTH, y: BAR_HEIGHT - height, height, told }
        };
        each.iter().enumerate().map(bar).collect()
    }
}

/// How the PSP accounts do.
pub(crate) async fn health(desk: &Desk) -> Result<Vec<Health>, Trouble> {
    let rows = desk.state.overview.recent_worker_rows(PAYMENTS).await?;
    let mut by_psp: BTreeMap<String, Calls> =
        desk.state.psps.iter().map(|psp| (psp.clone(), Calls::default())).collect();
    for (psp, took_ms, came) in calls(&rows) {
        let calls = by_psp.entry(psp.to_owned()).or_default();
        calls.took_ms.push(took_ms);
        match came {
            Came::Answered => calls.answered += 1,
            Came::Refused => calls.refused += 1,
            Came::Unknown => calls.unknown += 1,
            Came::NotSent => calls.not_sent += 1,
        }
    }
    let mut all = Vec::new();
    for (psp, calls) in by_psp {
        let open_ms = match desk.state.breakers.latest(&psp).await.map(|told| told.news) {
            Some(BreakerNews::Opened { remaining_ms, .. }) => Some(remaining_ms),
            Some(BreakerNews::Closed) | None => None,
        };
        all.push(told(psp, calls, open_ms));
    }
    Ok(all)
}

/// Each call among the rows: whose, how long it took, and what it came to.
fn calls(rows: &[WorkerRow]) -> impl Iterator<Item = (&str, i64, Came)> {
    rows.windows(2).filter_map(|pair| {
        let [before, row] = pair else { return None };
        let came = Came::of(row.event).filter(|_| before.payment_id == row.payment_id)?;
        Some((row.psp.as_str(), (row.at.as_millisecond() - before.at.as_millisecond()).max(0), came))
    })
}

fn told(psp: String, mut calls: Calls, open_ms: Option<u64>) -> Health {
    calls.took_ms.sort_unstable();
    let all = calls.took_ms.len();
    let at = |per_cent: usize| match all {
        0 => "–".to_owned(),
        all => duration(calls.took_ms[(all * per_cent / 100).min(all - 1)]),
    };
    let bad = calls.unknown + calls.not_sent;
    let tone = match () {
        () if open_ms.is_some() || bad * 2 > all => "alarm",
        () if bad * 10 > all => "waits",
        () if all == 0 => "quiet",
        () => "good",
    };
    let breaker = open_ms.map_or_else(
        || "closed".to_owned(),
        |ms| format!("open: tried again in {}", duration(i64::try_from(ms).unwrap_or(i64::MAX))),
    );
    Health {
        psp,
        calls: count(all as i64),
        median: at(50),
        slowest: at(95),
        answered: share(calls.answered, all),
        refused: share(calls.refused, all),
        unknown: share(calls.unknown, all),
        not_sent: share(calls.not_sent, all),
        tone,
        breaker,
        bars: calls.bars(),
    }
}

#[derive(Template)]
#[template(path = "psps.html")]
struct Page {
    frame: Frame,
    body: Body,
    accounts: Vec<Account>,
}

/// A PSP account, and whether anything is sent there.
struct Account {
    psp: String,
    pause: Option<(String, String, String)>,
}

#[derive(Template)]
#[template(path = "psps_body.html")]
struct Body {
    psps: Vec<Health>,
    payments: String,
}

async fn body(app: &App) -> Result<Body, Trouble> {
    Ok(Body { psps: health(app).await?, payments: count(PAYMENTS) })
}

pub(crate) async fn whole(State(app): State<App>, Extension(visitor): Extension<Visitor>) -> Result<Response, Trouble> {
    let frame = Frame::of(&visitor, Section::Psps, "PSPs");
    let (now, pauses) = (app.now(), app.state.engine.store().pauses().await?);
    let account = |psp: &String| Account {
        psp: psp.clone(),
        pause: pauses
            .iter()
            .find(|pause| pause.psp == *psp)
            .map(|pause| (pause.by.clone(), pause.why.clone(), age(pause.since, now))),
    };
    let accounts = app.state.psps.iter().map(account).collect();
    Ok(page(&Page { frame, body: body(&app).await?, accounts }))
}

pub(crate) async fn live(State(app): State<App>) -> Result<Response, Trouble> {
    Ok(page(&body(&app).await?))
}

/// Has nothing more sent to an account until somebody lets it go on.
pub(crate) async fn pause(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
    Path(psp): Path<String>,
) -> Result<Response, Trouble> {
    known(&app, &psp)?;
    let by = acts::by(&visitor, form.get("why").unwrap_or_default());
    answered(app.state.engine.pause_psp(&psp, &by).await?)
}

/// Lets a paused account go on.
pub(crate) async fn resume(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
    Path(psp): Path<String>,
) -> Result<Response, Trouble> {
    known(&app, &psp)?;
    let by = acts::by(&visitor, form.get("why").unwrap_or_default());
    answered(app.state.engine.resume_psp(&psp, &by).await?)
}

fn known(app: &App, psp: &str) -> Result<(), Trouble> {
    if app.state.psps.iter().any(|account| account == psp) { Ok(()) } else { Err(Trouble::NotFound("PSP account")) }
}

fn answered(performed: Performed<()>) -> Result<Response, Trouble> {
    match performed {
        Performed::Done(_) => Ok(see("/ops/psps")),
        Performed::Refused(refusal) => Err(Trouble::Unreadable(format!("It was not done: {}.", refusal.why))),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use workflow::ids::PaymentId;

    use super::*;

    #[test]
    fn a_call_takes_the_time_since_its_workers_row_before() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let ids = [1, 2].map(|number| PaymentId::new(at(0), [number, number]));
        let row = |id: usize, ms, event| WorkerRow { payment_id: ids[id], psp: "a".into(), event, at: at(ms) };
        let rows = [
            row(0, 0, EventKind::AttemptStarted),
            row(0, 30, EventKind::Registered),
            row(0, 80, EventKind::Authorized),
            row(0, 80, EventKind::AttemptStarted),
            row(0, 2_080, EventKind::Unknown),
            row(1, 9_000, EventKind::Declined),
        ];
        let found: Vec<_> = calls(&rows).collect();
        assert_eq!(found, [("a", 30, Came::Answered), ("a", 50, Came::Answered), ("a", 2_000, Came::Unknown)]);
    }
}
