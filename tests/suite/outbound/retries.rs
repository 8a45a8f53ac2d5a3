//! What does not arrive is tried again, by the owned clock; and what an endpoint says decides.

use std::time::Duration;

use fincore_tests::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{deliverer, listen, types};

/// Longer than any pause between two tries.
const PAUSE: Duration = Duration::from_hours(6);

async fn log(world: &World, endpoint: &Value) -> Value {
    let id = endpoint["id"].as_str().unwrap();
    let (status, log) = world.get(&format!("/v1/webhook_endpoints/{id}/deliveries")).await;
    assert_eq!(status, StatusCode::OK);
    log["data"].clone()
}

async fn read(world: &World, endpoint: &Value) -> Value {
    world.get(&format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap())).await.1
}

crate::on_each_store! {
    async fn what_fails_is_tried_again_until_it_arrives_and_the_log_tells(world: World) {
        let receiver = Receiver::start().await;
        let endpoint = listen(&world, &receiver).await;
        let deliverer = deliverer(&world);
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        receiver.answer(500);
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        let first = log(&world, &endpoint).await;
        assert_eq!((&first[0]["status"], &first[0]["attempts"]), (&json!("pending"), &json!(1)));
        assert!(read(&world, &endpoint).await["failing_since"].is_string());
        world.clock.skip(Duration::from_secs(5));
        receiver.answer_with(302, vec![("location", "/elsewhere".to_owned())]);
        assert_eq!(deliverer.run_once().await.unwrap(), 1, "the first pause is 5 s at most");
        world.clock.skip(PAUSE);
        receiver.answer(204);
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        world.clock.skip(PAUSE);
        assert_eq!(deliverer.run_once().await.unwrap(), 0, "until it arrives, and no more");
        assert_eq!(receiver.elsewhere(), 0, "redirects are not followed");
        assert_eq!(types(&receiver.received()), ["charge.succeeded"; 3]);
        let received = receiver.received();
        assert!(received.iter().all(|event| event.raw == received[0].raw));

        let delivery = log(&world, &endpoint).await[0].clone();
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(3)));
        let path = format!(
            "/v1/webhook_endpoints/{}/deliveries/{}",
            endpoint["id"].as_str().unwrap(),
            delivery["event"].as_str().unwrap()
        );
        let (_, whole) = world.get(&path).await;
        let attempts: Vec<_> = whole["attempt_log"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect();
        assert_eq!(attempts, [json!(204), json!(302), json!(500)], "the last one first");
        assert_eq!(whole["attempt_log"][2]["response"], "thänks\u{fffd}");
        assert_eq!(whole["last_attempt"], whole["attempt_log"][0]);
        assert_eq!(read(&world, &endpoint).await["failing_since"], Value::Null);
        world.finish().await;
    }

    async fn after_three_days_it_is_given_up_and_can_be_sent_by_hand(world: World) {
        let receiver = Receiver::start().await;
        let endpoint = listen(&world, &receiver).await;
        let deliverer = deliverer(&world);
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        receiver.answer(404);
        let mut tries = 0;
        for _ in 0..13 {
            tries += deliverer.run_once().await.unwrap();
            world.clock.skip(PAUSE);
        }
        let delivery = log(&world, &endpoint).await[0].clone();
        assert_eq!(delivery["status"], "failed", "{delivery}");
        assert_eq!((tries, delivery["next_attempt_at"].is_null()), (13, true));
        world.clock.skip(PAUSE);
        assert_eq!(deliverer.run_once().await.unwrap(), 0);

        receiver.answer(200);
        let (id, event) = (endpoint["id"].as_str().unwrap(), delivery["event"].as_str().unwrap());
        let path = format!("/v1/webhook_endpoints/{id}/deliveries/{event}/resend");
        let (status, asked) = world.post(&path, "again", &json!({})).await;
        assert_eq!((status, &asked["status"]), (StatusCode::ACCEPTED, &json!("pending")));
        assert_eq!(world.post(&path, "again", &json!({})).await.1, asked, "asked twice with one key, sent once");
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        assert_eq!(log(&world, &endpoint).await[0]["status"], "delivered");
        let received = receiver.received();
        assert_eq!(received.last().unwrap().raw, received[0].raw, "the same event under the same name");
        world.finish().await;
    }

    async fn one_that_is_gone_is_disabled_and_gets_what_waited_when_it_is_back(world: World) {
        let receiver = Receiver::start().await;
        let endpoint = listen(&world, &receiver).await;
        let deliverer = deliverer(&world);
        receiver.answer(410);
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        let disabled = read(&world, &endpoint).await;
        assert_eq!((&disabled["status"], &disabled["disabled_reason"]), (&json!("disabled"), &json!("gone")));
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        world.clock.skip(PAUSE);
        assert_eq!(deliverer.run_once().await.unwrap(), 0);
        let path = format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
        let (status, refused) = world.post(&format!("{path}/test"), "test", &json!({})).await;
        assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("webhook_endpoint_disabled")));
        receiver.answer(200);
        let (status, enabled) = world.post(&path, "enable", &json!({"disabled": false})).await;
        assert_eq!((status, &enabled["status"]), (StatusCode::OK, &json!("enabled")));
        assert_eq!(deliverer.run_once().await.unwrap(), 1, "what had been recorded before it was disabled");
        assert_eq!(receiver.received().len(), 2);
        world.finish().await;
    }

    async fn one_to_which_nothing_arrives_for_five_days_is_disabled(world: World) {
        let receiver = Receiver::start().await;
        let endpoint = listen(&world, &receiver).await;
        let deliverer = deliverer(&world);
        receiver.answer(500);
        for hour in (0..6 * 24).step_by(6) {
            world.charge("pm_card_visa", "automatic").await;
            world.work().await;
            deliverer.run_once().await.unwrap();
            let status = read(&world, &endpoint).await["status"].clone();
            assert_eq!(status, if hour < 5 * 24 { "enabled" } else { "disabled" }, "after {hour} h");
            world.clock.skip(PAUSE);
        }
        assert_eq!(read(&world, &endpoint).await["disabled_reason"], "failing");
        world.finish().await;
    }

    async fn a_wish_for_patience_is_heard_by_all_events_of_that_endpoint_and_no_other(world: World) {
        let (busy, other) = (Receiver::start().await, Receiver::start().await);
        listen(&world, &busy).await;
        listen(&world, &other).await;
        let deliverer = deliverer(&world);
        busy.answer_with(429, vec![("retry-after", "1800".to_owned())]);
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        assert_eq!(deliverer.run_once().await.unwrap(), 2);
        busy.answer(200);
        world.clock.skip(Duration::from_secs(1_799));
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        assert_eq!(deliverer.run_once().await.unwrap(), 1);
        assert_eq!((busy.received().len(), other.received().len()), (1, 2));
        world.clock.skip(Duration::from_secs(1));
        assert_eq!(deliverer.run_once().await.unwrap(), 2);
        assert_eq!(busy.received().len(), 3);
        world.finish().await;
    }

    async fn nobody_listening_is_a_failure_in_our_words(world: World) {
        let receiver = Receiver::start().await;
        let endpoint = listen(&world, &receiver).await;
        drop(receiver);
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        assert_eq!(deliverer(&world).run_once().await.unwrap(), 1);
        let attempt = log(&world, &endpoint).await[0]["last_attempt"].clone();
        assert_eq!((&attempt["status"], &attempt["error"]), (&Value::Null, &json!("no connection could be made")));
        world.finish().await;
    }
}
