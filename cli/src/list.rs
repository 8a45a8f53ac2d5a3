//! `fincore list`: payments of all merchants by what they have in common, newest first; what `/ops/payments` shows.

use std::process::ExitCode;

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;
use serde_json::{Value, json};
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::overview::{FindFilter, FindStep};
use workflow::port::store::Walk;
use workflow::timeline::duration;

use crate::app::{self, Schema};
use crate::args::list::List;
use crate::settings::{Knobs, Settings};

/// Payments that one step looks at.
const LOOK_AT: u32 = 20_000;

pub(crate) async fn run(knobs: &Knobs, list: &List) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let overview = app::open(&settings, Schema::Expect).await?.overview;
    let now = SystemClock.now();
    let filter = filter(list, now);
    let (mut found, mut after) = (Vec::new(), list.after);
    // A rare kind of payment takes many steps to find; a person can stop them.
    loop {
        let limit = list.limit.get() - u32::try_from(found.len()).unwrap_or(u32::MAX);
        let step =
            overview.find(&FindStep { filter: &filter, walk: Walk::Older, after, look_at: LOOK_AT, limit }).await?;
        found.extend(step.payments);
        after = step.next;
        if after.is_none() || found.len() >= list.limit.get() as usize {
            break;
        }
    }
    if list.json {
        let payments: Vec<Value> = found.iter().map(as_json).collect();
        let printed = json!({"payments": payments, "next": after});
        println!("{}", serde_json::to_string_pretty(&printed).context("cannot write JSON")?);
    } else {
        print!("{}", as_text(&found, after, now));
    }
    Ok(ExitCode::SUCCESS)
}

fn filter(list: &List, now: Timestamp) -> FindFilter {
    FindFilter {
        state: list.state,
        merchant_id: list.merchant,
        psp: list.account.clone(),
        amount_minor: list.least..=list.most,
        currency: list.currency,
        error_code: list.error.clone(),
        waiting_since: list.waiting.map(|time| now.saturating_sub(time).unwrap_or(Timestamp::MIN)),
        min_attempts: list.attempts,
        definition_version: list.definition_version,
    }
}

fn as_json(payment: &Payment) -> Value {
    json!({
        "id": payment.id, "merchant": payment.merchant_id, "psp": payment.psp, "psp_reference": payment.psp_reference,
        "status": payment.state, "since": payment.state_since, "amount": payment.amount_minor,
        "currency": payment.currency, "attempt": payment.attempt, "next_wake_at": payment.next_wake_at,
        "failure": payment.failure, "definition_version": payment.definition_version, "created": payment.created_at,
    })
}

fn as_text(found: &[Payment], next: Option<PaymentId>, now: Timestamp) -> String {
    if found.is_empty() {
        return "No payment is like that.\n".to_owned();
    }
    // Nothing is broken to fit: ids are there to be copied.
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["payment", "amount", "status", "since", "psp", "attempt", "error", "accepted"]);
    let age = |at: Timestamp| duration((now.as_millisecond() - at.as_millisecond()).max(0));
    for payment in found {
        table.add_row([
            payment.id.to_string(),
            payment.asked().to_string(),
            payment.state.to_string(),
            age(payment.state_since),
            payment.psp.clone(),
            payment.attempt.to_string(),
            payment.failure.as_ref().map(|failure| failure.code.clone()).unwrap_or_default(),
            format!("{} ago", age(payment.created_at)),
        ]);
    }
    if let Some(amounts) = table.column_mut(1) {
        amounts.set_cell_alignment(CellAlignment::Right);
    }
    let more = next.map(|id| format!("\nMore: --after {id}\n")).unwrap_or_default();
    format!("{table}\n{more}")
}
