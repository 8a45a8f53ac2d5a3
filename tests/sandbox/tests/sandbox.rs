//! Drives a whole sandbox over HTTP, as the engine's gateway does.
//!
//! Not here: webhooks (`webhooks.rs`).

#![expect(clippy::unwrap_used, reason = "the helpers of a test may stop at the first surprise, too")]

use std::time::Duration;

use reqwest::{Client, StatusCode};
use sandbox::{Authentication, Config, EntryKind, Fault, Operation};
use serde_json::Value;

#[path = "support/merchant.rs"]
mod merchant;

use merchant::{Merchant, charge, path};

#[tokio::test]
async fn a_payment_is_authorized_captured_and_refunded_and_the_ledger_shows_each_once() {
    let merchant = Merchant::new(Config::default()).await;
    let (status, intent) = merchant.pay("k1", "pm_card_visa").await;
    assert_eq!((status, &intent["status"]), (200, &"requires_capture".into()));
    assert_eq!(intent["amount_capturable"], 1000);
    assert_eq!(intent["metadata"]["fincore_payment"], "ch_1");

    let (_, captured) = merchant.call(&path(&intent, "/capture"), "k2", &[("amount_to_capture", "900")]).await;
    assert_eq!((&captured["status"], &captured["amount_received"]), (&"succeeded".into(), &900.into()));
    let (status, again) = merchant.call(&path(&intent, "/capture"), "k3", &[]).await;
    assert_eq!((status, &again["error"]["code"]), (400, &"payment_intent_unexpected_state".into()));
    assert_eq!(again["error"]["payment_intent"]["status"], "succeeded");

    let id = intent["id"].as_str().unwrap();
    let (_, refund) = merchant.call("/v1/refunds", "k4", &[("payment_intent", id), ("amount", "300")]).await;
    assert_eq!((&refund["status"], &refund["amount"]), (&"succeeded".into(), &300.into()));
    let path = format!("/v1/refunds/{}", refund["id"].as_str().unwrap());
    assert_eq!(merchant.get(&path).await, refund);
    let (status, _) = merchant.call("/v1/refunds", "k5", &[("payment_intent", id), ("amount", "601")]).await;
    assert_eq!(status, 400);

    let expected = [(EntryKind::Authorized, 1000), (EntryKind::Captured, 900), (EntryKind::Refunded, 300)];
    assert_eq!(merchant.ledger(), expected);
    assert_eq!(merchant.sandbox.ledger()[0].reference.as_deref(), Some("ch_1"));
    assert_eq!(merchant.sandbox.requests().capture, 2);
}

#[tokio::test]
async fn a_declined_payment_takes_another_card_and_a_cancellation_voids() {
    let merchant = Merchant::new(Config::default()).await;
    let (status, answer) = merchant.pay("k1", "pm_card_chargeDeclinedInsufficientFunds").await;
    let error = &answer["error"];
    assert_eq!((status, &error["type"], &error["code"]), (402, &"card_error".into(), &"card_declined".into()));
    assert_eq!(error["decline_code"], "insufficient_funds");
    let intent = &error["payment_intent"];
    assert_eq!(intent["status"], "requires_payment_method");
    assert!(merchant.ledger().is_empty());

    let (status, _) = merchant.call(&path(intent, "/confirm"), "k2", &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(status, 200);
    let (_, canceled) =
        merchant.call(&path(intent, "/cancel"), "k3", &[("cancellation_reason", "requested_by_customer")]).await;
    assert_eq!((&canceled["status"], &canceled["amount_capturable"]), (&"canceled".into(), &0.into()));
    assert_eq!(merchant.ledger(), [(EntryKind::Authorized, 1000), (EntryKind::Voided, 1000)]);
}

#[tokio::test]
async fn a_payer_authenticates_on_the_page_and_a_slow_card_answers_later() {
    let config = Config { processing_delay: Duration::from_secs(3600), ..Config::default() };
    let merchant = Merchant::new(config).await;
    let (_, intent) = merchant.pay("k1", "pm_card_authenticationRequired").await;
    assert_eq!(intent["status"], "requires_action");
    let page = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    let shown = merchant.client.get(page).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("outcome"), "{shown}");
    let done = merchant.client.post(page).body("outcome=complete").send().await.unwrap();
    assert_eq!(done.status(), StatusCode::OK);
    assert_eq!(merchant.get(&path(&intent, "")).await["status"], "requires_capture");

    let (_, failing) = merchant.pay("k2", "pm_card_authenticationRequired").await;
    merchant.sandbox.authenticate(failing["id"].as_str().unwrap(), Authentication::Fail);
    let failed = merchant.get(&path(&failing, "")).await;
    assert_eq!(failed["last_payment_error"]["code"], "payment_intent_authentication_failure");

    let (_, slow) = merchant.pay("k3", "pm_sandbox_processing").await;
    let (_, refused) = merchant.pay("k4", "pm_sandbox_processing_declined").await;
    assert_eq!((&slow["status"], &refused["status"]), (&"processing".into(), &"processing".into()));
    assert_eq!(merchant.sandbox.settle_processing(), 2);
    assert_eq!(merchant.get(&path(&slow, "")).await["status"], "requires_capture");
    assert_eq!(merchant.get(&path(&refused, "")).await["status"], "requires_payment_method");
    assert_eq!(merchant.ledger(), [(EntryKind::Authorized, 1000); 2]);
}

