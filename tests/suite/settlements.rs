//! What a worker says is to become of the message that brought a payment.

use std::time::Duration;

use activities::worker::Until;
use fincore_tests::world::World;
use tokio_util::sync::CancellationToken;
use workflow::definition::State;
use workflow::engine::worker::Claimed;
use workflow::ids::PaymentId;
use workflow::port::clock::Clock;
use workflow::port::queue::{Delivery, Settlement, Wake};

async fn settled(world: &World, id: PaymentId, until: &Until) -> Settlement {
    world.worker.work_on(Delivery::from(Wake::of(id, 1)), until).await
}

/// As long as it likes.
fn always() -> Until {
    Until::stopped(CancellationToken::new())
}

/// The backoff that the last row of a payment's history tells.
async fn backoff(world: &World, id: PaymentId) -> Duration {
    let history = world.store.history(id).await.unwrap();
    Duration::from_millis(history.last().unwrap().fact.data["backoff_ms"].as_u64().unwrap())
}

crate::on_each_store! {
    async fn a_retry_puts_the_message_off_for_the_delay_that_the_history_tells(world: World) {
        let id = world.charge("pm_sandbox_throttled_twice", "automatic").await;
        for _ in 0..2 {
            let settlement = settled(&world, id, &always()).await;
            let backoff = backoff(&world, id).await;
            assert!(backoff >= Duration::from_secs(1), "the PSP's Retry-After is a second: {backoff:?}");
            assert_eq!(settlement, Settlement::Again(backoff));
            // Before its time it is in vain, and nothing is asked of the queue: the message that waits is another one.
            assert_eq!(settled(&world, id, &always()).await, Settlement::Done);
            world.clock.skip(backoff);
        }
        assert_eq!(settled(&world, id, &always()).await, Settlement::Done);
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        world.finish().await;
    }

    async fn a_message_about_a_payment_in_other_hands_comes_when_the_lease_is_over(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let Claimed::Work(lease) = world.engine.wake(Wake::of(id, 1), "other").await.unwrap() else { panic!("it was due") };
        let ends_in = lease.payment.lease_until.unwrap().duration_since(world.clock.now());
        let again = Settlement::Again(Duration::try_from(ends_in).unwrap());
        assert_eq!(settled(&world, id, &always()).await, again);
    }

    async fn without_time_for_a_call_nothing_is_begun_and_the_message_is_handed_back(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let before = world.payment(id).await;
        let soon = Until::time(world.clock.now() + jiff::SignedDuration::from_secs(5));
        assert_eq!(settled(&world, id, &soon).await, Settlement::Again(Duration::ZERO));
        assert_eq!(world.payment(id).await, before);
        // Time for one activity, and not for the one that follows: that is left to others.
        let later = Until::time(world.clock.now() + jiff::SignedDuration::from_secs(7));
        settled(&world, id, &later).await;
        assert!(world.payment(id).await.lease_until.is_none(), "nothing is held beyond the end");
        world.work().await;
        world.finish().await;
    }

    async fn a_message_has_served_when_its_payment_waits_has_ended_or_is_not_there(world: World) {
        let waiting = world.charge("pm_sandbox_processing", "automatic").await;
        assert_eq!(settled(&world, waiting, &always()).await, Settlement::Done);
        assert_eq!(world.payment(waiting).await.state, State::AwaitingWebhook, "the sweeper keeps the deadline");
        let ended = world.charge("pm_card_visa", "automatic").await;
        assert_eq!(settled(&world, ended, &always()).await, Settlement::Done);
        assert_eq!(settled(&world, ended, &always()).await, Settlement::Done);
        let unknown = PaymentId::new(world.clock.now(), [1, 2]);
        assert_eq!(settled(&world, unknown, &always()).await, Settlement::Done);
    }
}
