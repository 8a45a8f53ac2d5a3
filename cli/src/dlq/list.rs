//! `fincore dlq list`: what waits for a person, since when, and how much money is at stake.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::CellAlignment;
use jiff::Timestamp;
use serde_json::{Value, json};
use workflow::decide::{Redriving, ReviewReason};
use workflow::engine::redrives::LetterPages;
use workflow::money::Money;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::{DeadLetterRow, LetterScope};
use workflow::timeline::duration;

use crate::app::{self, Schema};
use crate::args::dlq::ListLetters;
use crate::settings::{Knobs, Settings};
use crate::show::plain_table;

/// What of an error fits a line; `dlq show` has all of it.
const SHORT_ERROR: usize = 56;

pub(super) async fn run(knobs: &Knobs, list: &ListLetters) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let now = SystemClock.now();
    let scope = if list.all_letters { LetterScope::All } else { LetterScope::Open };
    let mut pages = LetterPages::of(store, list.select.filter(scope, now));
    let (mut shown, mut letters, mut totals) = (Vec::new(), 0_usize, Totals::default());
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        letters += page.len();
        page.iter().for_each(|row| totals.add(row));
        let room = (list.limit as usize).saturating_sub(shown.len());
        shown.extend(page.into_iter().take(room));
    }
    if list.json {
        let dead_letters: Vec<Value> = shown.iter().map(as_json).collect();
        let printed = json!({"dead_letters": dead_letters, "found": letters, "waiting": totals.as_json()});
        println!("{}", serde_json::to_string_pretty(&printed).context("cannot write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", as_text(&shown, letters, &totals, now));
    Ok(ExitCode::SUCCESS)
}

/// Charges that wait, by reason, and the money at stake in each currency. The money is what clients asked for: how much
/// of it has moved is what a person has to find out.
#[derive(Default)]
struct Totals(BTreeMap<ReviewReason, (usize, BTreeMap<String, Money>)>);

impl Totals {
    fn add(&mut self, row: &DeadLetterRow) {
        if !row.is_open() {
            return;
        }
        let (charges, sums) = self.0.entry(row.letter.reason).or_default();
        *charges += 1;
        let sum = sums
            .entry(row.money.currency.to_string())
            .or_insert(Money { amount_minor: 0, currency: row.money.currency });
        sum.amount_minor = sum.amount_minor.saturating_add(row.money.amount_minor);
    }

    fn charges(&self) -> usize {
        self.0.values().map(|(charges, _)| charges).sum()
    }

    fn as_json(&self) -> Vec<Value> {
        let reason = |(reason, (charges, sums)): (&ReviewReason, &(usize, BTreeMap<String, Money>))| {
            let at_stake: Vec<Value> =
                sums.iter().map(|(currency, sum)| json!({"currency": currency, "amount": sum.amount_minor})).collect();
            json!({"reason": reason.to_string(), "charges": charges, "at_stake": at_stake})
        };
        self.0.iter().map(reason).collect()
    }
}

fn as_json(row: &DeadLetterRow) -> Value {
    let (redrive, decide) = match row.redriving() {
        Redriving::Asks => ("asks", None),
        Redriving::Decides(what) => ("decides", Some(what)),
    };
    json!({
        "charge": row.payment_id, "seq": row.seq, "since": row.at, "reason": row.letter.reason.to_string(),
        "last_error": row.letter.told(), "merchant": row.merchant_id, "psp": row.psp, "status": row.state,
        "amount": row.money.amount_minor, "currency": row.money.currency, "waiting": row.is_open(),
        "redrive": redrive, "decide_first": decide,
    })
}

fn as_text(shown: &[DeadLetterRow], letters: usize, totals: &Totals, now: Timestamp) -> String {
    if shown.is_empty() {
        return "No charge waits for a person.\n".to_owned();
    }
    let mut table = plain_table();
    table.set_header(["age", "charge", "amount", "status", "reason", "psp", "last error"]);
    for row in shown {
        table.add_row([
            age(row.at, now),
            row.payment_id.to_string(),
            row.money.to_string(),
            row.state.to_string(),
            row.letter.reason.to_string(),
            row.psp.clone(),
            short(&row.letter.told()),
        ]);
    }
    for column in [0, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    if shown.len() < letters {
        text.push_str(&format!("  … and {} more: --limit shows more of them\n", letters - shown.len()));
    }
    let mut sums = plain_table();
    for (reason, (charges, money)) in &totals.0 {
        let money: Vec<String> = money.values().map(Money::to_string).collect();
        sums.add_row([charges.to_string(), reason.to_string(), money.join(", ")]);
    }
    if !totals.0.is_empty() {
        text.push_str(&format!("\n{}\n", sums.trim_fmt()));
    }
    text.push_str(&format!(
        "\n{} waiting for a person. `fincore dlq show CHARGE` says why, `fincore dlq redrive` sends back to work.\n",
        match totals.charges() {
            1 => "1 charge is".to_owned(),
            charges => format!("{charges} charges are"),
        }
    ));
    text
}

/// How long ago, in the unit people would use.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    duration((now.as_millisecond() - at.as_millisecond()).max(0))
}

fn short(error: &str) -> String {
    if error.chars().count() <= SHORT_ERROR {
        return error.to_owned();
    }
    error.chars().take(SHORT_ERROR - 1).chain(['…']).collect()
}
