//! An OpenTelemetry collector for tests: takes traces as OTLP over HTTP, and keeps them.
//!
//! It reads them with the protocol's own definition, not with anything of ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::written::{self, Kind};

/// How long spans may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector that answers.
pub struct Collector(MockServer);

/// A span that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// The process it is from, as it calls itself.
    pub service: String,
    /// What it is called.
    pub name: String,
    /// Of OTLP's numbers: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Its trace, in hexadecimal, as all names here.
    pub trace: String,
    /// Its name.
    pub id: String,
    /// The span it is below; empty if it is below none.
    pub parent: String,
    /// Traces and spans that led to it.
    pub links: Vec<(String, String)>,
    /// What else is told of it, as text.
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        Self::slow(Duration::ZERO).await
    }

    /// Starts one that takes so long to answer.
    pub async fn slow(delay: Duration) -> Self {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_delay(delay);
        Mock::given(method("POST")).and(path("/v1/traces")).respond_with(answer).mount(&server).await;
        Self(server)
    }

    /// What programs are told of it: where it is, and to send soon.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![("FINCORE_OTLP_ENDPOINT", self.0.uri()), ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned())]
    }

    /// The bodies as they came.
    ///
    /// # Panics
    /// When the server keeps none.
    pub async fn bodies(&self) -> Vec<Vec<u8>> {
        let requests = self.0.received_requests().await.expect("the server keeps what it received");
        requests.into_iter().map(|request| request.body).collect()
    }

    /// Every span that has arrived.
    ///
    /// # Panics
    /// When something arrived that is no OTLP.
    pub async fn spans(&self) -> Vec<Span> {
        let exports = self.bodies().await.into_iter();
        let exports = exports.map(|body| ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP"));
        exports.flat_map(spans).collect()
    }

    /// The spans, as soon as they are as wanted.
    ///
    /// # Panics
    /// When they never are.
    pub async fn until(&self, is_wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let begun = Instant::now();
        loop {
            let spans = self.spans().await;
            if is_wanted(&spans) {
                self.bodies().await.iter().for_each(|body| written::keep(Kind::Spans, body));
                return spans;
            }
            assert!(begun.elapsed() < PATIENCE, "not all spans came: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for of_process in export.resource_spans {
        let resource = texts(of_process.resource.unwrap_or_default().attributes);
        let service = resource.get("service.name").cloned().unwrap_or_default();
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let link = |link: opentelemetry_proto::tonic::trace::v1::span::Link| {
                (hex::encode(link.trace_id), hex::encode(link.span_id))
            };
            all.push(Span {
                service: service.clone(),
                name: span.name,
                kind: span.kind,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                links: span.links.into_iter().map(link).collect(),
                attributes: texts(span.attributes),
            });
        }
    }
    all
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| if let Value::StringValue(text) = value { text } else { format!("{value:?}") };
    let pair = |pair: KeyValue| Some((pair.key, text(pair.value?.value?)));
    attributes.into_iter().filter_map(pair).collect()
}
