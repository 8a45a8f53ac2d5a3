//! The place of spans: below which step, led to by what.

use std::time::SystemTime;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use workflow::payment::Payment;
use workflow::trace::{Recorder, TraceContext};

use crate::ids::named;

/// Puts our spans where they belong.
pub(crate) struct Placer {
    tracer: SdkTracer,
}

impl Placer {
    pub(crate) fn new(tracer: SdkTracer) -> Self {
        Self { tracer }
    }
}

impl Recorder for Placer {
    fn place(&self, span: &Span, parent: Option<TraceContext>, cause: Option<TraceContext>) -> Option<TraceContext> {
        if let Some(parent) = parent {
            let parent = Context::new().with_remote_span_context(theirs(parent));
            // A span that is switched off, or begun, stays where it is.
            span.set_parent(parent).ok()?;
        }
        if let Some(cause) = cause {
            span.add_link(theirs(cause));
        }
        ours(span.context().span().span_context())
    }

    fn whole(&self, payment: &Payment) {
        let attributes = vec![
            KeyValue::new("fincore.payment.id", payment.id.to_string()),
            KeyValue::new("fincore.payment.state", <&str>::from(payment.state)),
            KeyValue::new("fincore.payment.psp", payment.psp.clone()),
            KeyValue::new("fincore.merchant.id", payment.merchant_id.to_string()),
        ];
        let builder = SpanBuilder::from_name(<&str>::from(payment.kind()))
            .with_kind(SpanKind::Internal)
            .with_start_time(SystemTime::from(payment.created_at))
            .with_attributes(attributes);
        let mut span = named(TraceContext::of(payment.id), || self.tracer.build_with_context(builder, &Context::new()));
        span.end_with_timestamp(SystemTime::from(payment.updated_at));
    }
}

/// As the SDK has it.
fn theirs(context: TraceContext) -> SpanContext {
    let (trace, span) = (TraceId::from(context.trace()), SpanId::from(context.span()));
    SpanContext::new(trace, span, TraceFlags::new(context.flags()), true, TraceState::default())
}

/// As we have it, if it is any.
fn ours(context: &SpanContext) -> Option<TraceContext> {
    let trace = u128::from_be_bytes(context.trace_id().to_bytes());
    let span = u64::from_be_bytes(context.span_id().to_bytes());
    context.is_valid().then(|| TraceContext::named(trace, span, context.is_sampled()))
}