#[tokio::test]
async fn a_repeated_key_replays_its_first_answer_and_is_bound_to_its_request() {
    let merchant = Merchant::new(Config::default()).await;
    let first = merchant.post("/v1/payment_intents", "k1", &charge("pm_card_visa")).await.unwrap();
    assert!(!first.headers().contains_key("idempotent-replayed"));
    assert!(first.headers()["request-id"].to_str().unwrap().starts_with("req_"));
    let second = merchant.post("/v1/payment_intents", "k1", &charge("pm_card_visa")).await.unwrap();
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(first.bytes().await.unwrap(), second.bytes().await.unwrap());

    let (status, other) = merchant.pay("k1", "pm_card_chargeDeclined").await;
    assert_eq!((status, &other["error"]["type"]), (400, &"idempotency_error".into()));
    let (status, _) = merchant.pay(&"k".repeat(256), "pm_card_visa").await;
    assert_eq!(status, 400);

    let (status, answer) = merchant.pay("k2", "pm_sandbox_error_500_then_ok").await;
    assert_eq!((status, &answer["error"]["type"]), (500, &"api_error".into()));
    assert_eq!(merchant.pay("k2", "pm_sandbox_error_500_then_ok").await.0, 500);
    assert_eq!(merchant.pay("k3", "pm_sandbox_error_500_then_ok").await.0, 200);

    let codes = [
        merchant.pay("k4", "pm_sandbox_throttled_twice").await.0,
        merchant.pay("k4", "pm_sandbox_throttled_twice").await.0,
        merchant.pay("k4", "pm_sandbox_throttled_twice").await.0,
    ];
    assert_eq!(codes, [429, 429, 200]);
    assert_eq!(merchant.ledger(), [(EntryKind::Authorized, 1000); 3]);
}

#[tokio::test]
async fn a_key_in_flight_answers_409_and_the_effect_happens_though_the_client_gave_up() {
    let merchant = Merchant::new(Config::default()).await;
    merchant.sandbox.fail_next(Operation::Confirm, Fault::Delayed(Duration::from_millis(200)), 1);
    let form = charge("pm_card_visa");
    let abandoned = merchant.post("/v1/payment_intents", "k1", &form);
    assert!(tokio::time::timeout(Duration::from_millis(80), abandoned).await.is_err());
    let (status, answer) = merchant.pay("k1", "pm_card_visa").await;
    assert_eq!((status, &answer["error"]["code"]), (409, &"idempotency_key_in_use".into()));
    while merchant.pay("k1", "pm_card_visa").await.0 == 409 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(merchant.ledger(), [(EntryKind::Authorized, 1000)]);
}

