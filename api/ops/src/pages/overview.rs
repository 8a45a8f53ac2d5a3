//! The overview: what needs a person, how many payments stand where and since when, and how the latest ones ended.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use strum::VariantArray as _;
use workflow::definition::{self, Kind, State as Stands};
use workflow::port::overview::{Inbox, OpenPayments, RecentPayment};

use super::psps::{self, Health};
use super::{Frame, Section};
use crate::access::Visitor;
use crate::answer::{Trouble, page};
use crate::desk::App;
use crate::humane::{age, between_ms, count, instant, share, tone, words};

/// The latest payments that rates and the chart are made of.
const RECENT: u32 = 2_500;

/// The chart goes back no further.
const CHART_MS: i64 = 24 * 3_600_000;

/// Webhook events that are counted; more are said to be so many and more.
const COUNTED: u32 = 100;

/// Endpoints that are looked at.
const ENDPOINTS: u32 = 200;

/// A payment that is due for longer is late: a worker should have taken it.
const LATE_MS: i64 = 60_000;

/// Something that a person should look at.
struct Need {
    tone: &'static str,
    count: String,
    what: &'static str,
    detail: String,
    link: &'static str,
}

/// Open payments in one state.
struct StateLine {
    name: String,
    link: String,
    tone: &'static str,
    count: String,
    oldest: String,
    per_mille: i64,
    operators: &'static str,
}

/// How many of the latest payments came to this.
struct EndLine {
    name: String,
    tone: &'static str,
    count: String,
    share: String,
}

/// Some minutes of the chart, from the bottom up.
struct Column {
    x: usize,
    parts: Vec<Part>,
    told: String,
}

struct Part {
    tone: &'static str,
    y: usize,
    height: usize,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    body: Body,
}

#[derive(Template)]
#[template(path = "overview_body.html")]
struct Body {
    needs: Vec<Need>,
    open: String,
    states: Vec<StateLine>,
    due: String,
    due_since: String,
    ends: Vec<EndLine>,
    recent: String,
    recent_since: String,
    columns: Vec<Column>,
    psps: Vec<Health>,
    unmatched: String,
    refused: String,
    pending: String,
    pending_since: String,
    now: String,
}

pub(crate) async fn whole(State(app): State<App>, Extension(visitor): Extension<Visitor>) -> Result<Response, Trouble> {
    let frame = Frame::of(&visitor, Section::Overview, "Overview");
    Ok(page(&Page { frame, body: body(&app).await? }))
}

pub(crate) async fn live(State(app): State<App>) -> Result<Response, Trouble> {
    Ok(page(&body(&app).await?))
}

async fn body(app: &App) -> Result<Body, Trouble> {
    let (now, overview) = (app.now(), &app.state.overview);
    // Side by side: a person waits for the slowest of them, not for all.
    let (open, recent, unmatched, refused, endpoints, psps) = tokio::join!(
        app.state.engine.store().open_payments(now),
        overview.recent_payments(RECENT),
        overview.inbox(Inbox::Unmatched, Timestamp::MAX, COUNTED),
        overview.inbox(Inbox::Refused, Timestamp::MAX, COUNTED),
        overview.all_endpoints(ENDPOINTS),
        psps::health(app)
    );
    let (open, recent, endpoints, psps) = (open?, recent?, endpoints?, psps?);
    let (unmatched, refused) = (unmatched?.len(), refused?.len());
    let failing = endpoints.iter().filter(|endpoint| endpoint.is_in_trouble()).count();
    let pending: i64 = endpoints.iter().map(|endpoint| endpoint.pending).sum();
    let pending_since = endpoints.iter().filter_map(|endpoint| endpoint.pending_since).min();
    let sick = psps.iter().filter(|psp| psp.tone == "alarm").count();
    Ok(Body {
        needs: needs(&open, now, sick, refused, failing),
        open: count(open.standings.iter().map(|standing| standing.count).sum::<i64>()),
        states: states(&open, now),
        due: count(open.due),
        due_since: open.due_since.map(|since| age(since, now)).unwrap_or_default(),
        ends: ends(&recent),
        recent: count(recent.len() as i64),
        recent_since: recent.last().map(|oldest| age(oldest.created_at, now)).unwrap_or_default(),
        columns: columns(&recent, now),
        psps,
        unmatched: at_most(unmatched),
        refused: at_most(refused),
        pending: count(pending),
        pending_since: pending_since.map(|since| age(since, now)).unwrap_or_default(),
        now: instant(now),
    })
}

fn at_most(found: usize) -> String {
    if found < COUNTED as usize { count(found as i64) } else { format!("{COUNTED} and more") }
}

