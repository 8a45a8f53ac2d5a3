//! The circuit breaker: stops calling a PSP that does not answer, and lets one call through now and then to see.
//!
//! Closed, it counts calls in a row that brought no answer; at the limit it opens. Open, it refuses without touching
//! the network. After a pause it is half open: one probe goes out, and its fate closes the breaker or opens it for
//! longer. Declines, refusals and 429s are answers. See M. Nygard, "Release It!", 2nd ed., chapter 5.
//!
//! Each process has its own machine and decides by it. What a machine does, the others are told, and heed as if they had
//! found it out themselves: once a second at most, before a call, within the port's small bound. Each probes for itself.
//!
//! Our own code on purpose: the clock is injected, so tests own it. Deliberately not here: what counts as an answer
//! (the client knows), and where processes meet (a port).

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use workflow::port::breakers::{BreakerNews, Breakers, Told};
use workflow::port::clock::{Clock, Random, SystemRandom};
use workflow::port::gateway::Outcome;
use workflow::shared::Nothing;

/// Calls without an answer, one after the other, that open the breaker. A few resets happen on a healthy day; at
/// hundreds of calls a second, ten in a row without one answer between them are an outage.
pub const NO_ANSWERS_TO_OPEN: u32 = 10;
/// How long it stays open the first time, in milliseconds.
pub const OPEN_MS: u64 = 5_000;
/// Each failed probe doubles the pause up to this, in milliseconds: a PSP that is back is noticed within a minute.
pub const MAX_OPEN_MS: u64 = 60_000;
/// A probe that has not reported for so long (its worker was stopped) is taken for lost, in milliseconds. Longer
/// than any call may take.
pub const PROBE_LEASE_MS: u64 = 60_000;
/// What callers are told to wait while a probe is under way, in milliseconds.
pub const PROBE_WAIT_MS: u64 = 1_000;

/// How old the news of others may be, in milliseconds. Their outage is then ours after a second; a round trip a second
/// is nothing beside the calls.
pub const LISTEN_EVERY_MS: u64 = 1_000;

/// When the breaker opens and for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerPolicy {
    /// Calls without an answer, in a row, that open it; at least 1.
    pub no_answers_to_open: u32,
    /// The first pause, in milliseconds.
    pub open_ms: u64,
    /// The longest pause, in milliseconds.
    pub max_open_ms: u64,
    /// When a silent probe is taken for lost, in milliseconds.
    pub probe_lease_ms: u64,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            no_answers_to_open: NO_ANSWERS_TO_OPEN,
            open_ms: OPEN_MS,
            max_open_ms: MAX_OPEN_MS,
            probe_lease_ms: PROBE_LEASE_MS,
        }
    }
}

/// What a call brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// The PSP answered, whatever it said.
    Answer,
    /// It did not: no connection, a timeout, a broken connection, a server error.
    NoAnswer,
}

/// Leave to make one call. Its result is reported with it; dropping it unreported is safe.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub struct Ticket {
    generation: u64,
}

/// The breaker is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// After how long another try makes sense, in milliseconds.
    pub retry_after_ms: u64,
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::NotSent {
            why: "circuit breaker open: the PSP has not been answering".to_owned(),
            retry_after_ms: Some(refusal.retry_after_ms),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Closed { no_answers: u32 },
    Open { since: Timestamp, pause_ms: u64 },
    HalfOpen { probe_since: Timestamp, pause_ms: u64 },
}

/// The state machine, without lock, clock or metrics. Every change of phase begins a new generation, and reports
/// from an older one are ignored: they tell of a time that is over.
#[derive(Clone, Debug)]
struct Machine {
    policy: BreakerPolicy,
    phase: Phase,
    generation: u64,
}

impl Machine {
    fn new(policy: BreakerPolicy) -> Self {
        Self { policy, phase: Phase::Closed { no_answers: 0 }, generation: 0 }
    }

    fn admit(&mut self, now: Timestamp) -> Result<Ticket, Refusal> {
        match self.phase {
            Phase::Closed { .. } => {}
            Phase::Open { since, pause_ms } => match remaining_ms(since, pause_ms, now) {
                0 => self.enter(Phase::HalfOpen { probe_since: now, pause_ms }),
                retry_after_ms => return Err(Refusal { retry_after_ms }),
            },
            Phase::HalfOpen { probe_since, pause_ms } => {
                match remaining_ms(probe_since, self.policy.probe_lease_ms, now) {
                    0 => self.enter(Phase::HalfOpen { probe_since: now, pause_ms }),
                    lease_ms => return Err(Refusal { retry_after_ms: lease_ms.min(PROBE_WAIT_MS) }),
                }
            }
        }
        Ok(Ticket { generation: self.generation })
    }

    /// Takes a report, and says what there is to tell others.
    fn report(&mut self, ticket: Ticket, seen: Seen, now: Timestamp) -> Option<BreakerNews> {
        if ticket.generation != self.generation {
            return None;
        }
        match (self.phase, seen) {
            (Phase::Closed { .. }, Seen::Answer) => self.phase = Phase::Closed { no_answers: 0 },
            (Phase::Closed { no_answers }, Seen::NoAnswer) => {
                let no_answers = no_answers.saturating_add(1);
                if no_answers >= self.policy.no_answers_to_open {
                    self.enter(Phase::Open { since: now, pause_ms: self.policy.open_ms });
                } else {
                    self.phase = Phase::Closed { no_answers };
                }
            }
            (Phase::HalfOpen { .. }, Seen::Answer) => self.enter(Phase::Closed { no_answers: 0 }),
            (Phase::HalfOpen { pause_ms, .. }, Seen::NoAnswer) => {
                let pause_ms = pause_ms.saturating_mul(2).min(self.policy.max_open_ms);
                self.enter(Phase::Open { since: now, pause_ms });
            }
            // No ticket is given out while it is open.
            (Phase::Open { .. }, Seen::Answer | Seen::NoAnswer) => {}
        }
        if ticket.generation == self.generation {
            return None;
        }
        match self.phase {
            Phase::Open { pause_ms, .. } => Some(BreakerNews::Opened { pause_ms, remaining_ms: pause_ms }),
            Phase::Closed { .. } => Some(BreakerNews::Closed),
            // Only leave to call makes it half open.
            Phase::HalfOpen { .. } => None,
        }
    }

