//! The ports of the shared fast state: the same for every backend.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rand::{RngExt, SeedableRng};
use tokio::time::timeout;
use workflow::definition::State;
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::port::breakers::{BreakerNews, Told};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::moves::{Moved, Moves, News};
use workflow::port::rate_limits::{Drawn, RateLimit};
use workflow::port::views::{LIVES_FOR, MAX_BYTES, View};

/// Longer than any news take.
const PATIENCE: Duration = Duration::from_secs(20);

fn payment(number: u64) -> PaymentId {
    PaymentId::new(SystemClock.now(), [number, rand::random()])
}

fn merchant() -> MerchantId {
    MerchantId::new(Timestamp::UNIX_EPOCH, [3, 3])
}

fn api_key() -> ApiKeyId {
    ApiKeyId::new(SystemClock.now(), [rand::random(), rand::random()])
}

fn view(seq: i64) -> View {
    View { merchant_id: merchant(), seq, body: format!("{{\"seq\":{seq}}}") }
}

fn moved(payment_id: PaymentId, seq: i64) -> Moved {
    Moved { payment_id, seq, state: State::Authorizing }
}

/// The next news of this payment.
async fn next_of(moves: &dyn Moves, id: PaymentId) -> Moved {
    loop {
        match moves.next().await {
            News::Moved(moved) if moved.payment_id == id => return moved,
            News::Moved(_) | News::Missed => {}
        }
    }
}

fn left(drawn: Drawn) -> Option<u32> {
    match drawn {
        Drawn::Allowed(quota) => Some(quota.remaining),
        Drawn::Refused { .. } => None,
    }
}