fn needs(open: &OpenPayments, now: Timestamp, sick: usize, refused: usize, failing: usize) -> Vec<Need> {
    let review = open.standings.iter().filter(|standing| standing.state == Stands::InReview);
    let (in_review, oldest) = review.fold((0, None), |(sum, oldest): (i64, Option<Timestamp>), standing| {
        (sum + standing.count, oldest.into_iter().chain([standing.oldest_since]).min())
    });
    let late = open.due_since.filter(|since| between_ms(*since, now) > LATE_MS);
    let waits =
        |since: Option<Timestamp>| since.map(|at| format!("the oldest for {}", age(at, now))).unwrap_or_default();
    let all = [
        (in_review, "wait for a person", waits(oldest), "/ops/dead-letters", "alarm"),
        (
            if late.is_some() { open.due } else { 0 },
            "are due and nobody takes them",
            waits(late),
            "/ops/payments?waiting=1m",
            "alarm",
        ),
        (sick as i64, "PSPs do not answer as they should", String::new(), "/ops/psps", "alarm"),
        (refused as i64, "webhook events were refused", String::new(), "/ops/webhooks", "waits"),
        (failing as i64, "endpoints of merchants fail", String::new(), "/ops/webhooks", "waits"),
    ];
    let need = |(found, what, detail, link, tone)| Need { tone, count: count(found), what, detail, link };
    all.into_iter().filter(|(found, ..)| *found > 0).map(need).collect()
}

/// A line for each state that payments can be in without having ended, in the order of the workflow.
fn states(open: &OpenPayments, now: Timestamp) -> Vec<StateLine> {
    let most = open.standings.iter().map(|standing| standing.count).max().unwrap_or(0).max(1);
    let line = |state: &Stands| {
        let here = open.standings.iter().filter(|standing| standing.state == *state);
        let (sum, oldest) = here.fold((0, None), |(sum, oldest): (i64, Option<Timestamp>), standing| {
            (sum + standing.count, oldest.into_iter().chain([standing.oldest_since]).min())
        });
        let kind = if *state == Stands::Refunding { Kind::Refund } else { Kind::Charge };
        StateLine {
            name: words(state.into()),
            link: format!("/ops/payments?state={state}"),
            tone: tone(*state),
            count: count(sum),
            oldest: oldest.map(|at| age(at, now)).unwrap_or_default(),
            per_mille: (sum * 1_000 / most).clamp(i64::from(sum > 0) * 8, 1_000),
            operators: definition::current(kind).state(*state).operators,
        }
    };
    Stands::VARIANTS.iter().filter(|state| !definition::has_ended(**state)).map(line).collect()
}

fn ends(recent: &[RecentPayment]) -> Vec<EndLine> {
    let line = |name: &str, tone, found: usize| EndLine {
        name: words(name),
        tone,
        count: count(found as i64),
        share: share(found, recent.len()),
    };
    let ended = Stands::VARIANTS
        .iter()
        .filter(|state| definition::has_ended(**state))
        .map(|state| line(state.into(), tone(*state), recent.iter().filter(|payment| payment.state == *state).count()));
    let open = recent.iter().filter(|payment| !definition::has_ended(payment.state)).count();
    ended.chain([line("under_way", "works", open)]).collect()
}

/// Columns of the chart, and how high it is.
const COLUMNS: usize = 60;
const COLUMN_WIDTH: usize = 12;
pub(super) const CHART_HEIGHT: usize = 96;

/// The latest payments by when they were accepted, and what became of them.
fn columns(recent: &[RecentPayment], now: Timestamp) -> Vec<Column> {
    let Some(oldest) = recent.last() else { return Vec::new() };
    let span = between_ms(oldest.created_at, now).clamp(COLUMNS as i64, CHART_MS);
    let tones = ["good", "quiet", "works", "waits", "bad", "alarm"];
    let mut counts = [[0_usize; 6]; COLUMNS];
    for payment in recent {
        let ago = between_ms(payment.created_at, now);
        if !(0..span).contains(&ago) {
            continue;
        }
        let column = COLUMNS - 1 - usize::try_from(ago * COLUMNS as i64 / span).unwrap_or(0).min(COLUMNS - 1);
        let part = tones.iter().position(|name| *name == tone(payment.state)).unwrap_or(0);
        counts[column][part] += 1;
    }
    let most = counts.iter().map(|column| column.iter().sum::<usize>()).max().unwrap_or(0).max(1);
    let each = span / COLUMNS as i64;
    let column = |(at, parts): (usize, &[usize; 6])| {
        let mut bottom = CHART_HEIGHT;
        let stacked = parts.iter().zip(tones).filter(|(found, _)| **found > 0).map(|(found, tone)| {
            let height = (found * CHART_HEIGHT / most).max(1).min(bottom);
            bottom -= height;
            Part { tone, y: bottom, height }
        });
        let stacked = stacked.collect();
        let sum: usize = parts.iter().sum();
        let ago = workflow::timeline::duration(each * (COLUMNS - at) as i64);
        Column { x: at * COLUMN_WIDTH, parts: stacked, told: format!("{sum} accepted, up to {ago} ago") }
    };
    counts.iter().enumerate().map(column).collect()
}
