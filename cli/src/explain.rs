//! `fincore explain`: why a payment stands where it stands, and what can be done about it, as text.
//!
//! Not here: finding out; [`workflow::explain`] does.

use std::process::ExitCode;
use std::sync::Arc;

use activities::psps::Psps;
use anyhow::Context as _;
use jiff::Timestamp;
use workflow::engine::Engine;
use workflow::explain::{Allowed, Explanation};
use workflow::ids::PaymentId;
use workflow::local_queue::NoQueue;
use workflow::port::archives::Statement;
use workflow::port::clock::{Clock as _, SystemClock, SystemRandom};
use workflow::port::store::Store;
use workflow::timeline::duration;

use crate::app::{self, Schema};
use crate::args::operate::Explain;
use crate::operate::told::next;
use crate::settings::{Knobs, Settings};
use crate::show::{archived_json, archived_text};
use crate::watch::{self, Look};

/// Explains one payment, once or again and again.
pub(crate) async fn run(knobs: &Knobs, asked: &Explain) -> anyhow::Result<ExitCode> {
    let settings = Settings::read(knobs)?;
    let engine = reader(app::open_store(&settings, Schema::Expect).await?);
    let id = asked.payment;
    if asked.watch {
        return watch::until_it_ends(async || {
            let (explanation, archived) = (engine.explain(id).await?, archived(&engine, id).await?);
            let version = serde_json::to_string(&explanation).context("cannot write JSON")?;
            let has_ended = workflow::definition::has_ended(explanation.state);
            Ok(Look { text: as_text(&explanation, archived.as_ref(), SystemClock.now()), version, has_ended })
        })
        .await;
    }
    let explanation = engine.explain(id).await.with_context(|| id.to_string())?;
    let archived = archived(&engine, id).await?;
    if asked.json {
        let mut told = serde_json::to_value(&explanation).context("cannot write JSON")?;
        told["archived"] = archived.as_ref().map_or(serde_json::Value::Null, archived_json);
        println!("{}", serde_json::to_string_pretty(&told).context("cannot write JSON")?);
    } else {
        print!("{}", as_text(&explanation, archived.as_ref(), SystemClock.now()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is archived of its history.
async fn archived(engine: &Engine, id: PaymentId) -> anyhow::Result<Option<Statement>> {
    Ok(engine.store().statements(&[id]).await?.pop().flatten())
}

/// An engine that only looks: no PSP is called and no queue is told.
pub(crate) fn reader(store: Arc<dyn Store>) -> Engine {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Engine::new(store, Arc::new(NoQueue), clock, random, Psps::default().capabilities())
}

/// The explanation as text.
pub(crate) fn as_text(told: &Explanation, archived: Option<&Statement>, now: Timestamp) -> String {
    let mut text = format!("\n{}  {}\n\n", told.payment, told.state.to_string().to_uppercase());
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<12} {value}\n"));
    line("waits for", &told.waits_for);
    line("since", &format!("{:.0} ({} ago)", told.since, ago(told.since, now)));
    if let Some(until) = told.until {
        line("until", &format!("{until:.0} at the latest"));
    }
    line("unblocked by", &told.who.to_string());
    line("next", &next(&told.next, now));
    if let Some(doubt) = told.doubt {
        line("in doubt", doubt);
    }
    if let Some(pause) = &told.pause {
        line("paused", &format!("{} by {} since {:.0}: {}", pause.psp, pause.by, pause.since, pause.why));
    }
    if let Some(review) = &told.review {
        line("review", &format!("{} since {:.0}: {}", review.reason, review.since, review.told));
        if let Some(what) = review.settle_first {
            line("settle", what);
        }
    }
    if let Some(proposal) = &told.proposal {
        let expires = if proposal.has_expired { "expired" } else { "can be approved until" };
        line(
            "proposed",
            &format!(
                "number {} by {}: {} ({}); {expires} {:.0}",
                proposal.proposal, proposal.by, proposal.what, proposal.why, proposal.expires_at
            ),
        );
    }
    line("hint", told.hint);
    if let Some(statement) = archived {
        line("history", &archived_text(statement));
    }
    text.push_str("\n  What you can do now:\n");
    for allowed in &told.acts {
        text.push_str(&format!("    {:<9} {}\n", allowed.act.to_string(), allowed_text(allowed)));
    }
    text.push('\n');
    text
}

fn allowed_text(allowed: &Allowed) -> String {
    match (&allowed.refused, allowed.settle_first) {
        (Some(why), _) => format!("–    {why}"),
        (None, Some(what)) => format!("yes, with --decided: {what}"),
        (None, None) if allowed.takes_two => "yes, and a second person has to approve".to_owned(),
        (None, None) => "yes".to_owned(),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    duration((now.as_millisecond() - at.as_millisecond()).max(0))
}
