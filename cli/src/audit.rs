//! `fincore audit`: who did what, when, why and from where, and what was refused.
//!
//! Not here: writing entries; the engine does, with each act.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};
use workflow::port::audit::{AuditEntry, AuditOutcome};
use workflow::port::clock::{Clock, SystemClock};

use crate::app::{self, Schema};
use crate::args::operate::Audit;
use crate::settings::{Knobs, Settings};
use crate::show;

/// Prints entries, the newest first.
pub(crate) async fn run(knobs: &Knobs, audit: &Audit) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let store = app::open_store(&settings, Schema::Expect).await?;
    let entries = store.entries(&audit.filter(SystemClock.now()), None, audit.limit).await?;
    if audit.json {
        let entries: Vec<Value> = entries.iter().map(as_json).collect();
        println!("{}", serde_json::to_string_pretty(&json!({"entries": entries})).context("cannot write JSON")?);
        return Ok(ExitCode::SUCCESS);
    }
    if entries.is_empty() {
        println!("The audit log has nothing of the kind.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = show::plain_table();
    table.set_header(["at", "who", "act", "about", "outcome", "why", "from"]);
    for entry in &entries {
        let remote = entry.remote.as_deref().unwrap_or_default();
        table.add_row([
            format!("{:.0}", entry.at),
            entry.actor.clone(),
            entry.act.to_string(),
            about(entry),
            outcome(entry),
            entry.reason.clone().unwrap_or_default(),
            format!("{} {remote}", entry.via),
        ]);
    }
    println!("{}", table.trim_fmt());
    Ok(ExitCode::SUCCESS)
}

fn about(entry: &AuditEntry) -> String {
    let payment = entry.payment_id.map(|id| id.to_string());
    payment.or_else(|| entry.subject.clone()).unwrap_or_default()
}

fn outcome(entry: &AuditEntry) -> String {
    match &entry.outcome {
        AuditOutcome::Done => "done".to_owned(),
        AuditOutcome::Refused(why) => format!("refused: {why}"),
    }
}

fn as_json(entry: &AuditEntry) -> Value {
    let refused = match &entry.outcome {
        AuditOutcome::Done => None,
        AuditOutcome::Refused(why) => Some(why),
    };
    json!({
        "id": entry.id, "at": entry.at, "operator": entry.actor, "role": entry.role, "act": entry.act,
        "payment": entry.payment_id, "subject": entry.subject, "reason": entry.reason, "refused": refused,
        "via": entry.via, "remote": entry.remote,
    })
}
