//! Outbound webhooks, from the move that is an event to the receiver's answer.

mod endpoints;
pub(crate) mod receiver;
mod retries;

use std::sync::Arc;
use std::time::Duration;

use activities::outbound::sender::Sender;
use activities::outbound::{Deliverer, OutboundOptions};
use fincore_tests::books::refund_at_the_psp;
use fincore_tests::world::World;
use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::endpoint_url::Reach;
use workflow::signing::SigningKey;

use receiver::{Received, Receiver};

/// Delivers the events of a world when told, also to this machine.
pub(crate) fn deliverer(world: &World) -> Deliverer {
    let sender = Sender::new(Reach::PublicAndLoopback).unwrap();
    let options =
        OutboundOptions { kept_for: SignedDuration::from_hours(30 * 24), drain_timeout: Duration::from_secs(5) };
    Deliverer::new(Arc::clone(&world.engine), Arc::new(sender), options)
}

/// Creates an endpoint over the API.
pub(crate) async fn endpoint(world: &World, body: Value) -> Value {
    let key = format!("key-{:032x}", rand::random::<u128>());
    let (status, endpoint) = world.post("/v1/webhook_endpoints", &key, &body).await;
    assert_eq!(status, StatusCode::CREATED, "{endpoint}");
    endpoint
}

/// The same for all events at this receiver.
pub(crate) async fn listen(world: &World, receiver: &Receiver) -> Value {
    endpoint(world, json!({"url": receiver.url()})).await
}

fn types(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.body["type"].as_str().unwrap().to_owned()).collect()
}

