//! The breaker's behaviour as a story and as properties, under a clock that only the test moves.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;
use workflow::shared::Memory;

use super::*;

const POLICY: BreakerPolicy =
    BreakerPolicy { no_answers_to_open: 3, open_ms: 1_000, max_open_ms: 4_000, probe_lease_ms: 2_000 };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

fn fail(machine: &mut Machine, ms: i64) {
    let ticket = machine.admit(at(ms)).unwrap();
    machine.report(ticket, Seen::NoAnswer, at(ms));
}

fn opened() -> Machine {
    let mut machine = Machine::new(POLICY);
    (0..3).for_each(|_| fail(&mut machine, 0));
    machine
}

#[test]
fn it_opens_after_calls_without_an_answer_in_a_row_and_an_answer_between_them_starts_the_count_again() {
    let mut machine = Machine::new(POLICY);
    fail(&mut machine, 0);
    fail(&mut machine, 0);
    let ticket = machine.admit(at(0)).unwrap();
    machine.report(ticket, Seen::Answer, at(0));
    fail(&mut machine, 0);
    fail(&mut machine, 0);
    assert!(machine.is_closed());
    fail(&mut machine, 0);
    assert_eq!(machine.admit(at(400)), Err(Refusal { retry_after_ms: 600 }));
}

#[test]
fn after_the_pause_one_probe_goes_out_and_the_others_wait() {
    let mut machine = opened();
    let probe = machine.admit(at(1_000)).unwrap();
    assert_eq!(machine.admit(at(1_000)), Err(Refusal { retry_after_ms: PROBE_WAIT_MS }));
    machine.report(probe, Seen::Answer, at(1_100));
    assert!(machine.is_closed());
}

#[test]
fn failed_probes_double_the_pause_up_to_its_maximum() {
    let mut machine = opened();
    let mut now = 0;
    for (pause, next) in [(1_000_i64, 2_000_u64), (2_000, 4_000), (4_000, 4_000)] {
        assert!(machine.admit(at(now + pause - 1)).is_err());
        now += pause;
        fail(&mut machine, now);
        assert_eq!(machine.admit(at(now)), Err(Refusal { retry_after_ms: next }));
    }
}

#[test]
fn a_probe_that_never_reports_is_replaced_and_counts_no_more() {
    let mut machine = opened();
    let lost = machine.admit(at(1_000)).unwrap();
    assert!(machine.admit(at(2_999)).is_err());
    let second = machine.admit(at(3_000)).unwrap();
    machine.report(lost, Seen::Answer, at(3_001));
    assert!(!machine.is_closed());
    machine.report(second, Seen::Answer, at(3_002));
    assert!(machine.is_closed());
}

#[test]
fn news_from_before_it_opened_changes_nothing() {
    let mut machine = Machine::new(POLICY);
    let early = machine.admit(at(0)).unwrap();
    (0..3).for_each(|_| fail(&mut machine, 0));
    machine.report(early, Seen::Answer, at(10));
    assert!(machine.admit(at(10)).is_err());
}

#[test]
fn a_clock_set_far_back_does_not_keep_it_open() {
    assert!(opened().admit(at(-3_600_000)).is_ok());
    assert_eq!(opened().admit(at(-500)), Err(Refusal { retry_after_ms: 1_000 }));
}

#[test]
fn refusals_say_that_nothing_was_sent() {
    let outcome = Outcome::from(Refusal { retry_after_ms: 7 });
    assert!(
        matches!(outcome, Outcome::NotSent { why, retry_after_ms: Some(7) } if why.starts_with("circuit breaker open"))
    );
}

const OPENED: BreakerNews = BreakerNews::Opened { pause_ms: 2_000, remaining_ms: 700 };

#[test]
fn an_opening_of_others_is_heeded_for_what_is_left_of_it_and_goes_on_from_there() {
    let mut machine = Machine::new(POLICY);
    machine.hear(OPENED, at(0));
    assert_eq!(machine.admit(at(0)), Err(Refusal { retry_after_ms: 700 }));
    fail(&mut machine, 700);
    assert_eq!(machine.admit(at(700)), Err(Refusal { retry_after_ms: 4_000 }), "the failed probe doubles their pause");
}

#[test]
fn a_closing_of_others_closes_and_an_opening_leaves_a_probe_under_way_alone() {
    let mut machine = opened();
    let probe = machine.admit(at(1_000)).unwrap();
    machine.hear(OPENED, at(1_000));
    assert_eq!(machine.report(probe, Seen::Answer, at(1_001)), Some(BreakerNews::Closed));
    let mut machine = opened();
    machine.hear(BreakerNews::Closed, at(1));
    assert!(machine.is_closed());
}

#[test]
fn senseless_pauses_of_others_are_brought_within_bounds() {
    for (pause_ms, remaining_ms) in [(u64::MAX, u64::MAX), (0, u64::MAX), (0, 0), (1, 0)] {
        let mut machine = Machine::new(POLICY);
        machine.hear(BreakerNews::Opened { pause_ms, remaining_ms }, at(0));
        let waits = machine.admit(at(0)).map_or_else(|refusal| refusal.retry_after_ms, |_| 0);
        assert!(waits <= POLICY.max_open_ms, "{pause_ms} {remaining_ms}: {waits}");
    }
}

/// Time that the test moves.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::SeqCst))
    }
}

/// Where the test's processes meet, counting how often it is asked.
struct Meeting {
    clock: Hand,
    place: Memory,
    asked: AtomicUsize,
}

#[async_trait]
impl Breakers for Meeting {
    async fn tell(&self, psp: &str, told: Told) {
        self.place.tell(psp, told).await;
    }

