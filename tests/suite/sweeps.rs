//! Payments that stay due whatever is tried do not keep the sweeper from the others.

use fincore_tests::build;
use fincore_tests::world::World;
use workflow::definition::State;
use workflow::payment::Payment;
use workflow::port::clock::Clock;
use workflow::port::store::NewPayment;

/// More payments than one sweep takes.
const STUCK: u64 = 520;
/// Sweeps that see all of them and what comes after.
const SWEEPS: usize = 2;

crate::on_each_store! {
    async fn payments_of_a_newer_workflow_version_starve_no_others(world: World) {
        let newer = (1..=STUCK).map(|number| {
            let wake = world.clock.now() - jiff::SignedDuration::from_secs(60);
            let stuck = Payment { definition_version: 999, next_wake_at: Some(wake), ..build::payment(number) };
            build::new_payment(stuck)
        });
        let newer: Vec<NewPayment> = newer.collect();
        for batch in newer.chunks(100) {
            world.store.start(batch).await.unwrap();
        }
        let id = world.charge("pm_card_visa", "automatic").await;
        for _ in 0..SWEEPS {
            assert!(world.worker.run_once().await.unwrap() > 0);
        }
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        // They wait for a binary that knows them: the next round brings them again.
        assert_eq!(world.worker.run_once().await.unwrap(), 500);
    }
}