crate::on_each_store! {
    async fn a_charge_tells_what_became_of_it_as_the_client_sees_it(world: World) {
        let receiver = Receiver::start().await;
        let endpoint = listen(&world, &receiver).await;
        let deliverer = deliverer(&world);
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        let (_, authorized) = world.get(&format!("/v1/charges/{id}")).await;
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        let capture = json!({"amount": 700});
        let (status, _) = world.post(&format!("/v1/charges/{id}/capture"), "capture", &capture).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.work().await;
        let (_, succeeded) = world.get(&format!("/v1/charges/{id}")).await;
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        assert_eq!(deliverer.run_once().await.unwrap(), 0, "once");

        let received = receiver.received();
        assert_eq!(types(&received), ["charge.authorized", "charge.succeeded"]);
        let history = world.store.history(id).await.unwrap();
        for (received, charge) in received.iter().zip([&authorized, &succeeded]) {
            let body = &received.body;
            assert_eq!(body["data"]["object"], *charge, "the view of the API, as of that move");
            assert_eq!(body["object"], "event");
            let row = history.iter().find(|row| json!(row.seq) == body["sequence"]).unwrap();
            assert_eq!((json!(row.fact.at), json!(row.fact.to)), (body["timestamp"].clone(), charge["status"].clone()));
            assert_eq!(received.header("webhook-id"), body["id"].as_str().unwrap());
            assert_eq!(received.header("content-type"), "application/json");
            assert!(received.header("user-agent").starts_with("FinCore/"));
            let key = SigningKey::parse(endpoint["secret"].as_str().unwrap()).unwrap();
            let signed = key.sign(received.header("webhook-id"), received.header("webhook-timestamp"), &received.raw);
            assert_eq!(received.header("webhook-signature"), signed);
            let (status, event) = world.get(&format!("/v1/events/{}", received.header("webhook-id"))).await;
            assert_eq!((status, &event), (StatusCode::OK, body));
        }
        assert!(received[0].body["sequence"].as_i64() < received[1].body["sequence"].as_i64());
        world.finish().await;
    }

    async fn every_ending_and_what_comes_after_it_is_told_by_its_name(world: World) {
        let receiver = Receiver::start().await;
        listen(&world, &receiver).await;
        let deliverer = deliverer(&world);
        // They are sent side by side, so they come in any order.
        let told = async |id: &str| {
            deliverer.run_once().await.unwrap();
            let all = receiver.received().into_iter();
            let mut of_it: Vec<_> = all.filter(|event| event.body["data"]["object"]["id"] == *id).collect();
            of_it.sort_by_key(|event| event.body["sequence"].as_i64());
            of_it
        };
        for (payment_method, capture, expected) in [
            ("pm_card_visa", "automatic", "charge.succeeded"),
            ("pm_card_chargeDeclined", "automatic", "charge.failed"),
            ("pm_card_authenticationRequired", "automatic", "charge.requires_action"),
            ("pm_sandbox_amount_mismatch", "automatic", "charge.in_review"),
        ] {
            let id = world.charge(payment_method, capture).await;
            world.work().await;
            assert_eq!(types(&told(&id.to_string()).await), [expected], "{}", world.ledger(id).await);
        }
        let canceled = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        world.post(&format!("/v1/charges/{canceled}/cancel"), "cancel", &json!({})).await;
        world.work().await;
        assert_eq!(types(&told(&canceled.to_string()).await), ["charge.authorized", "charge.canceled"]);

        let refunded = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let reference = world.payment(refunded).await.psp_reference.unwrap();
        refund_at_the_psp(&world.sandbox, &reference, 500).await;
        for event in world.events(refunded).await {
            world.deliver(&event).await;
        }
        let events = told(&refunded.to_string()).await;
        assert_eq!(types(&events), ["charge.succeeded", "charge.refunded"]);
        let charge = |event: &Received| event.body["data"]["object"].clone();
        assert_eq!([charge(&events[0])["amount_refunded"].clone(), charge(&events[1])["amount_refunded"].clone()], [0, 500]);
        assert_eq!(charge(&events[1])["status"], "succeeded");
    }

    async fn a_doubled_webhook_of_the_psp_is_told_once(world: World) {
        let receiver = Receiver::start().await;
        listen(&world, &receiver).await;
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        for _ in 0..3 {
            for event in world.events(id).await {
                world.deliver(&event).await;
            }
        }
        deliverer(&world).run_once().await.unwrap();
        assert_eq!(types(&receiver.received()), ["charge.succeeded"]);
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        world.finish().await;
    }

    async fn a_filter_is_kept_and_other_merchants_hear_nothing(world: World) {
        let (receiver, stranger) = (Receiver::start().await, Receiver::start().await);
        let filter = json!({"url": receiver.url(), "enabled_events": ["charge.failed"]});
        assert_eq!(endpoint(&world, filter).await["enabled_events"], json!(["charge.failed"]));
        let other = World::over(Arc::clone(&world.store)).await;
        listen(&other, &stranger).await;
        for payment_method in ["pm_card_visa", "pm_card_chargeDeclined"] {
            world.charge(payment_method, "automatic").await;
        }
        world.work().await;
        deliverer(&world).run_once().await.unwrap();
        assert_eq!(types(&receiver.received()), ["charge.failed"]);
        assert_eq!(stranger.received().len(), 0);
        world.finish().await;
    }

    async fn of_many_deliverers_that_race_one_sends_each_event_once(world: World) {
        let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
        for receiver in &receivers {
            listen(&world, receiver).await;
        }
        for _ in 0..12 {
            world.charge("pm_card_visa", "automatic").await;
        }
        world.work().await;
        let racing: Vec<_> = (0..4)
            .map(|_| {
                let deliverer = deliverer(&world);
                tokio::spawn(async move { deliverer.run_once().await.unwrap() })
            })
            .collect();
        let mut attempts = 0;
        for racing in racing {
            attempts += racing.await.unwrap();
        }
        assert_eq!(attempts, 3 * 12);
        for receiver in &receivers {
            let ids: std::collections::HashSet<_> =
                receiver.received().iter().map(|event| event.header("webhook-id").to_owned()).collect();
            assert_eq!((receiver.received().len(), ids.len()), (12, 12));
        }
        world.finish().await;
    }

    async fn what_a_dead_process_was_sending_another_sends_again_under_the_same_id(world: World) {
        let receiver = Receiver::start().await;
        receiver.answer_never();
        listen(&world, &receiver).await;
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let dying = deliverer(&world);
        let dies = tokio::spawn(async move { dying.run_once().await });
        receiver.until(1).await;
        dies.abort();
        receiver.answer(200);
        assert_eq!(deliverer(&world).run_once().await.unwrap(), 0, "somebody else may still be sending");
        world.clock.skip(Duration::from_secs(61));
        assert_eq!(deliverer(&world).run_once().await.unwrap(), 1);
        let received = receiver.received();
        assert_eq!(received.len(), 2);
        assert_eq!((&received[0].raw, received[0].header("webhook-id")), (&received[1].raw, received[1].header("webhook-id")));
        world.finish().await;
    }

    async fn a_receiver_that_hangs_holds_up_no_other(world: World) {
        let (hanging, quick) = (Receiver::start().await, Receiver::start().await);
        hanging.answer_never();
        listen(&world, &hanging).await;
        listen(&world, &quick).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let delivering = tokio::spawn({
            let (deliverer, stop) = (deliverer(&world), stop.clone());
            async move { deliverer.run(stop).await }
        });
        let charges = 40;
        for _ in 0..charges {
            world.charge("pm_card_visa", "automatic").await;
        }
        world.work_until_idle().await;
        // Woken at once by the moves of this process, and done long before the other's time is up.
        quick.until(charges).await;
        assert!(hanging.received().len() <= 16, "no more than its share at a time: {}", hanging.received().len());
        delivering.abort();
        stop.cancel();
        world.finish().await;
    }

    async fn what_is_in_hand_is_finished_when_told_to_stop(world: World) {
        let receiver = Receiver::start().await;
        receiver.answer_after(Duration::from_millis(300));
        let endpoint = listen(&world, &receiver).await;
        let stop = tokio_util::sync::CancellationToken::new();
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let delivering = tokio::spawn({
            let (deliverer, stop) = (deliverer(&world), stop.clone());
            async move { deliverer.run(stop).await }
        });
        receiver.until(1).await;
        stop.cancel();
        delivering.await.unwrap();
        let (_, log) = world.get(&format!("/v1/webhook_endpoints/{}/deliveries", endpoint["id"].as_str().unwrap())).await;
        assert_eq!(log["data"][0]["status"], "delivered", "{log}");
        world.finish().await;
    }
}
