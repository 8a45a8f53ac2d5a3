//! Scenarios are played in order, effects are counted, keys are honoured, strangers are named.

use serde_json::json;
use testkit::{MockPsp, assert_ledger};

use super::{Client, http, stripe};

#[tokio::test]
async fn what_nobody_said_anything_about_is_approved_and_counted() {
    let (psp, client) = stripe().await;
    let id = client.register("ch_1").await;
    assert_eq!(client.status(&id).await, "requires_confirmation");
    client.confirm(&id, "a").await.unwrap();
    client.capture(&id, "b").await.unwrap();
    let form = [("payment_intent", id.as_str()), ("amount", "200")];
    let (_, refund) = client.post("/v1/refunds", "c", &form).await.unwrap();
    assert_eq!((refund["object"].as_str(), refund["amount"].as_i64()), (Some("refund"), Some(200)));
    let other = client.register("ch_2").await;
    client.confirm(&other, "d").await.unwrap();
    client.post(&format!("/v1/payment_intents/{other}/cancel"), "e", &[]).await.unwrap();
    assert_ledger(
        &psp.effects().to_string(),
        "authorized 12.00 EUR
         captured   12.00 EUR
         refunded   2.00 EUR
         authorized 12.00 EUR
         voided     12.00 EUR",
    );
    assert_eq!(psp.effects().of("ch_2").voided(), 1);
    assert_eq!(psp.effects().of(&id).refunded(), 1);
    assert_eq!(psp.account("ch_1").unwrap().refunded_minor, 200);
}

#[tokio::test]
async fn steps_are_played_in_order_by_new_calls_of_their_operation() {
    let (psp, client) = stripe().await;
    psp.authorize().declines("insufficient_funds").then().answers_500().times(2).then().requires_action();
    let id = client.register("ch_1").await;
    let (status, error) = client.confirm(&id, "a").await.unwrap();
    assert_eq!((status, error["error"]["decline_code"].as_str()), (402, Some("insufficient_funds")));
    assert_eq!(client.status(&id).await, "requires_payment_method");
    assert_eq!(client.confirm(&id, "b").await.unwrap().0, 500);
    assert_eq!(client.confirm(&id, "c").await.unwrap().0, 500);
    let (_, intent) = client.confirm(&id, "d").await.unwrap();
    assert_eq!(intent["status"], "requires_action");
    assert_eq!(psp.effects().authorized(), 0);
    psp.customer_authenticates("ch_1");
    assert_eq!(client.status(&id).await, "requires_capture");
    assert_eq!(psp.effects().authorized(), 1);
}

#[tokio::test]
async fn a_card_has_a_scenario_of_its_own() {
    let (psp, client) = stripe().await;
    psp.card("pm_broke").authorize().declines_hard().always();
    psp.authorize().stays_pending();
    let form = [("amount", "5"), ("currency", "eur"), ("payment_method", "pm_broke")];
    let (_, intent) = client.post("/v1/payment_intents", "r", &form).await.unwrap();
    let broke = intent["id"].as_str().unwrap();
    for key in ["a", "b"] {
        assert_eq!(client.confirm(broke, key).await.unwrap().0, 402);
    }
    let id = client.register("ch_1").await;
    assert_eq!(client.confirm(&id, "c").await.unwrap().1["status"], "processing");
    psp.settles("ch_1");
    assert_eq!(client.status(&id).await, "requires_capture");
}

#[tokio::test]
async fn a_known_key_gets_the_stored_answer_and_no_second_effect() {
    let (psp, client) = stripe().await;
    let id = client.register("ch_1").await;
    let first = client.confirm(&id, "key").await;
    psp.authorize().declines_softly();
    assert_eq!(client.confirm(&id, "key").await, first, "the same key, the same answer");
    assert_eq!(psp.effects().authorized(), 1);
    let (status, error) = client.capture(&id, "key").await.unwrap();
    assert_eq!((status, error["error"]["type"].as_str()), (400, Some("idempotency_error")));
    assert!(psp.complaints().contains("authorize declines (insufficient_funds)"), "a repetition plays no step");
}

#[tokio::test]
async fn without_a_key_every_call_is_a_new_one() {
    let (psp, _) = stripe().await;
    let client = Client::of(&psp.url());
    let form = [("amount", "5"), ("currency", "eur")];
    for _ in 0..2 {
        client.post("/v1/payment_intents", "", &form).await.unwrap();
    }
    psp.forgets_idempotency_keys();
    assert_eq!(psp.calls().len(), 2);
    assert!(psp.calls().iter().all(|asked| asked.key.is_none()));
}

#[tokio::test]
async fn what_the_books_do_not_allow_is_refused_with_how_the_payment_stands() {
    let (psp, client) = stripe().await;
    let id = client.register("ch_1").await;
    let (status, error) = client.capture(&id, "early").await.unwrap();
    assert_eq!((status, error["error"]["payment_intent"]["status"].as_str()), (400, Some("requires_confirmation")));
    client.confirm(&id, "a").await.unwrap();
    let much = [("amount_to_capture", "1201")];
    let too_much = client.post(&format!("/v1/payment_intents/{id}/capture"), "much", &much).await.unwrap();
    assert_eq!(too_much.0, 400);
    assert_eq!(client.confirm("pi_nobody", "b").await.unwrap().0, 404);
    assert_ledger(&psp.effects().to_string(), "authorized 12.00 EUR");
}

