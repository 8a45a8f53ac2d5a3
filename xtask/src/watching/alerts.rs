//! The alert rules: those of single states from the definition, the others from a table.

use std::fmt::Write as _;

use workflow::definition::{CHARGE, Kind, REFUND, StateKind, StateRow, current};

/// A little more than the definition allows: sweeps, and a worker that is being replaced.
const MARGIN_SECONDS: u64 = 600;

/// Who is to look, and when.
#[derive(Clone, Copy)]
enum Severity {
    /// Somebody, now.
    Page,
    /// Somebody, on a working day.
    Ticket,
}

impl Severity {
    const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

struct Alert {
    name: &'static str,
    expr: &'static str,
    minutes: u32,
    severity: Severity,
    /// One sentence; `{{ $labels.… }}` and `{{ $value }}` are Prometheus's.
    summary: &'static str,
}

const fn page(name: &'static str, minutes: u32, expr: &'static str, summary: &'static str) -> Alert {
    Alert { name, expr, minutes, severity: Severity::Page, summary }
}

const fn ticket(name: &'static str, minutes: u32, expr: &'static str, summary: &'static str) -> Alert {
    Alert { name, expr, minutes, severity: Severity::Ticket, summary }
}

/// In the order in which a person would ask: does it take payments, does it work on them, are PSPs there, does news flow,
/// and do its own parts hold.
const ALERTS: &[Alert] = &[
    page("FinCoreDown", 2, "up{job=\"fincore\"} == 0", "{{ $labels.instance }} does not show its metrics."),
    page(
        "FinCoreApiErrors",
        5,
        "sum(rate(fincore_http_requests_total{status=~\"5..\"}[5m])) / sum(rate(fincore_http_requests_total[5m])) > 0.01",
        "{{ $value | humanizePercentage }} of requests end with a server error.",
    ),
    page(
        "FinCoreApiSlow",
        10,
        "histogram_quantile(0.99, sum by (le) (rate(fincore_http_request_duration_seconds_bucket{route=~\"/v1/.*\",method=\"POST\"}[5m]))) > 1",
        "One in a hundred requests that change something takes longer than {{ $value | humanizeDuration }}.",
    ),
    page(
        "FinCoreApiOverloaded",
        5,
        "sum(rate(fincore_http_shed_total[5m])) > 0",
        "Requests are refused because too many are in hand.",
    ),
    page(
        "FinCoreWorkersBehind",
        5,
        "max(fincore_oldest_due_seconds) > 120",
        "A payment has been due for {{ $value | humanizeDuration }}, and nobody works on it.",
    ),
    page(
        "FinCoreSweepsFail",
        5,
        "sum(increase(fincore_sweep_failures_total[5m])) > 3",
        "Sweeps fail: what the queue forgets is not found.",
    ),
    page(
        "FinCoreCensusFails",
        5,
        "sum(increase(fincore_census_failures_total[5m])) > 3 or absent(fincore_oldest_due_seconds)",
        "Payments are not counted: alerts about states are blind.",
    ),
    ticket(
        "FinCorePaymentsInReview",
        15,
        "sum(max by (kind) (fincore_open_payments{state=\"in_review\"})) > 0",
        "{{ $value }} payments wait for a person.",
    ),
    page(
        "FinCoreManyDeadLetters",
        0,
        "sum(max by (kind) (fincore_open_payments{state=\"in_review\"})) - sum(max by (kind) (fincore_open_payments{state=\"in_review\"} offset 10m)) > 20",
        "{{ $value | humanize }} more payments wait for a person than ten minutes ago: it is not about single ones.",
    ),
    page(
        "FinCoreAlertsNotSent",
        5,
        "sum by (adapter) (increase(fincore_alerts_total{outcome!=\"told\"}[15m])) > 0",
        "{{ $labels.adapter }} cannot be told of payments that need a person.",
    ),
    page(
        "FinCorePspFails",
        5,
        "sum by (psp) (rate(fincore_psp_calls_total{outcome=~\"unknown|not_sent|server_error\"}[5m])) / sum by (psp) (rate(fincore_psp_calls_total[5m])) > 0.1",
        "{{ $value | humanizePercentage }} of calls to {{ $labels.psp }} get no answer.",
    ),
    page(
        "FinCorePspBreakerOpen",
        3,
        "max by (psp) (fincore_psp_breaker_open) > 0",
        "The circuit breaker of {{ $labels.psp }} is open: its payments wait.",
    ),
    ticket(
        "FinCorePspSlow",
        15,
        "histogram_quantile(0.95, sum by (psp, le) (rate(fincore_psp_call_seconds_bucket[5m]))) > 5",
        "One in twenty calls to {{ $labels.psp }} takes longer than {{ $value | humanizeDuration }}.",
    ),
    ticket(
        "FinCorePspPaused",
        60,
        "max by (psp) (fincore_psp_paused) > 0",
        "{{ $labels.psp }} has been paused for an hour.",
    ),
    ticket(
        "FinCoreWebhooksRefused",
        10,
        "sum by (psp, reason) (rate(fincore_webhooks_refused_total[10m])) > 0.1",
        "Webhooks for {{ $labels.psp }} are refused: {{ $labels.reason }}.",
    ),
    ticket(
        "FinCoreWebhooksUnmatched",
        30,
        "max(fincore_oldest_unmatched_webhook_seconds) > 3600",
        "Events of a PSP fit no payment; the oldest came {{ $value | humanizeDuration }} ago.",
    ),
    ticket(
        "FinCoreWebhooksLate",
        15,
        "histogram_quantile(0.9, sum by (psp, le) (rate(fincore_webhook_lag_seconds_bucket[15m]))) > 600",
        "Webhooks of {{ $labels.psp }} come {{ $value | humanizeDuration }} after what they tell of.",
    ),
    page(
        "FinCoreDeliveriesBehind",
        5,
        "max(fincore_oldest_due_delivery_seconds) > 300",
        "An event has been due to a merchant's endpoint for {{ $value | humanizeDuration }}, and nobody sends it.",
    ),
    ticket(
        "FinCoreEndpointDisabled",
        0,
        "sum(increase(fincore_endpoints_disabled_total[1h])) > 0",
        "A merchant's endpoint was disabled: nothing arrives there.",
    ),
    ticket(
        "FinCoreQueueAway",
        10,
        "sum(increase(fincore_queue_lost_total[10m])) > 0 or sum(increase(fincore_queue_poll_failures_total[10m])) > 5",
        "The queue takes or gives nothing; sweeps do its work, later.",
    ),
    ticket(
        "FinCoreQueueUnreadable",
        0,
        "sum(increase(fincore_queue_unreadable_total[15m])) > 0",
        "The queue has messages that are not ours, or of a newer release.",
    ),
    page(
        "FinCoreDatabaseBusy",
        5,
        "histogram_quantile(0.95, sum by (pool, le) (rate(fincore_database_wait_seconds_bucket[5m]))) > 0.25",
        "Somebody waits {{ $value | humanizeDuration }} for one of the connections of {{ $labels.pool }}.",
    ),
    ticket(
        "FinCoreRedisAway",
        10,
        "sum(increase(fincore_redis_failures_total[10m])) > 10",
        "Redis does not answer: everything goes on, slower.",
    ),
    ticket(
        "FinCoreClockAway",
        10,
        "sum(increase(fincore_clock_unsaid_total[10m])) > 0",
        "Step Functions cannot be told; sweeps keep the time.",
    ),
    ticket(
        "FinCoreLogInsRefused",
        5,
        "sum(increase(fincore_ops_logins_total{outcome=~\"refused|too_often\"}[10m])) > 20",
        "Somebody tries passwords at the operators' pages.",
    ),
];

/// What payments that stay too long in one state are told as.
const STUCK: &str = "FinCorePaymentStuck";

/// The names of all alerts.
#[cfg(test)]
pub(crate) fn names() -> Vec<&'static str> {
    ALERTS.iter().map(|alert| alert.name).chain([STUCK]).collect()
}

