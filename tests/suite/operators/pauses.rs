//! A paused PSP account: nothing is sent there, by no process, and nothing is lost by it.

use std::sync::Arc;
use std::time::Duration;

use fincore_tests::build;
use fincore_tests::crash::{Crash, CrashStore};
use fincore_tests::world::{OTHER_PSP, World};
use workflow::definition::State;
use workflow::engine::operator::Performed;
use workflow::port::audit::{AuditAct, AuditFilter, AuditOutcome};
use workflow::port::store::Store;

crate::on_each_store! {
    async fn nothing_is_sent_to_a_paused_psp_and_all_goes_on_when_it_is_resumed(world: World) {
        let waits = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        paused(&world, "sandbox").await;
        let calls = world.sandbox.requests();
        let fresh = world.charge("pm_card_visa", "automatic").await;
        let fallback = world.charge_with_fallback("pm_card_visa", "pm_card_visa").await;
        for _ in 0..5 {
            world.clock.skip(Duration::from_mins(31));
            world.work().await;
        }
        assert_eq!(world.sandbox.requests(), calls, "nothing is sent");
        let due = world.payment(fresh).await;
        assert_eq!((due.state, due.attempt, due.claims, due.next_wake_at), (State::Created, 0, 0, Some(due.created_at)), "not counted, still due");
        assert_eq!(world.payment(fallback).await.psp, "sandbox", "a pause is no reason to go elsewhere");
        assert_eq!(world.payment(waits).await.state, State::Reconciling, "deadlines pass all the same");
        let told = world.engine.explain(fresh).await.unwrap();
        assert!(told.waits_for.contains("ada paused sandbox"), "{}", told.waits_for);
        assert_eq!(told.pause.map(|pause| pause.psp).as_deref(), Some("sandbox"));

        assert!(matches!(world.engine.resume_psp("sandbox", &build::by("grace")).await.unwrap(), Performed::Done(_)));
        world.sandbox.settle_processing();
        world.work().await;
        for id in [waits, fresh, fallback] {
            assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        }
        world.finish().await;
    }

    async fn every_process_honours_a_pause_within_a_second(world: World) {
        let other = world.again(Arc::clone(&world.store)).await;
        // It has looked a moment ago, and found nothing paused.
        let id = world.charge("pm_card_visa", "automatic").await;
        other.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        paused(&world, "sandbox").await;
        world.clock.skip(Duration::from_secs(1));
        let id = world.charge("pm_card_visa", "automatic").await;
        other.work().await;
        assert_eq!(world.payment(id).await.state, State::Created);
        world.engine.resume_psp("sandbox", &build::by("ada")).await.unwrap();
        world.clock.skip(Duration::from_secs(1));
        other.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        world.finish().await;
    }

    async fn a_call_under_way_ends_and_what_follows_waits(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let claimed = world.engine.wake(workflow::port::queue::Wake::of(id, 1), "slow").await.unwrap();
        let workflow::engine::worker::Claimed::Work(lease) = claimed else { panic!("it was due") };
        paused(&world, "sandbox").await;
        let answer = world.call(workflow::port::gateway::Operation::Register, &lease.payment, &lease.key).await;
        let event = workflow::event::Event::of(&lease.payment, answer);
        let reported = world.engine.report(*lease, event, None, workflow::engine::worker::Then::GoOn).await.unwrap();
        assert!(matches!(reported, workflow::engine::worker::Reported::GoOn(_)), "its own lease holds: {reported:?}");
        // It dies before it goes on. That is found out, and the PSP is asked when it may be.
        world.clock.skip(fincore_tests::world::LEASE);
        world.work().await;
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.is_leased()), (State::Reconciling, false), "{}", world.ledger(id).await);
        world.engine.resume_psp("sandbox", &build::by("ada")).await.unwrap();
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        world.finish().await;
    }

    async fn a_pause_is_in_the_audit_log_and_made_once_even_by_who_dies(world: World) {
        for crash in [Crash::BeforeWrite, Crash::AfterWrite] {
            let store = CrashStore::new(Arc::clone(&world.store), crash, 1);
            let dying = world.again(Arc::clone(&store) as Arc<dyn Store>).await;
            let ada = build::by("ada");
            tokio::select! {
                _ = dying.engine.pause_psp(OTHER_PSP, &ada) => panic!("it died"),
                () = store.died.cancelled() => {}
            }
            let again = world.engine.pause_psp(OTHER_PSP, &build::by("grace")).await.unwrap();
            assert_eq!(matches!(again, Performed::Done(_)), crash == Crash::BeforeWrite);
            assert_eq!(world.store.pauses().await.unwrap().len(), 1);
            world.engine.resume_psp(OTHER_PSP, &build::by("grace")).await.unwrap();
            let again = world.engine.resume_psp(OTHER_PSP, &build::by("grace")).await.unwrap();
            assert!(matches!(again, Performed::Refused(refusal) if refusal.why == "it is not paused"));
        }
        let mut entries = world.store.entries(&AuditFilter::default(), None, 100).await.unwrap();
        entries.retain(|entry| entry.subject.as_deref() == Some(OTHER_PSP));
        let done = |act| entries.iter().filter(|entry| entry.act == act && entry.outcome == AuditOutcome::Done).count();
        assert_eq!((done(AuditAct::PausePsp), done(AuditAct::ResumePsp), entries.len()), (2, 2, 7));
        world.finish().await;
    }
}

async fn paused(world: &World, psp: &str) {
    let performed = world.engine.pause_psp(psp, &build::by("ada")).await.unwrap();
    assert!(matches!(performed, Performed::Done(_)), "{performed:?}");
}
