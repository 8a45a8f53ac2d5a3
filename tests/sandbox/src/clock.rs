//! The sandbox's own clock. A PSP is another machine: its time is not the engine's, and no test steers it.
//!
//! Not here: delays, which are Tokio's.

/// Seconds since the epoch, as Stripe writes every time.
#[expect(clippy::disallowed_methods, reason = "the sandbox plays a foreign machine; this is the adapter for its clock")]
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
