//! The instruments: every metric of the system, with what it tells. `docs/METRICS.md`, the dashboard and the help texts that
//! Prometheus reads come from this table, and a metric that is not in it does not pass `cargo xtask tidy`.
//!
//! Not here: counting, which is done where things happen, and alert rules (`xtask/src/watching`).

use std::time::Duration;

use strum::Display;

/// How a metric moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Display)]
#[strum(serialize_all = "snake_case")]
pub enum InstrumentKind {
    /// Grows; its rate tells something.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Instrument {
    /// Its name, with its unit at the end.
    pub name: &'static str,
    /// How it moves.
    pub kind: InstrumentKind,
    /// What it is told apart by.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// Every metric, by what it is about.
pub const ALL: &[Instrument] = &[
    gauge("fincore_open_payments", &["kind", "state"], "Payments that have not ended, by state"),
    gauge(
        "fincore_oldest_payment_seconds",
        &["kind", "state"],
        "How long the payment that has stood there the longest has",
    ),
    gauge(
        "fincore_overdue_payments",
        &["kind", "state"],
        "Payments whose time came two minutes ago or more, and that nobody has taken since",
    ),
    gauge("fincore_due_payments", &[], "Payments that are due and in nobody's hands: what a queue would hold"),
    gauge("fincore_oldest_due_seconds", &[], "How long the payment that has been due the longest has"),
    counter(
        "fincore_census_failures_total",
        &[],
        "Times that payments could not be counted; the metrics of states are then old",
    ),
    counter("fincore_payments_started_total", &[], "Charges accepted"),
    counter("fincore_refunds_started_total", &[], "Refunds accepted"),
    counter(
        "fincore_moves_total",
        &["from", "to", "event", "verdict"],
        "Rows written into histories: what happened where, and whether it counted",
    ),
    counter("fincore_dead_letters_total", &["reason"], "Payments that were given to a person"),
    counter("fincore_reviews_overdue_total", &[], "Reminders of payments that still wait for a person"),
    counter("fincore_alerts_total", &["adapter", "outcome"], "Alerts of dead letters sent, or not"),
    counter("fincore_operator_acts_total", &["act"], "What operators did to payments"),
    histogram("fincore_queue_lag_seconds", &[], "From the time a payment was due until a worker had claimed it"),
    counter("fincore_queue_told_total", &[], "Payments the queue was told of"),
    counter("fincore_queue_lost_total", &[], "Payments the queue could not be told of; sweeps find them"),
    counter("fincore_queue_unsettled_total", &[], "Messages the queue could not be told the fate of; they come again"),
    counter("fincore_queue_unreadable_total", &[], "Deliveries of messages that cannot be read"),
    counter("fincore_queue_poll_failures_total", &[], "Polls of the queue that failed"),
    counter("fincore_swept_total", &[], "Payments that sweeps found due"),
    counter("fincore_sweep_failures_total", &[], "Sweeps that failed"),
    counter("fincore_answers_dropped_total", &[], "Stored answers to requests that were old enough to be forgotten"),
    counter(
        "fincore_psp_calls_total",
        &["psp", "operation", "outcome"],
        "Calls to PSPs, by what HTTP came to; what it means is in the histories",
    ),
    histogram("fincore_psp_call_seconds", &["psp", "operation"], "How long calls to PSPs took"),
    gauge("fincore_psp_breaker_open", &["psp"], "Whether this process's circuit breaker keeps calls back"),
    gauge("fincore_psp_paused", &["psp"], "Whether an operator has paused the account"),
    counter("fincore_webhooks_total", &["psp", "outcome"], "Authentic webhooks of PSPs, by what became of them"),
    counter("fincore_webhooks_refused_total", &["psp", "reason"], "Webhooks that were refused at the door"),
    histogram(
        "fincore_webhook_lag_seconds",
        &["psp"],
        "From the event at the PSP, as it tells the time, until its webhook was here",
    ),
    gauge("fincore_unmatched_webhooks", &[], "Events of the last 72 h that fit no payment yet, 100 at most"),
    gauge("fincore_oldest_unmatched_webhook_seconds", &[], "How long the oldest of them has been here"),
    gauge("fincore_pending_deliveries", &[], "Events on their way to enabled endpoints of merchants, 10,000 at most"),
    gauge(
        "fincore_oldest_due_delivery_seconds",
        &[],
        "How long the one of them that has been due the longest has, without being sent",
    ),
    counter("fincore_deliveries_total", &["outcome"], "Attempts to deliver events to endpoints of merchants"),
    histogram("fincore_delivery_seconds", &[], "How long such attempts took"),
    histogram("fincore_delivery_lag_seconds", &[], "From the event until it was delivered"),
    counter("fincore_endpoints_disabled_total", &[], "Endpoints that were disabled because nothing arrived there"),
    histogram("fincore_group_commit_size", &["lane"], "Writes, or reads, that shared one round trip"),
    histogram("fincore_group_commit_seconds", &["lane"], "How long such round trips took"),
    gauge("fincore_database_connections", &["pool"], "Connections that are open"),
    gauge("fincore_database_connections_idle", &["pool"], "Those of them that nobody uses"),
    histogram("fincore_database_wait_seconds", &["pool"], "How long somebody waited for a connection"),
    counter("fincore_redis_failures_total", &["why"], "Calls to Redis that failed; the process went on without"),
    counter("fincore_views_total", &["from"], "Reads of charges, by where they were answered from"),
    gauge("fincore_waiting_clients", &[], "Clients that wait for a payment to come to rest"),
    counter("fincore_clock_said_total", &["what"], "What Step Functions was told"),
    counter("fincore_clock_said_late_total", &["what"], "What it was told only by a sweep"),
    counter("fincore_clock_unsaid_total", &[], "What it could not be told at the time; sweeps do"),
    counter("fincore_http_requests_total", &["route", "method", "status"], "Requests answered"),
    histogram(
        "fincore_http_request_duration_seconds",
        &["route", "method"],
        "How long answers took, without the time clients chose to wait",
    ),
    counter("fincore_http_shed_total", &[], "Requests refused because too many were in hand"),
    counter("fincore_rate_limited_total", &[], "Requests refused because their key made too many"),
    counter("fincore_event_streams_total", &[], "Event streams opened"),
    counter("fincore_ops_logins_total", &["outcome"], "Log-ins at the operators' pages"),
];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Instrument {
    Instrument { name, kind: InstrumentKind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Instrument {
    Instrument { name, kind: InstrumentKind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Instrument {
    Instrument { name, kind: InstrumentKind::Histogram, labels, help }
}

/// Tells the recorder of this process what its metrics mean.
pub fn describe() {
    for Instrument { name, kind, help, .. } in ALL {
        match kind {
            InstrumentKind::Counter => metrics::describe_counter!(*name, *help),
            InstrumentKind::Gauge => metrics::describe_gauge!(*name, *help),
            InstrumentKind::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}

/// A connection was taken from a pool: what that cost, and how the pool stands. Stores call it.
pub fn connection_taken(pool: &'static str, waited: Duration, open: u32, idle: usize) {
    metrics::histogram!("fincore_database_wait_seconds", "pool" => pool).record(waited.as_secs_f64());
    metrics::gauge!("fincore_database_connections", "pool" => pool).set(open);
    metrics::gauge!("fincore_database_connections_idle", "pool" => pool).set(u32::try_from(idle).unwrap_or(u32::MAX));
}

/// The table for people, as `docs/METRICS.md` has it.
#[must_use]
pub fn render() -> String {
    let mut page = String::from(HEAD);
    for Instrument { name, kind, labels, help } in ALL {
        let labels = if labels.is_empty() { "\u{2013}".to_owned() } else { labels.join(", ") };
        page += &format!("| `{name}` | {kind} | {labels} | {help} |\n");
    }
    page
}

const HEAD: &str = "\
<!-- Generated by `cargo xtask generate` from workflow/src/instruments.rs. Do not edit. -->

# Metrics

`fincore serve` and `fincore dev` show these at `/metrics` as Prometheus text; `fincore work` does so at its `metrics_listen`
address. Times are in seconds. What concerns all payments (`fincore_open_payments`, ages, backlogs) is counted in the
database every ten seconds by each process that shows metrics: take the maximum over them, not the sum. Everything else
is counted where it happens, by each process for itself: sum it. A worker on AWS Lambda shows none; its log has a line
`census` with each sweep, and CloudWatch counts.

The dashboard and the alert rules made of them are in `deploy/prometheus` and `deploy/grafana`.

| metric | kind | labels | tells |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_come_once() {
        let mut names: Vec<&str> = ALL.iter().map(|instrument| instrument.name).collect();
        for Instrument { name, kind, help, .. } in ALL {
            assert!(name.starts_with("fincore_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == InstrumentKind::Counter, "{name}");
            assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('|'), "{name}: {help}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
