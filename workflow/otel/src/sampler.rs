//! Which traces are sent: a share of them, chosen by their names.
//!
//! What a caller has decided for its own trace is not asked: a share of all payments is wanted, whoever asks for them, and
//! a process that hears of a payment from the database alone has nobody to ask.

use opentelemetry::trace::{Link, SpanKind, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// The bits of a trace's name that are random by W3C Trace Context, level 2, and in a UUIDv7 too. (The SDK's own sampler
/// takes 63 bits, the first of which are the same in all UUIDs.)
const RANDOM_BITS: u32 = 56;

/// Those traces whose random bits are below it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByTrace {
    below: u64,
}

impl ByTrace {
    /// A share, from 0 to 1.
    pub(crate) fn of(ratio: f64) -> Self {
        #[expect(clippy::float_arithmetic, reason = "a share is a fraction; no money is")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, which is meant")]
        let below = (ratio * 2_f64.powi(RANDOM_BITS.cast_signed())) as u64;
        Self { below }
    }

    fn takes(self, trace: TraceId) -> bool {
        let bits = u128::from_be_bytes(trace.to_bytes()) & ((1 << RANDOM_BITS) - 1);
        bits < u128::from(self.below)
    }
}

impl ShouldSample for ByTrace {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        trace: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let decision = if self.takes(trace) { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_payments_is_the_one_that_was_asked_for() {
        let mut random = (1_u64..).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut pair = || [random.next().unwrap(), random.next().unwrap()];
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let traces: Vec<TraceId> = (0..10_000)
            .map(|_| workflow::trace::TraceContext::of(workflow::ids::PaymentId::new(now, pair())))
            .map(|trace| TraceId::from(trace.trace()))
            .collect();
        for (ratio, least, most) in [(0.0, 0, 0), (0.1, 900, 1_100), (0.5, 4_800, 5_200), (1.0, 10_000, 10_000)] {
            let taken = traces.iter().filter(|trace| ByTrace::of(ratio).takes(**trace)).count();
            assert!((least..=most).contains(&taken), "{ratio}: {taken}");
        }
    }
}
