//! What a PSP can do is data that the engine goes by. Idempotency keys do not live for ever: once a PSP may have forgotten
//! one, the engine asks instead of repeating.

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::world::World;
use workflow::definition::{Activity, State};
use workflow::engine::client::Request;
use workflow::engine::{Engine, EngineError};
use workflow::event::{Event, Unknown};
use workflow::history::Hash;
use workflow::local_queue::NoQueue;
use workflow::payment::KeyUse;
use workflow::port::clock::{Clock, SystemRandom};
use workflow::port::gateway::Captures;
use workflow::port::store::RequestScope;

use crate::failover::report;

/// Longer than the sandbox, or the PSP it stands for, remembers a key.
const FORGOTTEN: Duration = Duration::from_hours(25);

crate::on_each_store! {
    async fn a_key_that_may_be_forgotten_is_not_used_again_but_asked_about(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        report(&world, id, Event::NotSent { why: "refused".to_owned(), retry_after_ms: None }).await;
        let before = world.payment(id).await;
        assert_eq!(before.key_use.map(|used| used.activity), Some(Activity::Authorize));
        world.clock.skip(FORGOTTEN);
        world.work().await;
        crate::scenarios::pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   not_sent          authorizing
             4  clock    key_expired       authorizing → reconciling
             5  worker   attempt_started   reconciling
             6  worker   untouched         reconciling → authorizing
             7  worker   attempt_started   authorizing
             8  worker   registered        authorizing
             9  worker   authorized        authorizing → finalizing
            10  worker   attempt_started   finalizing
            11  worker   captured          finalizing → succeeded
        ");
        assert_eq!(world.payment(id).await.operation, before.operation + 1, "the next call is a new one for the PSP");
        world.finish().await;
    }

    async fn a_capture_in_doubt_for_longer_than_its_key_lives_is_asked_about_and_made_once(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        let (status, _) = world.post(&format!("/v1/charges/{id}/capture"), "all", &serde_json::json!({})).await;
        assert_eq!(status, reqwest::StatusCode::ACCEPTED);
        report(&world, id, Event::NotSent { why: "refused".to_owned(), retry_after_ms: None }).await;
        world.clock.skip(FORGOTTEN);
        world.work().await;
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.amount_captured_minor), (State::Succeeded, 1200), "{}", world.ledger(id).await);
        assert!(world.ledger(id).await.contains("key_expired       finalizing → reconciling"));
        world.finish().await;
    }

    async fn a_key_is_as_old_as_its_first_call(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let started = world.clock.now();
        report(&world, id, Event::NotSent { why: "refused".to_owned(), retry_after_ms: None }).await;
        world.clock.skip(Duration::from_mins(10));
        report(&world, id, Event::Unknown { why: Unknown::Timeout, detail: "no answer".to_owned() }).await;
        report(&world, id, Event::Untouched { evidence: "asked".to_owned() }).await;
        world.clock.skip(Duration::from_mins(10));
        report(&world, id, Event::NotSent { why: "refused".to_owned(), retry_after_ms: None }).await;
        assert_eq!(world.payment(id).await.key_use, Some(KeyUse { activity: Activity::Authorize, since: started }));
        world.clock.skip(Duration::from_mins(10));
        world.work().await;
        // The capture has a key of its own, used from now on.
        assert_eq!(world.payment(id).await.key_use.map(|used| used.activity), Some(Activity::Finalize));
        world.finish().await;
    }

    async fn a_psp_that_captures_all_or_nothing_is_not_asked_for_a_part(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        let mut capabilities = world.psps.capabilities();
        capabilities.values_mut().for_each(|psp| psp.captures = Captures::Whole);
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let engine =
            Engine::new(Arc::clone(&world.store), Arc::new(NoQueue), clock, Arc::new(SystemRandom), capabilities);
        let ask = |key: &str, amount_minor: i64| {
            let scope = RequestScope { merchant_id: world.merchant, route: "capture".to_owned(), key: key.to_owned() };
            let request = Request { scope, fingerprint: Hash::of(key.as_bytes()), actor: "test".to_owned() };
            (Event::CaptureRequested { amount_minor }, request)
        };
        let (part, request) = ask("part", 600);
        let refused = engine.request(id, part, request, &|_| String::new()).await;
        assert!(matches!(refused, Err(EngineError::Illegal { state: State::Authorized, .. })), "{refused:?}");
        let (whole, request) = ask("whole", 1200);
        engine.request(id, whole, request, &|_| String::new()).await.unwrap();
        world.work().await;
        world.finish().await;
    }
}