/// The rules file.
pub(crate) fn render() -> String {
    let mut file = String::from(HEAD);
    for Alert { name, expr, minutes, severity, summary } in ALERTS {
        push(&mut file, name, expr, *minutes, &format!("severity: {}", severity.name()), summary);
    }
    file += "\n  # One for each state: longer than the workflow's definition lets a payment stay there.\n";
    file += "  - name: fincore-states\n    rules:\n";
    for kind in [Kind::Charge, Kind::Refund] {
        for row in current(kind).reached() {
            if let Some(limit) = limit_seconds(kind, row) {
                push_state(&mut file, kind, row, limit);
            }
        }
    }
    file
}

fn push_state(file: &mut String, kind: Kind, row: &StateRow, limit: u64) {
    let state = row.state;
    let expr = format!("max(fincore_oldest_payment_seconds{{kind=\"{kind}\",state=\"{state}\"}}) > {limit}");
    let summary = format!("A {kind} has been in {state} for {{{{ $value | humanizeDuration }}}}. {}", row.operators);
    // The deadline of review is a reminder, of what somebody has been told already.
    let severity = match row.kind {
        StateKind::Waits { .. } if state == workflow::definition::State::InReview => Severity::Ticket,
        StateKind::Waits { .. } | StateKind::Works(_) | StateKind::Ended | StateKind::Outside => Severity::Page,
    };
    let labels = format!("severity: {}, kind: {kind}, state: {state}", severity.name());
    push(file, STUCK, &expr, 5, &labels, &summary);
}

