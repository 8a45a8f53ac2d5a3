//! Webhooks doubled, early, late, out of order, forged, and for payments nobody knows.

use std::collections::HashSet;
use std::time::Duration;

use fincore_tests::books::refund_at_the_psp;
use fincore_tests::world::{LEASE, WEBHOOK_SECRET, World};
use reqwest::StatusCode;
use sandbox::EventRecord;
use serde_json::json;
use workflow::definition::State;
use workflow::engine::worker::{Claimed, Reported, Then};
use workflow::event::{Event, Unknown};
use workflow::history::Hash;
use workflow::port::clock::Clock;
use workflow::port::queue::Wake;
use workflow::port::store::WebhookOutcome;

async fn event(world: &World, id: workflow::ids::PaymentId, kind: &str) -> EventRecord {
    world.events(id).await.into_iter().find(|event| event.kind == kind).expect("the sandbox recorded it")
}

crate::on_each_store! {
    async fn a_doubled_webhook_moves_the_payment_once(world: World) {
        let id = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        world.sandbox.settle_processing();
        let authorized = event(&world, id, "payment_intent.amount_capturable_updated").await;
        let all = futures_util::future::join_all((0..20).map(|_| world.deliver(&authorized))).await;
        assert!(all.iter().all(|status| *status == StatusCode::OK), "{all:?}");
        world.work().await;
        assert_eq!(world.deliver(&authorized).await, StatusCode::OK);
        let ledger = world.ledger(id).await;
        assert_eq!(ledger.matches("psp      authorized").count(), 1, "{ledger}");
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        world.finish().await;
    }

    async fn a_webhook_before_our_own_response_wins_and_the_response_is_stale(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        let wake = Wake::of(id, 1);
        let Claimed::Work(lease) = world.engine.wake(wake, "slow").await.unwrap() else { panic!("it was due") };
        // The call has been made, and the PSP's webhook overtakes its answer.
        let other = world.charge("pm_card_visa", "manual").await;
        world.sandbox.fail_next(sandbox::Operation::Create, sandbox::Fault::DropBefore, 0);
        world.work().await;
        let captured = event(&world, other, "payment_intent.amount_capturable_updated").await;
        let body = String::from_utf8(captured.body.to_vec()).unwrap().replace(&other.to_string(), &id.to_string());
        let body = body.replace(&captured.id, "evt_early");
        let signature = sandbox::sign(WEBHOOK_SECRET, world.clock.now().as_second(), body.as_bytes());
        assert_eq!(world.deliver_signed(body.into_bytes(), &signature).await, StatusCode::OK);
        assert_eq!(world.payment(id).await.state, State::Finalizing);
        let late = Event::Unknown { why: Unknown::Timeout, detail: "late".to_owned() };
        assert_eq!(world.engine.report(*lease, late, None, Then::GoOn).await.unwrap(), Reported::Late);
        assert_eq!(world.payment(id).await.state, State::Finalizing, "a late answer undoes nothing");
    }

    async fn a_refund_told_to_have_failed_before_it_is_told_at_all_does_not_count(world: World) {
        for reversed in [false, true] {
            let id = world.charge("pm_card_refundFail", "automatic").await;
            world.work().await;
            let before: HashSet<_> = world.events(id).await.into_iter().map(|event| event.id).collect();
            let reference = world.payment(id).await.psp_reference.unwrap();
            refund_at_the_psp(&world.sandbox, &reference, 300).await;
            world.sandbox.settle();
            let mut news: Vec<_> = world.events(id).await.into_iter().filter(|event| !before.contains(&event.id)).collect();
            assert!(news.iter().any(|event| event.kind == "refund.failed"), "{news:?}");
            if reversed {
                news.reverse();
            }
            for event in news.iter().chain(&news) {
                assert_eq!(world.deliver(event).await, StatusCode::OK);
            }
            assert_eq!(world.payment(id).await.amount_refunded_minor, 0, "{}", world.ledger(id).await);
        }
        world.finish().await;
    }

    async fn webhooks_out_of_order_end_the_same(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let mut events = world.events(id).await;
        events.reverse();
        for event in &events {
            assert_eq!(world.deliver(event).await, StatusCode::OK);
        }
        let ledger = world.ledger(id).await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{ledger}");
        assert_eq!(ledger.matches("(stale)").count(), events.len(), "all of it was old news:\n{ledger}");
        world.finish().await;
    }

    async fn late_news_of_money_we_knew_of_leaves_a_canceled_charge_alone(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        world.post(&format!("/v1/charges/{id}/cancel"), "c", &json!({})).await;
        world.work().await;
        let authorized = event(&world, id, "payment_intent.amount_capturable_updated").await;
        assert_eq!(world.deliver(&authorized).await, StatusCode::OK);
        assert_eq!(world.payment(id).await.state, State::Canceled);
        world.finish().await;
    }

    async fn a_success_after_the_end_is_undone(world: World) {
        // The void's answer is lost for a payment that needs action; an operator's PSP-side approval comes later.
        let id = world.charge("pm_card_chargeDeclined", "automatic").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Failed);
        let reference = world.payment(id).await.psp_reference.unwrap();
        let other = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        let template = event(&world, other, "payment_intent.amount_capturable_updated").await;
        let theirs = world.payment(other).await.psp_reference.unwrap();
        let body = String::from_utf8(template.body.to_vec()).unwrap();
        let body = body.replace(&other.to_string(), &id.to_string()).replace(&theirs, &reference).replace(&template.id, "evt_late");
        let signature = sandbox::sign(WEBHOOK_SECRET, world.clock.now().as_second(), body.as_bytes());
        assert_eq!(world.deliver_signed(body.into_bytes(), &signature).await, StatusCode::OK);
        assert_eq!(world.payment(id).await.state, State::Canceling);
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Canceled, "{}", world.ledger(id).await);
        world.work().await;
        world.finish().await;
    }

    async fn a_forged_or_stale_webhook_is_refused_and_nothing_is_stored(world: World) {
        let id = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        world.sandbox.settle_processing();
        let news = event(&world, id, "payment_intent.amount_capturable_updated").await;
        let before = world.ledger(id).await;
        let now = world.clock.now().as_second();
        let good = sandbox::sign(WEBHOOK_SECRET, now, &news.body);
        let mut altered = news.body.to_vec();
        altered.push(b' ');
        for (body, signature) in [
            (news.body.to_vec(), sandbox::sign("whsec_ffffffffffffffffffffffffffffffff", now, &news.body)),
            (news.body.to_vec(), sandbox::sign(WEBHOOK_SECRET, now - 301, &news.body)),
            (news.body.to_vec(), sandbox::sign(WEBHOOK_SECRET, now + 301, &news.body)),
            (news.body.to_vec(), "t=1,v1=00".to_owned()),
            (news.body.to_vec(), String::new()),
            (news.body.to_vec(), good.replace("v1=", "v0=")),
            (altered, good),
        ] {
            assert_eq!(world.deliver_signed(body, &signature).await, StatusCode::BAD_REQUEST, "{signature}");
        }
        assert_eq!(world.ledger(id).await, before);
        assert!(world.store.webhook("sandbox", &news.id).await.unwrap().is_none());
        assert_eq!(world.deliver(&news).await, StatusCode::OK);
        world.work().await;
        world.finish().await;
    }

    async fn hostile_bodies_are_refused_and_nothing_is_kept(world: World) {
        let now = world.clock.now().as_second();
        let deep = "[".repeat(100_000);
        // Ten megabytes of zeros, compressed: nobody unpacks it, so it is a body like any other.
        let bomb = include_bytes!("webhooks/bomb.gz").to_vec();
        let huge = vec![b' '; 256 * 1024 + 1];
        let forged = |body: &[u8]| sandbox::sign("whsec_ffffffffffffffffffffffffffffffff", now, body);
        for (body, status) in [
            (deep.clone().into_bytes(), StatusCode::BAD_REQUEST),
            (bomb.clone(), StatusCode::BAD_REQUEST),
            (huge, StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let signature = forged(&body);
            assert_eq!(world.deliver_signed(body, &signature).await, status);
        }
        // Even the PSP itself cannot make us unpack or follow it: it is kept as something nobody can read.
        for body in [deep.into_bytes(), bomb] {
            let signature = sandbox::sign(WEBHOOK_SECRET, now, &body);
            let name = format!("unreadable-{}", Hash::of(&body));
            assert!(world.store.webhook("sandbox", &name).await.unwrap().is_none());
            assert_eq!(world.deliver_signed(body, &signature).await, StatusCode::OK);
            let kept = world.store.webhook("sandbox", &name).await.unwrap().unwrap();
            assert_eq!(kept.outcome, WebhookOutcome::Unreadable);
        }
        world.finish().await;
    }

    async fn an_authentic_webhook_that_cannot_be_read_is_kept_for_a_person(world: World) {
        let body = br#"{"from":"a version that is not known yet"}"#;
        let signature = sandbox::sign(WEBHOOK_SECRET, world.clock.now().as_second(), body);
        for _ in 0..2 {
            assert_eq!(world.deliver_signed(body.to_vec(), &signature).await, StatusCode::OK);
        }
        let kept = world.store.webhook("sandbox", &format!("unreadable-{}", Hash::of(body))).await.unwrap().unwrap();
        assert_eq!((kept.outcome, kept.body.as_slice()), (WebhookOutcome::Unreadable, body.as_slice()));
        world.finish().await;
    }

    async fn a_webhook_with_the_psps_name_alone_finds_its_payment_and_no_other(world: World) {
        let id = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        world.sandbox.settle_processing();
        let news = event(&world, id, "payment_intent.amount_capturable_updated").await;
        let before = world.ledger(id).await;
        let body = String::from_utf8(news.body.to_vec()).unwrap().replace("fincore_payment", "taken_away");
        let now = world.clock.now().as_second();
        let sign = |body: &str| sandbox::sign(WEBHOOK_SECRET, now, body.as_bytes());
        // Another program's payment, on the same PSP account.
        let foreign = body.replace(&news.payment_intent, "pi_of_another_program").replace(&news.id, "evt_foreign");
        let signature = sign(&foreign);
        assert_eq!(world.deliver_signed(foreign.into_bytes(), &signature).await, StatusCode::OK);
        assert_eq!(world.ledger(id).await, before);
        let kept = world.store.webhook("sandbox", "evt_foreign").await.unwrap().unwrap();
        assert_eq!((kept.outcome, kept.payment_id), (WebhookOutcome::Ignored, None));
        let signature = sign(&body);
        assert_eq!(world.deliver_signed(body.into_bytes(), &signature).await, StatusCode::OK);
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        world.finish().await;
    }

    async fn a_webhook_for_a_payment_nobody_knows_is_kept_and_matched_later(world: World) {
        let id = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        world.sandbox.settle_processing();
        let news = event(&world, id, "payment_intent.amount_capturable_updated").await;
        // Another installation's payment: the same PSP account sends us its webhooks, too.
        let foreign = "ch_00000000000070008000000000000002";
        let body = String::from_utf8(news.body.to_vec()).unwrap();
        let body = body.replace(&id.to_string(), foreign).replace(&news.id, "evt_foreign");
        let signature = sandbox::sign(WEBHOOK_SECRET, world.clock.now().as_second(), body.as_bytes());
        assert_eq!(world.deliver_signed(body.into_bytes(), &signature).await, StatusCode::OK);
        let kept = world.store.unmatched_webhooks(world.clock.now() - Duration::from_hours(1), 10).await.unwrap();
        assert_eq!(kept.len(), 1);
        world.work().await;
        let kept = world.store.unmatched_webhooks(world.clock.now() - Duration::from_hours(1), 10).await.unwrap();
        assert_eq!(kept.len(), 1, "it still fits nobody");
        world.clock.skip(LEASE);
        assert_eq!(world.deliver(&news).await, StatusCode::OK);
        world.work().await;
        world.finish().await;
    }
}