fincore_tests::on_each_backend! {
    async fn an_opening_is_heard_for_as_long_as_it_lasts_and_a_closing_replaces_it(pair: Pair) {
        let opened = BreakerNews::Opened { pause_ms: 2_000, remaining_ms: 300 };
        pair.one.breakers.tell("psp", Told { id: u64::MAX, news: opened }).await;
        assert_eq!(pair.other.breakers.latest("another").await, None);
        let Some(Told { id: u64::MAX, news: BreakerNews::Opened { pause_ms: 2_000, remaining_ms } }) =
            pair.other.breakers.latest("psp").await
        else { panic!("the opening is not heard") };
        assert!((1..=300).contains(&remaining_ms), "{remaining_ms}");
        pair.pass(Duration::from_millis(300)).await;
        assert_eq!(pair.other.breakers.latest("psp").await, None, "it is over");
        pair.one.breakers.tell("psp", Told { id: 8, news: BreakerNews::Opened { pause_ms: 9, remaining_ms: 60_000 } }).await;
        let closed = Told { id: 9, news: BreakerNews::Closed };
        pair.other.breakers.tell("psp", closed).await;
        assert_eq!(pair.one.breakers.latest("psp").await, Some(closed));
    }

    async fn requests_of_a_key_are_counted_together_and_those_of_another_apart(pair: Pair) {
        let (key, limit) = (api_key(), RateLimit { per_second: 2, burst: 4 });
        for (process, expected) in [(&pair.one, 3), (&pair.other, 2), (&pair.one, 1), (&pair.other, 0)] {
            assert_eq!(left(process.rate_limits.draw(key, limit).await), Some(expected));
        }
        for process in [&pair.one, &pair.other] {
            let Drawn::Refused { retry_after_ms, quota } = process.rate_limits.draw(key, limit).await else {
                panic!("the fifth request in a moment is let through")
            };
            assert!((1..=500).contains(&retry_after_ms) && quota.remaining == 0, "{retry_after_ms}");
        }
        assert_eq!(left(pair.one.rate_limits.draw(api_key(), limit).await), Some(3));
        pair.pass(Duration::from_millis(500)).await;
        assert_eq!(left(pair.other.rate_limits.draw(key, limit).await), Some(0), "one request's worth later");
    }

    async fn a_move_is_heard_elsewhere_as_it_was_told(pair: Pair) {
        let listening = pair.one.moves.clone();
        let (first, id) = (payment(1), payment(2));
        let listener = tokio::spawn(async move {
            next_of(&*listening, first).await;
            next_of(&*listening, id).await
        });
        // Until the listener hears: it may not have begun.
        let mut seq = 0;
        while !listener.is_finished() {
            seq += 1;
            pair.other.moves.announce(moved(first, seq)).await;
            pair.other.moves.announce(Moved { payment_id: id, seq: 7, state: State::InReview }).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(seq < 4_000, "nothing was heard");
        }
        assert_eq!(listener.await.unwrap(), Moved { payment_id: id, seq: 7, state: State::InReview });
    }

    async fn a_listener_that_comes_late_is_told_that_it_missed_some(pair: Pair) {
        let id = payment(1);
        // More than any backend keeps for it.
        for seq in 1..=5_000 {
            pair.other.moves.announce(moved(id, seq)).await;
        }
        let news = timeout(PATIENCE, pair.one.moves.next()).await.unwrap();
        assert_eq!(news, News::Missed);
    }

    async fn a_view_is_found_by_others_until_it_is_too_old(pair: Pair) {
        let id = payment(1);
        assert_eq!(pair.other.views.get(id).await, None);
        pair.one.views.fill(id, view(3)).await;
        assert_eq!(pair.other.views.get(id).await, Some(view(3)));
        assert_eq!(pair.other.views.get(payment(2)).await, None);
        pair.pass(LIVES_FOR).await;
        assert_eq!(pair.other.views.get(id).await, None, "whatever happened to the news of a move");
    }

    async fn a_move_outdates_the_view_and_whoever_read_before_it_fills_nothing(pair: Pair) {
        let id = payment(1);
        pair.one.views.fill(id, view(3)).await;
        pair.other.moves.announce(moved(id, 4)).await;
        assert_eq!(pair.one.views.get(id).await, None);
        pair.one.views.fill(id, view(3)).await;
        assert_eq!(pair.other.views.get(id).await, None, "read before the move, filled after it");
        pair.one.views.fill(id, view(4)).await;
        pair.other.moves.announce(moved(id, 4)).await;
        pair.other.moves.announce(moved(id, 2)).await;
        pair.other.views.fill(id, view(2)).await;
        assert_eq!(pair.other.views.get(id).await, Some(view(4)), "late and old news change nothing");
    }

    async fn whatever_the_order_no_view_older_than_an_announced_move_is_ever_found(pair: Pair) {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let ids = [payment(1), payment(2)];
        let mut newest: HashMap<PaymentId, i64> = HashMap::new();
        for _ in 0..300 {
            let (id, seq) = (ids[rng.random_range(0..2)], rng.random_range(1..8));
            let process = if rng.random() { &pair.one } else { &pair.other };
            let known = newest.entry(id).or_default();
            match rng.random_range(0..4) {
                0 => {
                    process.moves.announce(moved(id, seq)).await;
                    *known = seq.max(*known);
                }
                1 | 2 => {
                    process.views.fill(id, view(seq)).await;
                    *known = seq.max(*known);
                }
                _ => {
                    let found = process.views.get(id).await;
                    assert!(found.as_ref().is_none_or(|view| view.seq == *known), "{found:?} after {known}");
                }
            }
        }
    }

    async fn what_is_too_large_is_not_kept(pair: Pair) {
        let id = payment(1);
        pair.one.views.fill(id, View { body: "x".repeat(MAX_BYTES + 1), ..view(1) }).await;
        assert_eq!(pair.one.views.get(id).await, None);
        pair.one.views.fill(id, View { body: "x".repeat(MAX_BYTES), ..view(1) }).await;
        assert_eq!(pair.other.views.get(id).await.map(|view| view.body.len()), Some(MAX_BYTES));
    }
}