/// By the most patient version that payments may have pinned.
fn limit_seconds(kind: Kind, row: &StateRow) -> Option<u64> {
    let versions = match kind {
        Kind::Charge => CHARGE.as_slice(),
        Kind::Refund => REFUND.as_slice(),
    };
    let stays = versions.iter().filter_map(|version| version.longest_stay_ms(version.state(row.state)));
    Some(stays.max()? / 1_000 + MARGIN_SECONDS)
}

fn push(file: &mut String, name: &str, expr: &str, minutes: u32, labels: &str, summary: &str) {
    let anchor = name.to_lowercase();
    // Quoted as JSON, which YAML reads alike.
    let (expr, summary) = (serde_json::Value::from(expr), serde_json::Value::from(summary));
    let _ = write!(
        file,
        "      - alert: {name}\n        expr: {expr}\n        for: {minutes}m\n        labels: {{ {labels} }}\n        \
         annotations:\n          summary: {summary}\n          runbook: docs/OPERATIONS.md#{anchor}\n"
    );
}

const HEAD: &str = "\
# Generated by `cargo xtask generate` from xtask/src/watching/alerts.rs and the workflow's definition. Do not edit.
#
# Prometheus reads it by `rule_files`; the job that scrapes FinCore is to be called fincore.
groups:
  - name: fincore
    rules:
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alert_says_what_to_do() {
        let page = std::fs::read_to_string(crate::root().join("docs/OPERATIONS.md")).unwrap();
        for name in names() {
            assert!(page.contains(&format!("### {name}\n")), "docs/OPERATIONS.md does not say what to do about {name}");
        }
    }

    #[test]
    fn every_state_in_which_a_payment_may_stay_is_watched() {
        let rules = render();
        for kind in [Kind::Charge, Kind::Refund] {
            for row in current(kind).reached() {
                let watched = rules.contains(&format!("kind=\\\"{kind}\\\",state=\\\"{}\\\"", row.state));
                assert_eq!(watched, !matches!(row.kind, StateKind::Ended), "{kind} {}", row.state);
            }
        }
    }
}