    /// Heeds what another process found out. Whoever has a probe under way knows better soon.
    fn hear(&mut self, news: BreakerNews, now: Timestamp) {
        match (self.phase, news) {
            (Phase::Closed { .. }, BreakerNews::Opened { pause_ms, remaining_ms }) => {
                let pause_ms = pause_ms.clamp(self.policy.open_ms, self.policy.max_open_ms);
                let past_ms = pause_ms.saturating_sub(remaining_ms);
                let past = SignedDuration::from_millis(i64::try_from(past_ms).unwrap_or_default());
                self.enter(Phase::Open { since: now.checked_sub(past).unwrap_or(now), pause_ms });
            }
            (Phase::Open { .. } | Phase::HalfOpen { .. }, BreakerNews::Closed) => {
                self.enter(Phase::Closed { no_answers: 0 });
            }
            (Phase::Open { .. } | Phase::HalfOpen { .. }, BreakerNews::Opened { .. })
            | (Phase::Closed { .. }, BreakerNews::Closed) => {}
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }
}

/// What is left of `length_ms` since `since`. A clock that was set back counts as no time passed at most once over:
/// the answer never exceeds `length_ms`, and an instant ahead of `now` by more than that is taken for long gone.
fn remaining_ms(since: Timestamp, length_ms: u64, now: Timestamp) -> u64 {
    let elapsed = now.duration_since(since).as_millis();
    match u64::try_from(elapsed) {
        Ok(elapsed) => length_ms.saturating_sub(elapsed),
        Err(_) if elapsed.unsigned_abs() > u128::from(length_ms) => 0,
        Err(_) => length_ms,
    }
}

/// The circuit breaker of one PSP account. Shared by all calls to it.
pub struct Breaker {
    psp: Arc<str>,
    clock: Arc<dyn Clock>,
    machine: Mutex<Machine>,
    others: Arc<dyn Breakers>,
    heard: tokio::sync::Mutex<Heard>,
}

/// What was heard of others.
#[derive(Default)]
struct Heard {
    /// The name of the latest news, ours included: what is heard again is not heeded again.
    id: Option<u64>,
    asked_at: Option<Timestamp>,
}

impl Breaker {
    /// A closed one that hears of nobody.
    #[must_use]
    pub fn new(psp: Arc<str>, clock: Arc<dyn Clock>, policy: BreakerPolicy) -> Self {
        let (machine, heard) = (Mutex::new(Machine::new(policy)), tokio::sync::Mutex::default());
        let breaker = Self { psp, clock, machine, others: Arc::new(Nothing), heard };
        breaker.show(true);
        breaker
    }

    /// The same breaker, telling others and hearing of them here.
    #[must_use]
    pub fn among(self, others: Arc<dyn Breakers>) -> Self {
        Self { others, ..self }
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// The breaker is open; the network must not be touched.
    pub async fn admit(&self) -> Result<Ticket, Refusal> {
        self.listen().await;
        self.with(|machine, now| machine.admit(now))
    }

    /// Reports what an admitted call brought.
    pub async fn report(&self, ticket: Ticket, seen: Seen) {
        if let Some(news) = self.with(|machine, now| machine.report(ticket, seen, now)) {
            let id = SystemRandom.next();
            self.heard.lock().await.id = Some(id);
            self.others.tell(&self.psp, Told { id, news }).await;
        }
    }

    /// Hears of others, unless that was done lately. Callers that come meanwhile wait for the one that asks, so that the
    /// first calls of a process are spared as well.
    async fn listen(&self) {
        let mut heard = self.heard.lock().await;
        let now = self.clock.now();
        if heard.asked_at.is_some_and(|at| remaining_ms(at, LISTEN_EVERY_MS, now) > 0) {
            return;
        }
        let latest = self.others.latest(&self.psp).await;
        heard.asked_at = Some(now);
        if let Some(told) = latest.filter(|told| heard.id != Some(told.id)) {
            heard.id = Some(told.id);
            self.with(|machine, now| machine.hear(told.news, now));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine, Timestamp) -> T) -> T {
        let now = self.clock.now();
        // A panic cannot leave the machine half changed: it is assigned phase by phase.
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let was_closed = machine.is_closed();
        let result = act(&mut machine, now);
        let is_closed = machine.is_closed();
        if was_closed != is_closed {
            // Under the lock, so that the gauge never ends up with the older of two changes.
            self.show(is_closed);
            if is_closed {
                tracing::info!(psp = %self.psp, "the PSP answers again: circuit breaker closed");
            } else {
                tracing::warn!(psp = %self.psp, "the PSP does not answer: circuit breaker open");
            }
        }
        result
    }

    fn show(&self, is_closed: bool) {
        let name = metrics::SharedString::from_shared(Arc::clone(&self.psp));
        metrics::gauge!("fincore_psp_breaker_open", "psp" => name).set(if is_closed { 0.0 } else { 1.0 });
    }
}

#[cfg(test)]
mod tests;
