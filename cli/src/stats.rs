//! `fincore stats`: how many payments stand where and since when, and how the latest ones ended; what `/ops` shows.

use std::process::ExitCode;

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use serde_json::{Value, json};
use strum::VariantArray;
use workflow::definition::{self, State};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::overview::{OpenPayments, RecentPayment};
use workflow::timeline::duration;

use crate::app::{self, Schema};
use crate::args::list::Stats;
use crate::settings::{Knobs, Settings};
use crate::watch::{self, Look};

pub(crate) async fn run(knobs: &Knobs, stats: &Stats) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let database = app::open(&settings, Schema::Expect).await?;
    let counted = async || {
        let open = database.store.open_payments(SystemClock.now()).await?;
        anyhow::Ok((open, database.overview.recent_payments(stats.recent).await?))
    };
    if stats.watch {
        return watch::until_it_ends(async || {
            let (open, recent) = counted().await?;
            let (text, version) = (as_text(&open, &recent, SystemClock.now()), as_json(&open, &recent).to_string());
            Ok(Look { text, version, has_ended: false })
        })
        .await;
    }
    let (open, recent) = counted().await?;
    if stats.json {
        let printed = serde_json::to_string_pretty(&as_json(&open, &recent)).context("cannot write JSON")?;
        println!("{printed}");
    } else {
        print!("{}", as_text(&open, &recent, SystemClock.now()));
    }
    Ok(ExitCode::SUCCESS)
}

/// How many of the latest payments came to each end, and how many are under way.
fn ends(recent: &[RecentPayment]) -> Vec<(String, usize)> {
    let ended = State::VARIANTS.iter().filter(|state| definition::has_ended(**state));
    let count = |state: &State| (state.to_string(), recent.iter().filter(|payment| payment.state == *state).count());
    let open = recent.iter().filter(|payment| !definition::has_ended(payment.state)).count();
    ended.map(count).chain([("under_way".to_owned(), open)]).collect()
}

fn as_json(open: &OpenPayments, recent: &[RecentPayment]) -> Value {
    let standings: Vec<Value> = open
        .standings
        .iter()
        .map(|standing| {
            json!({
                "kind": standing.kind.to_string(), "definition_version": standing.definition_version,
                "status": standing.state, "payments": standing.count, "oldest_since": standing.oldest_since,
            })
        })
        .collect();
    let ends: serde_json::Map<String, Value> =
        ends(recent).into_iter().map(|(name, payments)| (name, json!(payments))).collect();
    json!({
        "open": standings, "due": {"payments": open.due, "since": open.due_since},
        "recent": {"payments": recent.len(), "since": recent.last().map(|oldest| oldest.created_at), "came_to": ends},
    })
}

fn as_text(open: &OpenPayments, recent: &[RecentPayment], now: Timestamp) -> String {
    let age = |at: Timestamp| duration((now.as_millisecond() - at.as_millisecond()).max(0));
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["kind", "version", "status", "payments", "oldest"]);
    for standing in &open.standings {
        table.add_row([
            standing.kind.to_string(),
            standing.definition_version.to_string(),
            standing.state.to_string(),
            standing.count.to_string(),
            age(standing.oldest_since),
        ]);
    }
    if let Some(counts) = table.column_mut(3) {
        counts.set_cell_alignment(CellAlignment::Right);
    }
    let table = if open.standings.is_empty() { "No payment is under way.".to_owned() } else { table.to_string() };
    let late = open.due_since.map(|since| format!(", the longest for {}", age(since))).unwrap_or_default();
    let ends: Vec<String> = ends(recent)
        .into_iter()
        .filter(|(_, payments)| *payments > 0)
        .map(|(name, payments)| format!("{payments} {name}"))
        .collect();
    let latest = match recent.last() {
        None => "No payment was ever accepted here.".to_owned(),
        Some(oldest) => {
            format!("Of the latest {}, accepted within {}: {}.", recent.len(), age(oldest.created_at), ends.join(", "))
        }
    };
    format!("{table}\n\nDue now: {}{late}.\n{latest}\n", open.due)
}
