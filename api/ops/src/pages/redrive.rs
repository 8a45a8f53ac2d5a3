//! Sending a group of dead letters back to work: a dry run first, then so many at a time, not too fast, and no further when
//! one comes back with a kind of failure that none of them had.
//!
//! A batch is done within its request, so that nothing goes on that nobody looks at, and any process can do the next one. Not
//! here: how one payment is redriven, and what is new (`workflow::engine::redrives`, which the command line uses too).

use std::collections::HashSet;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use workflow::decide::{Decided, Redriving};
use workflow::engine::operator::Act;
use workflow::engine::redrives::{self, Doing, Done, Returned};
use workflow::port::store::DeadLetterRow;

use super::letters::{self, sums};
use super::{Frame, Section, acts};
use crate::access::{Form, Visitor};
use crate::answer::{Trouble, page_with};
use crate::desk::App;
use crate::humane::{count, failure, money, sentence, words};

/// Payments in one batch, and how many a second.
const BATCHES: [usize; 4] = [1, 10, 25, 50];
const RATE: u32 = 5;

/// Payments of which the dry run tells.
const SHOWN: usize = 25;

/// After the last one of a batch, before it is looked whether something new came back.
const PAUSE: Duration = Duration::from_millis(600);

/// One payment of a batch, or of the dry run.
struct Line {
    id: String,
    money: String,
    tone: &'static str,
    told: String,
}

#[derive(Template)]
#[template(path = "redrive.html")]
struct Page {
    frame: Frame,
    group: String,
    signature: String,
    count: String,
    at_stake: String,
    settle: String,
    lines: Vec<Line>,
    is_done: bool,
    redriven: usize,
    refused: usize,
    stopped: String,
    left: usize,
    why: String,
    batches: Vec<(usize, bool)>,
    rate: u32,
}

/// A group of letters, as they wait now.
struct Group {
    key: String,
    signature: String,
    settle: &'static str,
    rows: Vec<DeadLetterRow>,
}

async fn group(app: &App, key: &str) -> Result<Group, Trouble> {
    let (all, _) = letters::open_letters(app.state.engine.store()).await?;
    let rows: Vec<DeadLetterRow> = all.into_iter().filter(|row| letters::key(row) == key).collect();
    let settle = rows.first().map_or("", |row| match row.redriving() {
        Redriving::Asks => "",
        Redriving::Decides(what) => what,
    });
    let signature = rows.first().map(|row| failure(&row.letter.signature())).unwrap_or_default();
    Ok(Group { key: key.to_owned(), signature, settle, rows })
}

/// What a redrive of the group would do. Nothing is written.
pub(crate) async fn plan(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    let key = query.iter().find(|(name, _)| name == "group").map(|(_, key)| key.as_str()).unwrap_or_default();
    let group = group(&app, key).await?;
    if group.rows.is_empty() {
        return Err(Trouble::NotFound("group of dead letters"));
    }
    let by = acts::by(&visitor, "(a dry run)");
    let mut lines = Vec::new();
    for row in group.rows.iter().take(SHOWN) {
        let act = Act::Redrive(Decided::Yes);
        lines.push(line(row, &redrives::one(&app.state.engine, row.payment_id, &act, &by, Doing::Plan).await));
    }
    let left = group.rows.len();
    Ok(page_with(StatusCode::OK, &shown(&visitor, group, lines, left, "")))
}

fn shown(visitor: &Visitor, group: Group, lines: Vec<Line>, left: usize, why: &str) -> Page {
    Page {
        frame: Frame::of(visitor, Section::DeadLetters, "Redrive"),
        count: count(group.rows.len() as i64),
        at_stake: sums(group.rows.iter().map(|row| row.money)),
        group: group.key,
        signature: group.signature,
        settle: sentence(group.settle),
        lines,
        is_done: false,
        redriven: 0,
        refused: 0,
        stopped: String::new(),
        left,
        why: why.to_owned(),
        batches: BATCHES.iter().map(|size| (*size, *size == 10)).collect(),
        rate: RATE,
    }
}

fn line(row: &DeadLetterRow, done: &Done) -> Line {
    let (tone, told) = match done {
        Done::Planned(plan) => ("works", format!("would go to {}; then {}", words(plan.to.into()), plan.next.what)),
        Done::Redriven(state) => ("good", format!("redriven: it is {} now", words((*state).into()))),
        Done::NotWaiting(why) => ("quiet", why.clone()),
        Done::Undecided(what) => ("waits", what.clone()),
        Done::Refused(why) => ("waits", why.clone()),
        Done::Stopped(why) => ("alarm", why.clone()),
    };
    Line { id: row.payment_id.to_string(), money: money(row.money), tone, told }
}

/// Redrives one batch of the group, the oldest first.
pub(crate) async fn run(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let group = group(&app, form.get("group").unwrap_or_default()).await?;
    let why = form.get("why").unwrap_or_default().to_owned();
    let asked = form.get("batch").and_then(|size| size.parse().ok()).unwrap_or(BATCHES[0]);
    let size = BATCHES.into_iter().filter(|size| *size <= asked).max().unwrap_or(BATCHES[0]);
    let decided = if form.get("decided").is_some() { Decided::Yes } else { Decided::No };
    let (act, by, engine) = (Act::Redrive(decided), acts::by(&visitor, &why), &app.state.engine);
    let mut returned = Returned::watch(engine.store(), &group.rows, app.now());
    let (mut lines, mut redriven, mut refused, mut stopped) = (Vec::new(), HashSet::new(), 0, String::new());
    let mut pace = tokio::time::interval(Duration::from_secs(1) / RATE);
    for row in group.rows.iter().rev().take(size) {
        pace.tick().await;
        stopped = news(returned.new_failure(&redriven).await);
        if !stopped.is_empty() {
            break;
        }
        let done = redrives::one(engine, row.payment_id, &act, &by, Doing::Send).await;
        lines.push(line(row, &done));
        match done {
            Done::Redriven(_) | Done::Planned(_) => drop(redriven.insert(row.payment_id)),
            Done::NotWaiting(_) | Done::Undecided(_) | Done::Refused(_) => refused += 1,
            Done::Stopped(why) => {
                stopped = why;
                break;
            }
        }
    }
    if stopped.is_empty() && !redriven.is_empty() {
        tokio::time::sleep(PAUSE).await;
        stopped = news(returned.look(&redriven).await);
    }
    let left = self::group(&app, &group.key).await?.rows.len();
    let redriven = redriven.len();
    let page = Page { is_done: true, redriven, refused, stopped, ..shown(&visitor, group, lines, left, &why) };
    Ok(page_with(StatusCode::OK, &page))
}

/// Why the run goes no further, if it does not.
fn news(looked: Result<Option<DeadLetterRow>, workflow::port::store::StoreError>) -> String {
    match looked {
        Ok(None) => String::new(),
        Ok(Some(row)) => format!(
            "{} came back with what none of them had: {}. Look at it before you go on",
            row.payment_id,
            failure(&row.letter.signature())
        ),
        Err(error) => format!("what came back cannot be seen: {error}"),
    }
}
