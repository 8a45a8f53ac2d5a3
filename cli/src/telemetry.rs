//! What is told about the process: its log, its metrics, its traces.

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use workflow::instruments;
use workflow_otel::Traces;

use crate::http;
use crate::settings::{LogFormat, Settings};

/// Bounds of the latency histograms, in seconds: a local call takes a millisecond, a PSP up to its timeout.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0];

/// Bounds of what lags behind, in seconds: milliseconds when all is well, days when somebody was away.
const LAGS: [f64; 13] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0, 86_400.0];

/// Bounds of batches, whose largest is 256.
const SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Samples of histograms are kept one by one until they are summed up, which happens when somebody reads them. Where
/// nobody does, this keeps them few.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// What tells of this process. To be closed before it ends.
#[must_use]
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<Traces>,
}

impl Telemetry {
    /// Sends the last traces.
    pub async fn close(self) {
        if let Some(traces) = self.traces {
            traces.close().await;
        }
    }
}

/// Starts logging, and sending traces, as the settings say. `command` is what this process was started as.
///
/// # Errors
/// The filter cannot be read, or traces cannot be sent as configured.
pub fn start(settings: &Settings, command: &str) -> anyhow::Result<Telemetry> {
    let filter: Targets =
        settings.log.parse().with_context(|| format!("cannot read the log filter {:?}", settings.log))?;
    let log = fmt::layer().with_writer(std::io::stderr);
    let log = match settings.log_format {
        LogFormat::Text => log.compact().boxed(),
        LogFormat::Json => log.json().boxed(),
    };
    let opened = settings.otel(command).map(|options| workflow_otel::open(&options)).transpose()?;
    let (traces, spans) = opened.unzip();
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(spans).with(log.with_filter(filter)).try_init();
    Ok(Telemetry { traces })
}

/// Starts recording metrics; the handle renders them.
///
/// # Errors
/// Another recorder is already installed.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_lag_seconds".to_owned()), &LAGS)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().context("metrics are already being recorded")?;
    instruments::describe();
    let summing = handle.clone();
    tokio::spawn(async move {
        let mut every = tokio::time::interval(SUM_UP_EVERY);
        loop {
            every.tick().await;
            summing.run_upkeep();
        }
    });
    Ok(handle)
}

/// Shows the metrics of a process that serves nothing else: `/metrics`, and `/healthz` for whoever watches over it.
pub async fn serve_metrics(listener: TcpListener, metrics: PrometheusHandle, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(async move || ([(CONTENT_TYPE, api::METRICS_TYPE)], metrics.render())))
        .route("/healthz", get(async || "ok\n"));
    http::serve(listener, router, stop).await;
}
