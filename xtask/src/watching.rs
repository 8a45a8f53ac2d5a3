//! What watches over a FinCore that runs: alert rules for Prometheus and a dashboard for Grafana, made of the workflow's
//! definition and of the table of instruments.
//!
//! Not here: what to do about an alert (`docs/OPERATIONS.md`), and alarms of AWS (`deploy/aws`).

pub(crate) mod alerts;
pub(crate) mod dashboard;
