//! `fincore show`: one charge for people: how it stands, what it waits for, and its history as a timeline.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use serde_json::json;
use workflow::definition;
use workflow::explain::{Known, explain};
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;
use workflow::money::Money;
use workflow::payment::Payment;
use workflow::port::archives::{self, Statement, StoredHistory};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::pauses::Pause;
use workflow::port::store::Store;
use workflow::timeline::{self, Line, duration};

use crate::app::{self, Schema};
use crate::args::Show;
use crate::operate::told::next;
use crate::settings::{Knobs, Settings};
use crate::watch::{self, Look};

/// Width of the timeline when the terminal does not say.
const WIDTH: u16 = 130;

/// Prints one charge.
pub(crate) async fn run(knobs: &Knobs, show: &Show) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    if show.watch {
        return watch::until_it_ends(async || {
            let Read { payment, history, pause } = read(&store, show.charge).await?;
            let text = as_text(&payment, &history, pause.as_ref(), SystemClock.now());
            Ok(Look {
                text,
                version: format!("{} {}", payment.seq, pause.is_some()),
                has_ended: payment.next_wake_at.is_none(),
            })
        })
        .await;
    }
    let Read { payment, history, pause } = read(&store, show.charge).await?;
    if show.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&payment, &history)).context("cannot write JSON")?);
    } else {
        print!("{}", as_text(&payment, &history, pause.as_ref(), SystemClock.now()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A payment, its history, and the pause of its PSP account.
struct Read {
    payment: Payment,
    history: StoredHistory,
    pause: Option<Pause>,
}

async fn read(store: &Arc<dyn Store>, id: PaymentId) -> anyhow::Result<Read> {
    let Some(payment) = store.load(&[id]).await?.pop().flatten() else {
        bail!("there is no charge {id} in this database");
    };
    let pause = store.pauses().await?.into_iter().find(|pause| pause.psp == payment.psp);
    Ok(Read { history: archives::history_of(store.as_ref(), id).await?, payment, pause })
}

fn as_json(payment: &Payment, history: &StoredHistory) -> serde_json::Value {
    let chain = history.verify(payment).map_or_else(|broken| broken.to_string(), |()| "intact".to_owned());
    let archived = history.archived.as_ref().map(archived_json);
    let history: Vec<serde_json::Value> = history
        .rows
        .iter()
        .map(|row| {
            json!({
                "seq": row.seq, "at": row.fact.at, "event": row.fact.event, "actor": row.fact.actor,
                "from": row.fact.from, "to": row.fact.to, "attempt": row.fact.attempt,
                "verdict": row.fact.verdict.to_string(), "data": row.fact.data, "hash": row.hash.to_string(),
            })
        })
        .collect();
    json!({
        "id": payment.id, "status": payment.state, "amount": payment.amount_minor, "currency": payment.currency,
        "psp": payment.psp, "psp_reference": payment.psp_reference, "goal": payment.goal,
        "next_wake_at": payment.next_wake_at, "archived": archived, "history": history, "chain": chain,
    })
}

/// Which rows are archived, where, and since when.
pub(crate) fn archived_json(statement: &Statement) -> serde_json::Value {
    json!({
        "seq": statement.prefix.seq, "hash": statement.prefix.hash.to_string(), "at": statement.archived_at,
        "file": statement.file, "file_sha256": statement.file_sha256.to_string(),
    })
}

/// The same for people.
pub(crate) fn archived_text(statement: &Statement) -> String {
    let Statement { prefix, archived_at, file, .. } = statement;
    format!("rows 1 to {} are archived in {file} since {archived_at:.0}", prefix.seq)
}

/// The charge as text.
pub(crate) fn as_text(payment: &Payment, history: &StoredHistory, pause: Option<&Pause>, now: Timestamp) -> String {
    let money = |amount_minor| Money { amount_minor, currency: payment.currency };
    let mut text = format!(
        "\n{}  {}  {}\n\n  authorized {}, captured {}, refunded {}\n  {} {} as {}\n  workflow version {}, goal {}\n  {}\n\n",
        payment.id,
        payment.state.to_string().to_uppercase(),
        payment.asked(),
        money(payment.amount_authorized_minor),
        money(payment.amount_captured_minor),
        money(payment.amount_refunded_minor),
        payment.psp,
        payment.payment_method,
        payment.psp_reference.as_deref().unwrap_or("(not known there yet)"),
        payment.definition_version,
        payment.goal,
        explained(payment, pause, now),
    );
    let rows = &history.rows;
    if let Some(statement) = &history.archived {
        text.push_str(&format!("  {}\n\n", archived_text(statement)));
    }
    text.push_str(&table(rows));
    text.push_str(&match history.verify(payment) {
        Ok(()) => format!("\n  {} rows, hash chain intact\n\n", rows.len()),
        Err(broken) => format!("\n  HASH CHAIN BROKEN: {broken}\n\n"),
    });
    text
}

/// What the payment waits for and what happens next, in a line. `fincore explain` has more.
fn explained(payment: &Payment, pause: Option<&Pause>, now: Timestamp) -> String {
    let Some(definition) = payment.definition() else {
        return "This program does not know its workflow version; use a newer one.".to_owned();
    };
    if definition::has_ended(payment.state) {
        return definition.state(payment.state).operators.to_owned();
    }
    let told = explain(definition, payment, Known { letter: None, pause, now });
    format!("waits for: {} Next: {}.", told.waits_for, next(&told.next, now))
}

/// Nothing is broken to fit: ids are there to be copied.
pub(crate) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The history as a table.
pub(crate) fn table(rows: &[HistoryRow]) -> String {
    table_of(&timeline::lines(rows))
}

/// Some lines of a history as a table.
pub(crate) fn table_of(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["#", "after", "who", "event", "state", ""]);
    for line in lines {
        table.add_row([
            &line.seq.to_string(),
            &duration(line.since_start_ms),
            &line.who,
            line.event,
            &line.state,
            &line.told,
        ]);
    }
    for column in [0, 1] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}
