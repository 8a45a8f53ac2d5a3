//! Settings of what is told about the program itself: its log, its metrics, its traces.

use std::net::SocketAddr;

use anyhow::ensure;
use serde::Serialize;
use workflow_otel::OtelOptions;

use super::bounds::is_http;
use super::{LogFormat, Settings};

/// As given on the command line or in the environment.
#[derive(clap::Args, Serialize, Debug, Default, Clone)]
pub struct TelemetryKnobs {
    /// What to log, for example info or fincore=debug,warn
    #[arg(long, global = true, env = "FINCORE_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// How to log
    #[arg(long, global = true, env = "FINCORE_LOG_FORMAT", value_name = "text|json")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Where `fincore work` shows its metrics, at /metrics; the API shows its own
    #[arg(long, global = true, env = "FINCORE_METRICS_LISTEN", value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
    /// OpenTelemetry collector that gets traces, as OTLP over HTTP: http://127.0.0.1:4318
    #[arg(long, global = true, env = "FINCORE_OTLP_ENDPOINT", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// Which share of all traces it gets, from 0 to 1
    #[arg(long, global = true, env = "FINCORE_TRACE_RATIO", value_name = "RATIO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_ratio: Option<f64>,
}

impl Settings {
    /// Where traces are sent, if anywhere, by a process that was started as this command.
    #[must_use]
    pub fn otel(&self, command: &str) -> Option<OtelOptions> {
        self.otlp_endpoint.clone().map(|endpoint| OtelOptions {
            endpoint,
            ratio: self.trace_ratio,
            service: format!("fincore-{command}"),
            version: env!("CARGO_PKG_VERSION"),
        })
    }

    pub(super) fn check_telemetry(&self) -> anyhow::Result<()> {
        let endpoint = self.otlp_endpoint.as_deref();
        ensure!(endpoint.is_none_or(is_http), "otlp_endpoint must begin with https:// or http://");
        ensure!((0.0..=1.0).contains(&self.trace_ratio), "trace_ratio must be from 0 to 1");
        Ok(())
    }
}