#[tokio::test]
async fn another_amount_than_asked_for_is_what_the_books_say_too() {
    let (psp, client) = stripe().await;
    psp.authorize().approves_instead(1_199);
    let id = client.register("ch_1").await;
    assert_eq!(client.confirm(&id, "a").await.unwrap().1["amount_capturable"], 1_199);
    assert_ledger(&psp.effects().to_string(), "authorized 11.99 EUR");
}

#[tokio::test]
async fn a_request_that_is_none_of_the_psps_is_named_with_what_would_be() {
    let (psp, client) = stripe().await;
    let (status, _) = client.post("/v1/charges", "k", &[("amount", "1200")]).await.unwrap();
    assert_eq!(status, 501);
    let http = http();
    http.post(format!("{}/v1/payment_intents", psp.url())).send().await.unwrap();
    let complaints = psp.complaints();
    for expected in [
        "These requests are none that stripe understands:\n\nPOST /v1/charges\n",
        "  authorization: (a secret)\n",
        "  amount=1200\n  → Stripe has no such route\n",
        "  → it carries no credentials: the header authorization is missing\n",
        "What it understands:\n  register  POST /v1/payment_intents\n",
    ] {
        assert!(complaints.contains(expected), "{expected}\nis not in\n{complaints}");
    }
    assert!(!complaints.contains("sk_test"), "{complaints}");
}

#[tokio::test]
async fn a_scenario_that_is_not_played_fails_the_test() {
    let psp = MockPsp::stripe().await;
    psp.capture().approves().but_hangs_up().times(2);
    let complaints = psp.complaints();
    assert!(complaints.contains("  capture approves and hangs up, 2 times\nCalls that came: none\n"), "{complaints}");
    psp.void().rejects("why");
    let failed = tokio::spawn(async move { drop(psp) }).await.unwrap_err();
    let message = *failed.into_panic().downcast::<String>().unwrap();
    assert!(message.contains("never came:\n  void is rejected (why)"), "{message}");
}

#[tokio::test]
async fn a_mock_of_the_tests_own_comes_first() {
    let (psp, client) = stripe().await;
    let teapot = wiremock::ResponseTemplate::new(418);
    wiremock::Mock::given(wiremock::matchers::path("/v1/refunds")).respond_with(teapot).mount(psp.server()).await;
    assert_eq!(client.post("/v1/refunds", "k", &[]).await, Ok((418, json!(null))));
    assert!(psp.calls().is_empty());
}

#[tokio::test]
async fn sentences_without_a_meaning_are_refused_where_they_stand() {
    let psp = MockPsp::stripe().await;
    let said = |sentence: &dyn Fn()| {
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(sentence)).unwrap_err();
        failed
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| failed.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap()
    };
    assert!(said(&|| drop(psp.inquire().declines_softly())).starts_with("an inquiry can fail but tells the truth"));
    assert_eq!(
        said(&|| drop(psp.capture().requires_action())),
        "only an authorization requires an action of the customer's, no capture"
    );
    assert!(said(&|| drop(psp.authorize().declines("12"))).starts_with("12 is no decline code"));
    assert!(said(&|| drop(psp.authorize().approves().times(0))).contains("better left out"));
    assert_eq!(said(&|| psp.settles("ch_1")), "nothing of ch_1 is pending: None");
    assert_eq!(said(&|| psp.customer_gives_up("ch_1")), "the PSP does not know ch_1");
    let adyen = MockPsp::adyen().await;
    assert!(
        said(&|| drop(adyen.authorize().declines("insufficient_funds")))
            .contains("it knows 12 (Not enough balance), 2 (Refused)")
    );
    assert!(psp.complaints().contains("authorize approves"), "the step was said before its number was");
}

#[tokio::test]
async fn a_customer_who_gives_up_and_a_pending_payment_that_is_declined_are_told_by_webhook() {
    let (psp, client) = stripe().await;
    psp.authorize().requires_action().then().stays_pending();
    for (ours, key) in [("ch_1", "a"), ("ch_2", "b")] {
        let id = client.register(ours).await;
        client.confirm(&id, key).await.unwrap();
    }
    psp.customer_gives_up("ch_1");
    psp.settles_declined("ch_2");
    assert_eq!(psp.webhooks().of("ch_1").kinds(), ["payment_intent.requires_action", "payment_intent.payment_failed"]);
    assert_eq!(psp.webhooks().of("ch_2").kinds(), ["payment_intent.processing", "payment_intent.payment_failed"]);
    assert_eq!(psp.webhooks().shuffled(7).kinds(), psp.webhooks().shuffled(7).kinds());
    assert_eq!(psp.effects().to_string(), "");
}
