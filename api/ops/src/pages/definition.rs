//! The definition: the diagram and the tables of every version that payments may have pinned, with how many of them are in
//! each state now.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use workflow::definition::{CHARGE, Definition, Kind, REFUND, StateKind};
use workflow::port::overview::{OpenPayments, Standing};
use workflow::timeline::duration;

use super::{Frame, Section};
use crate::access::Visitor;
use crate::answer::{Trouble, page};
use crate::desk::App;
use crate::diagram::{self, Diagram};
use crate::humane::{age, count, tone, words};

/// One version of one workflow.
struct Version {
    anchor: String,
    title: String,
    digest: String,
    open: String,
    diagram: Diagram,
    states: Vec<StateLine>,
    activities: Vec<ActivityLine>,
    max_claims: i32,
}

struct StateLine {
    name: String,
    tone: &'static str,
    link: String,
    kind: String,
    until: String,
    operators: &'static str,
    count: String,
    oldest: String,
}

struct ActivityLine {
    name: String,
    timeout: String,
    lease: String,
    retries: Vec<String>,
}

#[derive(Template)]
#[template(path = "definition.html")]
struct Page {
    frame: Frame,
    versions: Vec<Version>,
}

pub(crate) async fn whole(State(app): State<App>, Extension(visitor): Extension<Visitor>) -> Result<Response, Trouble> {
    let now = app.now();
    let open = app.state.engine.store().open_payments(now).await?;
    let versions = CHARGE.iter().chain(&REFUND).map(|definition| version(definition, &open, now)).collect();
    Ok(page(&Page { frame: Frame::of(&visitor, Section::Definition, "Definition"), versions }))
}

fn version(definition: &Definition, open: &OpenPayments, now: Timestamp) -> Version {
    let of_this =
        |standing: &&Standing| standing.kind == definition.kind && standing.definition_version == definition.version;
    let standings: Vec<&Standing> = open.standings.iter().filter(of_this).collect();
    let name = match definition.kind {
        Kind::Charge => "Charges",
        Kind::Refund => "Refunds",
    };
    let states = definition.reached().map(|row| {
        let here = standings.iter().find(|standing| standing.state == row.state);
        let (kind, until) = match row.kind {
            StateKind::Works(activity) => (format!("works: {activity}"), "its retries end".to_owned()),
            StateKind::Waits { deadline_ms, meaning } => {
                let deadline = duration(i64::try_from(deadline_ms).unwrap_or(i64::MAX));
                ("waits".to_owned(), format!("{deadline}, then {meaning}"))
            }
            StateKind::Ended | StateKind::Outside => ("ended".to_owned(), String::new()),
        };
        let is_ended = matches!(row.kind, StateKind::Ended);
        StateLine {
            name: words(row.state.into()),
            tone: tone(row.state),
            link: format!("/ops/payments?state={}&version={}", row.state, definition.version),
            kind,
            until,
            operators: row.operators,
            count: if is_ended { String::new() } else { count(here.map_or(0, |standing| standing.count)) },
            oldest: here.map(|standing| age(standing.oldest_since, now)).unwrap_or_default(),
        }
    });
    Version {
        anchor: format!("{}-{}", definition.kind, definition.version),
        title: format!("{name}, version {}", definition.version),
        digest: definition.digest.to_owned(),
        open: count(standings.iter().map(|standing| standing.count).sum::<i64>()),
        diagram: diagram::of_standings(definition, &standings),
        states: states.collect(),
        activities: definition.runs().map(activity).collect(),
        max_claims: definition.max_claims,
    }
}

fn activity(row: &workflow::definition::ActivityRow) -> ActivityLine {
    let ms = |ms: u64| duration(i64::try_from(ms).unwrap_or(i64::MAX));
    let policies = [("not sent", row.not_sent), ("throttled", row.throttled), ("unknown", row.unknown)];
    let retries = policies.map(|(class, policy)| {
        if policy.max_attempts > 1 {
            format!(
                "{class}: {} attempts, from {} up to {} apart, {} in all",
                policy.max_attempts,
                ms(policy.initial_ms),
                ms(policy.max_delay_ms),
                ms(policy.max_elapsed_ms)
            )
        } else {
            format!("{class}: never repeated, asked instead")
        }
    });
    ActivityLine {
        name: row.activity.to_string(),
        timeout: ms(row.call_timeout_ms),
        lease: ms(row.lease_ms),
        retries: retries.into(),
    }
}
