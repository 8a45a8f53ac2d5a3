//! Names of traces and spans: random ones, except for a payment's whole way, which is named by its id.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use workflow::trace::TraceContext;

thread_local! {
    /// What the span that is being made on this thread is to be called, if it has a name already.
    static NAMED: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// Makes a span that is called so, and not by chance.
pub(crate) fn named<T>(name: TraceContext, make: impl FnOnce() -> T) -> T {
    NAMED.set(Some(name));
    let made = make();
    NAMED.set(None);
    made
}

/// The SDK takes no names with a span; it asks here.
#[derive(Debug)]
pub(crate) struct Ids;

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let named = NAMED.get().map(|name| TraceId::from(name.trace()));
        named.unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        let named = NAMED.get().map(|name| SpanId::from(name.span()));
        named.unwrap_or_else(|| RandomIdGenerator::default().new_span_id())
    }
}
