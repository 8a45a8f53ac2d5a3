//! Who keeps the time of payments: the database alone, or a clock outside, for which each payment is a run of tasks.
//!
//! The row stays the truth. A clock outside asks by messages that carry a [`Task`], and is told what became of its
//! payment once that is committed; what it says late, twice or wrongly changes nothing, and what it forgets the sweeper
//! finds a little later. Callers never ask whether there is such a clock: [`crate::shared::Nothing`] is one as well.
//!
//! Not here: what a deadline means; that is the definition's.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::definition::State;
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::queue::Settlement;
use crate::trace::TraceContext;

/// How much too early a deadline may be told: clocks of different machines differ by this much at most.
pub const LARGEST_SKEW: Duration = Duration::from_secs(30);

/// What a clock outside asks with a message: to be told when the payment leaves the state that the task stands for.
#[derive(Clone, PartialEq, Eq)]
pub struct Task {
    /// The clock's name for the task: what an answer has to carry.
    pub token: String,
    /// The state that it stands for.
    pub state: State,
    /// Whether the time that a payment may wait there is over, by that clock.
    pub timed_out: bool,
}

impl std::fmt::Debug for Task {
    /// Without the token: whoever has it can answer.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.timed_out { "timed out" } else { "entered" };
        write!(f, "Task({} {what})", self.state)
    }
}

/// Where a payment stands, as far as time goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Which.
    pub payment_id: PaymentId,
    /// Where its history stands.
    pub seq: i64,
    /// Where it stands.
    pub state: State,
    /// Since when: two stays in one state differ in it.
    pub since: Timestamp,
    /// When it backs off, or has done so and is due: until then.
    pub backs_off_until: Option<Timestamp>,
    /// Whether a worker has it in hand.
    pub is_leased: bool,
}

impl Standing {
    /// Where this payment stands.
    #[must_use]
    pub fn of(payment: &Payment) -> Self {
        Self {
            payment_id: payment.id,
            seq: payment.seq,
            state: payment.state,
            since: payment.state_since,
            backs_off_until: payment.next_wake_at.filter(|_| payment.activity().is_some() && !payment.is_leased()),
            is_leased: payment.is_leased(),
        }
    }

    /// How long it still backs off, if it does.
    #[must_use]
    pub fn backs_off_for(&self, now: Timestamp) -> Option<Duration> {
        Duration::try_from(self.backs_off_until?.duration_since(now)).ok().filter(|left| !left.is_zero())
    }
}

/// What happened to a payment that a clock outside may have to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Followed {
    /// Where it stood; nowhere when it is new.
    pub from: Option<State>,
    /// Where it stands now.
    pub standing: Standing,
    /// The trace of what moved it.
    pub trace: Option<TraceContext>,
}

/// Keeps the time of payments beside the database.
#[async_trait]
pub trait Timeouts: Send + Sync {
    /// Says, after the commit, that a payment is new or has moved. Waits for nothing.
    fn follow(&self, followed: Followed);

    /// Takes a task whose message a worker has acted on; `seq` is what the message says. It is answered as soon as the
    /// payment stands elsewhere. Waits for nothing.
    fn take(&self, payment_id: PaymentId, seq: i64, task: Task);

    /// Says that this worker can do nothing with a task's payment, and why: the clock tries another worker later. Waits for
    /// nothing.
    fn refuse(&self, task: Task, why: String);

    /// What becomes of a message whose payment has to wait for this long: it comes again, unless the clock brings another.
    fn put_off(&self, delay: Duration) -> Settlement;

    /// How long the clock has for a deadline, or for a worker that went silent, before a sweep sees to it.
    fn grace(&self) -> Duration;

    /// Says again what could not be said. Returns how much that was.
    async fn sweep(&self) -> usize;

    /// Waits until everything that was said has arrived, or cannot.
    async fn flush(&self);
}
