//! OpenTelemetry: the spans of our code, sent to a collector as OTLP over HTTP.
//!
//! A payment's trace is named by its id (docs/adr/0010), so processes that share nothing agree on it, and on whether it is
//! sampled. Deliberately not here: metrics (Prometheus reads those) and logs (standard error).

mod ids;
mod place;
mod sampler;
mod sender;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use ids::Ids;
use place::Placer;
use sampler::ByTrace;
use sender::Sender;

/// Whose spans are sent: those of libraries are many, and tell of their insides.
const OURS: [&str; 6] = ["workflow", "activities", "api", "ops", "fincore", "fincore_lambda"];

/// A collector is near. One that is not should not keep a process from ending.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is sent where.
#[derive(Clone, Debug)]
pub struct OtelOptions {
    /// The collector, without a path: `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Which share of all traces is sent, from 0 to 1.
    pub ratio: f64,
    /// What kind of process this is: `fincore serve`.
    pub service: String,
    /// Its release.
    pub version: &'static str,
}

/// Traces cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum OtelNotOpened {
    /// No exporter could be made of it.
    #[error("cannot send traces to {endpoint}")]
    Exporter {
        /// Where.
        endpoint: String,
        /// Why not.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// TLS cannot be set up, for example because the machine has no root certificates.
    #[error("the HTTP client for traces could not be built")]
    Client(#[source] reqwest::Error),
}

/// What sends; to be told before the process ends or is frozen.
#[derive(Clone, Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends what has not been sent yet, and waits for it.
    pub async fn flush(&self) {
        self.quietly("sent", |provider| provider.force_flush()).await;
    }

    /// The same, for the last time.
    pub async fn close(&self) {
        self.quietly("closed", |provider| provider.shutdown_with_timeout(TIMEOUT)).await;
    }

    /// On a thread of its own, because it waits; without traces everything else goes on.
    async fn quietly(
        &self,
        what: &'static str,
        act: impl FnOnce(&SdkTracerProvider) -> opentelemetry_sdk::error::OTelSdkResult + Send + 'static,
    ) {
        let provider = self.0.clone();
        match tokio::task::spawn_blocking(move || act(&provider)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "traces not {what}"),
            Err(error) => tracing::warn!(%error, "traces not {what}"),
        }
    }
}

/// Opens it, for the process's one subscriber: its layer, and what sends. Has to be called on a runtime of tokio, which
/// then does the sending.
///
/// # Errors
/// Traces cannot be sent as configured.
pub fn open<S>(options: &OtelOptions) -> Result<(Traces, impl Layer<S> + Send + Sync + use<S>), OtelNotOpened>
where
    S: Subscriber + Send + Sync + for<'span> LookupSpan<'span>,
{
    let endpoint = format!("{}/v1/traces", options.endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new(TIMEOUT).map_err(OtelNotOpened::Client)?)
        .with_endpoint(&endpoint)
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|source| OtelNotOpened::Exporter { endpoint, source })?;
    let resource = Resource::builder()
        .with_service_name(options.service.clone())
        .with_attribute(KeyValue::new("service.version", options.version))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(ByTrace::of(options.ratio))
        .with_id_generator(Ids)
        .with_resource(resource)
        .build();
    let tracer = provider.tracer("fincore");
    workflow::trace::record_by(Box::new(Placer::new(tracer.clone())));
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_sent));
    Ok((Traces(provider), layer))
}

/// Our spans, and of what we log in them what somebody should look at.
fn is_sent(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    let most = if metadata.is_span() { Level::INFO } else { Level::WARN };
    OURS.contains(&krate) && *metadata.level() <= most
}
