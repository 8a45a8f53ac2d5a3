//! W3C trace context: which request or payment something belongs to, across processes. It explains and decides nothing.
//!
//! See <https://www.w3.org/TR/trace-context/>. A payment's trace is named by the payment's id, so whoever has the row, or the
//! id from a message, knows it. Deliberately not here: recording; a process may have a [`Recorder`].

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::OnceLock;

use tracing::{Instrument, Span};

use crate::ids::PaymentId;
use crate::payment::Payment;

tokio::task_local! {
    static CURRENT: TraceContext;
}

static RECORDER: OnceLock<Box<dyn Recorder>> = OnceLock::new();

/// Records spans, for tools that draw them.
pub trait Recorder: Send + Sync {
    /// Gives a span that has just been made its place: below `parent` if there is one, and led to by `cause`, which is of
    /// another trace. Returns what its own steps are below.
    fn place(&self, span: &Span, parent: Option<TraceContext>, cause: Option<TraceContext>) -> Option<TraceContext>;

    /// Records the whole way of a payment that has ended: the span that all its steps are below.
    fn whole(&self, payment: &Payment);
}

/// Has spans recorded from now on; the first one who says so is heard. Without, traces are names in logs.
pub fn record_by(recorder: Box<dyn Recorder>) {
    let _second = RECORDER.set(recorder);
}

/// Makes a span the beginning of a request, in the caller's trace if the caller told it; a trace of our own begins
/// otherwise.
pub fn request(span: &Span, told: Option<TraceContext>, [high, low]: [u64; 2]) -> TraceContext {
    let placed = RECORDER.get().and_then(|recorder| recorder.place(span, told, None));
    let named = || told.map_or_else(|| TraceContext::new([high, low, low]), |told| told.child(low));
    let context = placed.unwrap_or_else(named);
    span.record("trace_id", context.trace_id());
    context
}

/// Does some work as a step of a payment's trace, led to by the work at hand: a step before, or somebody's request.
pub async fn step<F: Future>(span: Span, payment: PaymentId, work: F) -> F::Output {
    let whole = TraceContext::of(payment);
    let (parent, cause) = match TraceContext::current() {
        Some(before) if before.trace == whole.trace => (before, None),
        cause => (whole, cause),
    };
    let placed = RECORDER.get().and_then(|recorder| recorder.place(&span, Some(parent), cause));
    span.record("trace_id", whole.trace_id());
    placed.unwrap_or(parent).within(work).instrument(span).await
}

/// A payment has ended.
pub(crate) fn ended(payment: &Payment) {
    if let Some(recorder) = RECORDER.get() {
        recorder.whole(payment);
    }
}

/// A `traceparent`: the trace, and the step of it that caused what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceContext {
    trace: u128,
    parent: u64,
    flags: u8,
}

impl TraceContext {
    /// A trace that begins here. `random` decides its names; the format forbids that they are zero.
    #[must_use]
    pub fn new(random: [u64; 3]) -> Self {
        let [high, low, parent] = random.map(|part| part.max(1));
        Self { trace: (u128::from(high) << 64) | u128::from(low), parent, flags: 0 }
    }

    /// A payment's trace, and the span of its whole way.
    #[must_use]
    pub fn of(payment: PaymentId) -> Self {
        let (high, low) = payment.uuid().as_u64_pair();
        Self { trace: (u128::from(high) << 64) | u128::from(low), parent: low, flags: 0 }
    }

    /// A step that has names. They must not be zero.
    #[must_use]
    pub fn named(trace: u128, span: u64, is_sampled: bool) -> Self {
        Self { trace: trace.max(1), parent: span.max(1), flags: u8::from(is_sampled) }
    }

    /// The trace's name.
    #[must_use]
    pub fn trace(self) -> u128 {
        self.trace
    }

    /// The name of the step.
    #[must_use]
    pub fn span(self) -> u64 {
        self.parent
    }

    /// The flags: 1 for a trace that is sampled.
    #[must_use]
    pub fn flags(self) -> u8 {
        self.flags
    }

    /// The next step of the same trace.
    #[must_use]
    pub fn child(self, random: u64) -> Self {
        Self { parent: random.max(1), ..self }
    }

    /// The trace's name, for logs.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }

    /// What the work at hand belongs to.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| *current).ok()
    }

    /// Does some work as a part of this trace.
    pub async fn within<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

/// A `traceparent` that is not one. Whoever sent it is heard all the same; a trace of our own begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a traceparent as W3C Trace Context defines it")]
pub struct NotATraceParent;

impl FromStr for TraceContext {
    type Err = NotATraceParent;

    /// Takes version 00, and of later versions the fields that version 00 has, as the specification asks for.
    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let fields: Vec<&str> = text.splitn(5, '-').collect();
        let (&[version, trace, parent, flags], later) = fields.split_first_chunk::<4>().ok_or(NotATraceParent)?;
        let is_hex =
            |text: &str, len| text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_known = is_hex(version, 2) && version != "ff" && (later.is_empty() || version != "00");
        if !is_known || !is_hex(trace, 32) || !is_hex(parent, 16) || !is_hex(flags, 2) {
            return Err(NotATraceParent);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| NotATraceParent)?;
        let parent = u64::from_str_radix(parent, 16).map_err(|_| NotATraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NotATraceParent)?;
        if trace == 0 || parent == 0 {
            return Err(NotATraceParent);
        }
        // Of the flags only "sampled" has a meaning that may be passed on.
        Ok(Self { trace, parent, flags: flags & 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_written_back() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context: TraceContext = text.parse().unwrap();
        assert_eq!(context.to_string(), text);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.child(7).to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
        assert_eq!(format!("cc{}-what-comes", &text[2..]).parse(), Ok(context), "a later version may say more");
    }

    #[test]
    fn what_is_no_traceparent_is_not_taken() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NotATraceParent), "{text}");
        }
    }

    #[tokio::test]
    async fn work_knows_what_it_belongs_to() {
        assert_eq!(TraceContext::current(), None);
        let context = TraceContext::new([0, 0, 0]);
        assert_eq!(context.within(async { TraceContext::current() }).await, Some(context));
        assert_eq!(context.to_string().parse(), Ok(context), "also one of zeros is one that others take");
    }
}
