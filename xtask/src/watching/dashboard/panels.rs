//! What the dashboard shows: every instrument, in the order in which a person would ask.

use super::{Panel, Unit, panel};

/// Figures that say at a glance whether somebody is needed.
pub(super) const GLANCE: &[Panel] = &[
    panel("Due, in nobody's hands", Unit::Count, &[("max(fincore_due_payments)", "")]),
    panel("Oldest due", Unit::Seconds, &[("max(fincore_oldest_due_seconds)", "")]),
    panel("Late", Unit::Count, &[("sum(max by (kind, state) (fincore_overdue_payments))", "")]),
    panel("Wait for a person", Unit::Count, &[("sum(max by (kind) (fincore_open_payments{state=\"in_review\"}))", "")]),
    panel("Breakers open", Unit::Count, &[("sum(max by (psp) (fincore_psp_breaker_open))", "")]),
    panel("PSPs paused", Unit::Count, &[("sum(max by (psp) (fincore_psp_paused))", "")]),
];

pub(super) const ROWS: &[(&str, &[Panel])] = &[
    (
        "Payments",
        &[
            panel(
                "Accepted",
                Unit::PerSecond,
                &[
                    ("sum(rate(fincore_payments_started_total[$__rate_interval]))", "charges"),
                    ("sum(rate(fincore_refunds_started_total[$__rate_interval]))", "refunds"),
                ],
            ),
            panel(
                "Ended",
                Unit::PerSecond,
                &[(
                    "sum by (to) (rate(fincore_moves_total{to=~\"succeeded|failed|canceled|expired|in_review\",verdict=\"applied\"}[$__rate_interval]))",
                    "{{to}}",
                )],
            ),
            panel(
                "Open, by state",
                Unit::Count,
                &[("max by (kind, state) (fincore_open_payments) > 0", "{{kind}} {{state}}")],
            ),
            panel(
                "Oldest, by state",
                Unit::Seconds,
                &[("max by (kind, state) (fincore_oldest_payment_seconds) > 0", "{{kind}} {{state}}")],
            ),
            panel(
                "Dead letters, reminders and acts",
                Unit::PerSecond,
                &[
                    ("sum by (reason) (rate(fincore_dead_letters_total[$__rate_interval]))", "letter: {{reason}}"),
                    ("sum(rate(fincore_reviews_overdue_total[$__rate_interval]))", "reminder"),
                    ("sum by (act) (rate(fincore_operator_acts_total[$__rate_interval]))", "act: {{act}}"),
                    (
                        "sum by (adapter, outcome) (rate(fincore_alerts_total[$__rate_interval]))",
                        "alert by {{adapter}}: {{outcome}}",
                    ),
                ],
            ),
        ],
    ),
    (
        "API",
        &[
            panel(
                "Requests",
                Unit::PerSecond,
                &[("sum by (status) (rate(fincore_http_requests_total[$__rate_interval]))", "{{status}}")],
            ),
            panel(
                "Time to answer",
                Unit::Seconds,
                &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(fincore_http_request_duration_seconds_bucket[$__rate_interval])))",
                        "median",
                    ),
                    (
                        "histogram_quantile(0.99, sum by (le) (rate(fincore_http_request_duration_seconds_bucket[$__rate_interval])))",
                        "99 %",
                    ),
                ],
            ),
            panel(
                "Turned away",
                Unit::PerSecond,
                &[
                    ("sum(rate(fincore_http_shed_total[$__rate_interval]))", "too many at once"),
                    ("sum(rate(fincore_rate_limited_total[$__rate_interval]))", "over a key's limit"),
                ],
            ),
            panel(
                "Clients that wait",
                Unit::Count,
                &[
                    ("sum(fincore_waiting_clients)", "for a payment"),
                    ("sum(increase(fincore_event_streams_total[$__rate_interval]))", "streams opened"),
                ],
            ),
            panel(
                "Reads of charges",
                Unit::PerSecond,
                &[("sum by (from) (rate(fincore_views_total[$__rate_interval]))", "{{from}}")],
            ),
            panel(
                "Log-ins of operators",
                Unit::PerSecond,
                &[("sum by (outcome) (rate(fincore_ops_logins_total[$__rate_interval]))", "{{outcome}}")],
            ),
        ],
    ),
    (
        "PSPs",
        &[
            panel(
                "Calls",
                Unit::PerSecond,
                &[("sum by (psp, outcome) (rate(fincore_psp_calls_total[$__rate_interval]))", "{{psp}}: {{outcome}}")],
            ),
            panel(
                "Time of calls, 95 %",
                Unit::Seconds,
                &[(
                    "histogram_quantile(0.95, sum by (psp, operation, le) (rate(fincore_psp_call_seconds_bucket[$__rate_interval])))",
                    "{{psp}}: {{operation}}",
                )],
            ),
            panel(
                "Webhooks",
                Unit::PerSecond,
                &[
                    ("sum by (psp, outcome) (rate(fincore_webhooks_total[$__rate_interval]))", "{{psp}}: {{outcome}}"),
                    (
                        "sum by (psp, reason) (rate(fincore_webhooks_refused_total[$__rate_interval]))",
                        "{{psp}}: refused, {{reason}}",
                    ),
                ],
            ),
            panel(
                "Webhooks after what they tell of, 90 %",
                Unit::Seconds,
                &[(
                    "histogram_quantile(0.9, sum by (psp, le) (rate(fincore_webhook_lag_seconds_bucket[$__rate_interval])))",
                    "{{psp}}",
                )],
            ),
            panel(
                "Webhooks that fit no payment",
                Unit::Count,
                &[
                    ("max(fincore_unmatched_webhooks)", "events"),
                    ("max(fincore_oldest_unmatched_webhook_seconds)", "age of the oldest, s"),
                ],
            ),
        ],
    ),
    (
        "Queue and workers",
        &[
            panel(
                "From due to claimed",
                Unit::Seconds,
                &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(fincore_queue_lag_seconds_bucket[$__rate_interval])))",
                        "median",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le) (rate(fincore_queue_lag_seconds_bucket[$__rate_interval])))",
                        "95 %",
                    ),
                ],
            ),
            panel(
                "The queue",
                Unit::PerSecond,
                &[
                    ("sum(rate(fincore_queue_told_total[$__rate_interval]))", "told"),
                    ("sum(rate(fincore_queue_lost_total[$__rate_interval]))", "not told"),
                    ("sum(rate(fincore_queue_unsettled_total[$__rate_interval]))", "not settled"),
                    ("sum(rate(fincore_queue_unreadable_total[$__rate_interval]))", "unreadable"),
                    ("sum(rate(fincore_queue_poll_failures_total[$__rate_interval]))", "polls that failed"),
                ],
            ),
            panel(
                "Sweeps and the census",
                Unit::PerSecond,
                &[
                    ("sum(rate(fincore_swept_total[$__rate_interval]))", "found due"),
                    ("sum(rate(fincore_sweep_failures_total[$__rate_interval]))", "sweeps that failed"),
                    ("sum(rate(fincore_census_failures_total[$__rate_interval]))", "counts that failed"),
                    ("sum(rate(fincore_answers_dropped_total[$__rate_interval]))", "old answers dropped"),
                ],
            ),
            panel(
                "Step Functions",
                Unit::PerSecond,
                &[
                    ("sum by (what) (rate(fincore_clock_said_total[$__rate_interval]))", "said: {{what}}"),
                    ("sum by (what) (rate(fincore_clock_said_late_total[$__rate_interval]))", "said late: {{what}}"),
                    ("sum(rate(fincore_clock_unsaid_total[$__rate_interval]))", "not said"),
                ],
            ),
        ],
    ),
    (
        "Events for merchants",
        &[
            panel(
                "Deliveries",
                Unit::PerSecond,
                &[("sum by (outcome) (rate(fincore_deliveries_total[$__rate_interval]))", "{{outcome}}")],
            ),
            panel(
                "From the event to its delivery",
                Unit::Seconds,
                &[
                    (
                        "histogram_quantile(0.5, sum by (le) (rate(fincore_delivery_lag_seconds_bucket[$__rate_interval])))",
                        "median",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le) (rate(fincore_delivery_lag_seconds_bucket[$__rate_interval])))",
                        "95 %",
                    ),
                    (
                        "histogram_quantile(0.95, sum by (le) (rate(fincore_delivery_seconds_bucket[$__rate_interval])))",
                        "one attempt, 95 %",
                    ),
                ],
            ),
            panel(
                "Backlog",
                Unit::Count,
                &[
                    ("max(fincore_pending_deliveries)", "pending"),
                    ("max(fincore_oldest_due_delivery_seconds)", "the oldest is due for, s"),
                    ("sum(increase(fincore_endpoints_disabled_total[$__rate_interval]))", "endpoints disabled"),
                ],
            ),
        ],
    ),
    (
        "Database and Redis",
        &[
            panel(
                "Elements that share a round trip, mean",
                Unit::Count,
                &[(
                    "sum by (lane) (rate(fincore_group_commit_size_sum[$__rate_interval])) / sum by (lane) (rate(fincore_group_commit_size_count[$__rate_interval]))",
                    "{{lane}}",
                )],
            ),
            panel(
                "Time of a round trip, 95 %",
                Unit::Seconds,
                &[(
                    "histogram_quantile(0.95, sum by (lane, le) (rate(fincore_group_commit_seconds_bucket[$__rate_interval])))",
                    "{{lane}}",
                )],
            ),
            panel(
                "Connections",
                Unit::Count,
                &[
                    ("sum by (pool) (fincore_database_connections)", "{{pool}}: open"),
                    ("sum by (pool) (fincore_database_connections_idle)", "{{pool}}: idle"),
                ],
            ),
            panel(
                "Waiting for a connection, 95 %",
                Unit::Seconds,
                &[(
                    "histogram_quantile(0.95, sum by (pool, le) (rate(fincore_database_wait_seconds_bucket[$__rate_interval])))",
                    "{{pool}}",
                )],
            ),
            panel(
                "Redis: calls that failed",
                Unit::PerSecond,
                &[("sum by (why) (rate(fincore_redis_failures_total[$__rate_interval]))", "{{why}}")],
            ),
        ],
    ),
];