    async fn latest(&self, psp: &str) -> Option<Told> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.place.latest(psp).await
    }
}

fn meeting() -> Arc<Meeting> {
    let clock = Hand::default();
    Arc::new(Meeting { place: Memory::new(Arc::new(clock.clone())), clock, asked: AtomicUsize::new(0) })
}

fn process(meeting: &Arc<Meeting>) -> Breaker {
    let others = Arc::clone(meeting) as Arc<dyn Breakers>;
    Breaker::new("psp".into(), Arc::new(meeting.clock.clone()), POLICY).among(others)
}

async fn call(breaker: &Breaker, seen: Seen) -> Result<(), Refusal> {
    let ticket = breaker.admit().await?;
    breaker.report(ticket, seen).await;
    Ok(())
}

#[tokio::test]
async fn what_one_process_finds_out_the_others_know_a_second_later() {
    let meeting = meeting();
    let (first, second) = (process(&meeting), process(&meeting));
    call(&second, Seen::Answer).await.unwrap();
    for _ in 0..3 {
        call(&first, Seen::NoAnswer).await.unwrap();
    }
    assert!(call(&second, Seen::NoAnswer).await.is_ok(), "not asked again within a second");
    assert_eq!(
        call(&process(&meeting), Seen::Answer).await,
        Err(Refusal { retry_after_ms: 1_000 }),
        "a new process asks first"
    );
    meeting.clock.0.store(999, Ordering::SeqCst);
    assert!(call(&second, Seen::Answer).await.is_ok());
    // Beyond its own pause, the first one's probe fails: everybody hears of the longer pause.
    meeting.clock.0.store(1_000, Ordering::SeqCst);
    call(&first, Seen::NoAnswer).await.unwrap();
    assert_eq!(call(&second, Seen::Answer).await, Err(Refusal { retry_after_ms: 2_000 }));
    meeting.clock.0.store(3_000, Ordering::SeqCst);
    call(&first, Seen::Answer).await.unwrap();
    assert!(call(&second, Seen::Answer).await.is_ok(), "the first one's probe was answered");
}

#[tokio::test]
async fn old_news_closes_no_breaker_that_opened_since_and_others_are_asked_once_a_second() {
    let meeting = meeting();
    meeting.place.tell("psp", Told { id: 1, news: BreakerNews::Closed }).await;
    let breaker = process(&meeting);
    for _ in 0..3 {
        call(&breaker, Seen::NoAnswer).await.unwrap();
    }
    // As if ours had not got through.
    meeting.place.tell("psp", Told { id: 1, news: BreakerNews::Closed }).await;
    assert!(call(&breaker, Seen::Answer).await.is_err());
    for ms in 0..3_000 {
        meeting.clock.0.store(ms, Ordering::SeqCst);
        let _ = call(&breaker, Seen::Answer).await;
    }
    assert_eq!(meeting.asked.load(Ordering::SeqCst), 3);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Pass(u16),
    Call,
    End(Seen),
    Drop,
    Hear(BreakerNews),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        any::<u16>().prop_map(|ms| Act::Pass(ms % 3_000)),
        Just(Act::Call),
        Just(Act::End(Seen::Answer)),
        Just(Act::End(Seen::NoAnswer)),
        Just(Act::Drop),
        Just(Act::Hear(BreakerNews::Closed)),
        any::<(u64, u64)>()
            .prop_map(|(pause_ms, remaining_ms)| { Act::Hear(BreakerNews::Opened { pause_ms, remaining_ms }) }),
    ];
    prop::collection::vec(act, 0..200)
}

proptest! {
    #[test]
    fn whatever_happens_it_keeps_its_promises(acts in acts()) {
        let mut machine = Machine::new(POLICY);
        let mut now = 0_i64;
        let mut running = std::collections::VecDeque::new();
        let mut failures_in_a_row = 0_u32;
        for act in acts {
            match act {
                Act::Pass(ms) => now += i64::from(ms),
                Act::Call => match machine.admit(at(now)) {
                    Ok(ticket) => running.push_back(ticket),
                    // Refusals always name a bounded wait, and only while it is not closed.
                    Err(refusal) => {
                        prop_assert!(refusal.retry_after_ms >= 1 && refusal.retry_after_ms <= POLICY.max_open_ms);
                        prop_assert!(!machine.is_closed());
                    }
                },
                Act::End(seen) => if let Some(ticket) = running.pop_front() {
                    let counts = ticket.generation == machine.generation;
                    let was_closed = machine.is_closed();
                    machine.report(ticket, seen, at(now));
                    if counts {
                        failures_in_a_row = if seen == Seen::Answer { 0 } else { failures_in_a_row + 1 };
                    }
                    if was_closed && !machine.is_closed() {
                        prop_assert!(failures_in_a_row >= POLICY.no_answers_to_open);
                    }
                    if counts && seen == Seen::Answer {
                        prop_assert!(machine.is_closed());
                    }
                },
                Act::Drop => drop(running.pop_front()),
                Act::Hear(news) => machine.hear(news, at(now)),
            }
            // Half open, at most one running call can still decide anything.
            if matches!(machine.phase, Phase::HalfOpen { .. }) {
                let deciding = running.iter().filter(|ticket| ticket.generation == machine.generation).count();
                prop_assert!(deciding <= 1);
            }
        }
        // However it stands, after the longest pause a call gets through: it is never stuck.
        now += i64::try_from(POLICY.max_open_ms.max(POLICY.probe_lease_ms)).unwrap();
        prop_assert!(machine.admit(at(now)).is_ok());
    }
}
