//! Dead letters: payments that wait for a person, grouped by what brought them there, with the money that is at stake.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use workflow::decide::Redriving;
use workflow::engine::redrives::{Left, LetterPages};
use workflow::history::Hash;
use workflow::money::Money;
use workflow::port::store::{DeadLetterRow, LetterFilter, LetterScope, Store};

use super::{Frame, Section};
use crate::access::Visitor;
use crate::answer::{Trouble, page};
use crate::desk::App;
use crate::humane::{age, count, failure, instant, money, short};

/// Letters that a page reads.
const MOST: usize = 5_000;

/// Payments that are named in a group.
const NAMED: usize = 50;

/// Letters of a group's name.
const KEY: usize = 16;

/// Letters of one kind.
struct Group {
    anchor: String,
    key: String,
    signature: String,
    count: String,
    at_stake: String,
    oldest: String,
    newest: String,
    /// What a person has to settle before a redrive, if anything.
    settle: &'static str,
    named: Vec<Named>,
    unnamed: usize,
}

struct Named {
    id: String,
    short: String,
    money: String,
    psp: String,
    since: String,
    since_at: String,
    told: String,
}

#[derive(Template)]
#[template(path = "letters.html")]
struct Page {
    frame: Frame,
    groups: Vec<Group>,
    waiting: String,
    at_stake: String,
    is_cut: bool,
    most: String,
}

pub(crate) async fn groups(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Trouble> {
    let (letters, left) = open_letters(app.state.engine.store()).await?;
    let now = app.now();
    Ok(page(&Page {
        frame: Frame::of(&visitor, Section::DeadLetters, "Dead letters"),
        waiting: count(letters.len() as i64),
        at_stake: sums(letters.iter().map(|row| row.money)),
        groups: grouped(&letters, now),
        is_cut: left == Left::Some,
        most: count(MOST as i64),
    }))
}

/// The letters that are open, newest first, and whether there are more than a page reads.
pub(super) async fn open_letters(store: &Arc<dyn Store>) -> Result<(Vec<DeadLetterRow>, Left), Trouble> {
    let filter = LetterFilter { scope: LetterScope::Open, ..LetterFilter::default() };
    Ok(LetterPages::of(Arc::clone(store), filter).first(MOST).await?)
}

/// What a letter's group is called in addresses: the same for as long as such letters wait.
pub(super) fn key(row: &DeadLetterRow) -> String {
    let settle = match row.redriving() {
        Redriving::Asks => "",
        Redriving::Decides(what) => what,
    };
    Hash::of(format!("{}\0{settle}", row.letter.signature()).as_bytes()).to_string()[..KEY].to_owned()
}

/// By kind of failure and by what a redrive would mean, the most frequent first.
fn grouped(letters: &[DeadLetterRow], now: Timestamp) -> Vec<Group> {
    let mut by: BTreeMap<(String, &'static str), Vec<&DeadLetterRow>> = BTreeMap::new();
    for row in letters {
        let settle = match row.redriving() {
            Redriving::Asks => "",
            Redriving::Decides(what) => what,
        };
        by.entry((row.letter.signature().to_string(), settle)).or_default().push(row);
    }
    let mut groups: Vec<_> = by.into_iter().collect();
    groups.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
    groups.into_iter().zip(1..).map(|(((_, settle), rows), number)| group(number, settle, &rows, now)).collect()
}

fn group(number: usize, settle: &'static str, rows: &[&DeadLetterRow], now: Timestamp) -> Group {
    let named = rows.iter().take(NAMED).map(|row| {
        let id = row.payment_id.to_string();
        Named {
            short: short(&id),
            id,
            money: money(row.money),
            psp: row.psp.clone(),
            since: age(row.at, now),
            since_at: instant(row.at),
            told: row.letter.told(),
        }
    });
    let at = |row: Option<&&DeadLetterRow>| row.map(|row| age(row.at, now)).unwrap_or_default();
    Group {
        anchor: format!("group-{number}"),
        key: rows.first().map(|row| key(row)).unwrap_or_default(),
        signature: rows.first().map(|row| failure(&row.letter.signature())).unwrap_or_default(),
        count: count(rows.len() as i64),
        at_stake: sums(rows.iter().map(|row| row.money)),
        oldest: at(rows.last()),
        newest: at(rows.first()),
        settle,
        named: named.collect(),
        unnamed: rows.len().saturating_sub(NAMED),
    }
}

/// Sums in each currency.
pub(super) fn sums(all: impl Iterator<Item = Money>) -> String {
    let mut by: BTreeMap<String, Money> = BTreeMap::new();
    for one in all {
        let sum = by.entry(one.currency.to_string()).or_insert(Money { amount_minor: 0, ..one });
        sum.amount_minor = sum.amount_minor.saturating_add(one.amount_minor);
    }
    by.into_values().map(money).collect::<Vec<_>>().join(" + ")
}