#[tokio::test]
async fn an_answer_lost_in_any_way_has_one_effect_and_its_key_brings_it_back() {
    let merchant = Merchant::new(Config::default()).await;
    let client = Client::builder().no_proxy().timeout(Duration::from_millis(300)).build().unwrap();
    let merchant = Merchant { client, ..merchant };
    let methods = [
        ("pm_sandbox_answer_lost", false),
        ("pm_sandbox_timeout_after_charge", false),
        ("pm_sandbox_half_body", true),
        ("pm_sandbox_garbage", true),
        ("pm_sandbox_slow_drip", true),
    ];
    for (count, (method, head_arrives)) in methods.into_iter().enumerate() {
        let response = merchant.post("/v1/payment_intents", method, &charge(method)).await;
        assert_eq!(response.is_ok(), head_arrives, "{method}");
        let lost = match response {
            Ok(response) => response.json::<Value>().await,
            Err(error) => Err(error),
        };
        assert!(lost.is_err(), "{method}");
        assert_eq!(merchant.ledger().len(), count + 1, "{method}");
        let (status, intent) = merchant.pay(method, method).await;
        assert_eq!((status, &intent["status"]), (200, &"requires_capture".into()), "{method}");
        assert_eq!(merchant.ledger().len(), count + 1, "{method}");
    }
    assert!(merchant.post("/v1/payment_intents", "k1", &charge("pm_sandbox_drop_before")).await.is_err());
    assert_eq!(merchant.ledger().len(), methods.len());
    assert_eq!(merchant.pay("k1", "pm_sandbox_drop_before").await.0, 200);
    assert_eq!(merchant.pay("k2", "pm_sandbox_error_500_after_effect").await.0, 500);
    assert_eq!(merchant.ledger().len(), methods.len() + 2);

    let (_, intent) = merchant.pay("k3", "pm_sandbox_capture_declined").await;
    assert_eq!(merchant.call(&path(&intent, "/capture"), "k4", &[]).await.0, 402);
    merchant.sandbox.set_down(true);
    assert!(merchant.post("/v1/payment_intents", "k5", &charge("pm_card_visa")).await.is_err());
    merchant.sandbox.set_down(false);
    assert_eq!(merchant.pay("k5", "pm_card_visa").await.0, 200);
}

#[tokio::test]
async fn what_stripe_refuses_before_the_idempotency_layer_is_refused_and_not_stored() {
    let merchant = Merchant::new(Config::default()).await;
    let mut form = charge("pm_card_visa");
    form.push(("amout", "1"));
    let (status, answer) = merchant.call("/v1/payment_intents", "k1", &form).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &"parameter_unknown".into()));
    assert_eq!(answer["error"]["param"], "amout");
    assert_eq!(merchant.pay("k1", "pm_card_visa").await.0, 200);

    let (status, answer) = merchant.pay("k2", "pm_nobody").await;
    assert_eq!((status, &answer["error"]["param"]), (400, &"payment_method".into()));
    let (status, answer) = merchant.call("/v1/payment_intents/pi_0/capture", "k3", &[]).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &"resource_missing".into()));
    let url = format!("{}/v1/refunds/re_0", merchant.sandbox.url());
    assert_eq!(merchant.client.get(url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let wrong = merchant.get("/v1/charges").await;
    assert_eq!(wrong["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn a_journal_brings_everything_back_but_a_torn_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.jsonl");
    let config = Config { journal: Some(file.clone()), ..Config::default() };
    let merchant = Merchant::new(config.clone()).await;
    let (_, intent) = merchant.pay("k1", "pm_sandbox_throttled_twice").await;
    assert!(intent["error"].is_object());
    let (_, intent) = merchant.pay("k2", "pm_card_visa").await;
    merchant.sandbox.stop().await;
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("{\"intent\":{\"id\":");
    std::fs::write(&file, text).unwrap();

    let merchant = Merchant::new(config.clone()).await;
    assert_eq!(merchant.pay("k2", "pm_card_visa").await, (200, intent.clone()));
    assert_eq!(merchant.pay("k1", "pm_sandbox_throttled_twice").await.0, 429);
    assert_eq!(merchant.pay("k1", "pm_sandbox_throttled_twice").await.0, 200);
    merchant.call(&path(&intent, "/capture"), "k3", &[]).await;
    let ledger = merchant.ledger();
    assert_eq!(ledger.len(), 3);
    merchant.sandbox.stop().await;

    let merchant = Merchant::new(config).await;
    assert_eq!(merchant.ledger(), ledger);
    assert_eq!(merchant.get("/sandbox/ledger").await.as_array().unwrap().len(), 3);
    assert_eq!(merchant.get(&path(&intent, "")).await["status"], "succeeded");
}
