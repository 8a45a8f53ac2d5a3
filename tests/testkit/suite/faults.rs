//! Each fault is what it says: seen with a plain HTTP client, and checked against the books.

use std::time::Duration;

use serde_json::Value;

use super::{Client, http, stripe};

#[tokio::test]
async fn a_timeout_gives_no_answer_with_or_without_the_effect() {
    let (psp, client) = stripe().await;
    psp.authorize().times_out().then().times_out_after_charging();
    let id = client.register("ch_1").await;
    assert_eq!(client.confirm(&id, "a").await, Err("timed out"));
    assert_eq!((client.status(&id).await.as_str(), psp.effects().authorized()), ("requires_confirmation", 0));
    assert_eq!(client.confirm(&id, "a").await, Err("timed out"));
    assert_eq!((client.status(&id).await.as_str(), psp.effects().authorized()), ("requires_capture", 1));
    let (status, intent) = client.confirm(&id, "a").await.unwrap();
    assert_eq!(
        (status, intent["status"].as_str()),
        (200, Some("requires_capture")),
        "the stored answer is the true one"
    );
    assert_eq!(psp.effects().authorized(), 1);
}

#[tokio::test]
async fn a_connection_is_closed_with_or_without_the_effect() {
    let (psp, client) = stripe().await;
    psp.authorize().hangs_up().then().approves().but_hangs_up();
    let id = client.register("ch_1").await;
    assert_eq!(client.confirm(&id, "a").await, Err("broke off"));
    assert_eq!(psp.effects().authorized(), 0);
    assert_eq!(client.confirm(&id, "a").await, Err("broke off"));
    assert_eq!((client.status(&id).await.as_str(), psp.effects().authorized()), ("requires_capture", 1));
}

#[tokio::test]
async fn a_server_error_is_stored_under_its_key_with_or_without_the_effect() {
    let (psp, client) = stripe().await;
    psp.capture().answers_500().then().approves().but_answers_500();
    let id = client.register("ch_1").await;
    client.confirm(&id, "a").await.unwrap();
    for _ in 0..2 {
        let (status, error) = client.capture(&id, "b").await.unwrap();
        assert_eq!((status, error["error"]["type"].as_str()), (500, Some("api_error")));
    }
    assert_eq!(psp.effects().captured(), 0);
    assert_eq!(client.capture(&id, "c").await.unwrap().0, 500);
    assert_eq!((client.status(&id).await.as_str(), psp.effects().captured()), ("succeeded", 1));
}

#[tokio::test]
async fn a_throttled_call_is_told_how_long_to_wait_and_may_come_again_under_its_key() {
    let (psp, client) = stripe().await;
    psp.register().is_throttled(Duration::from_secs(7));
    let http = http();
    let request = http
        .post(format!("{}/v1/payment_intents", psp.url()))
        .bearer_auth("x")
        .header("idempotency-key", "ch_1-register");
    let answer = request.form(&[("amount", "1200"), ("currency", "eur")]).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    client.register("ch_1").await;
    assert_eq!(psp.calls().len(), 2);
}

#[tokio::test]
async fn garbage_is_no_json_with_or_without_the_effect() {
    let (psp, client) = stripe().await;
    psp.authorize().answers_garbage().then().approves().but_answers_garbage();
    let id = client.register("ch_1").await;
    for authorized in 0..2 {
        assert_eq!(client.confirm(&id, "a").await, Ok((200, Value::Null)));
        assert_eq!(psp.effects().authorized(), authorized);
    }
}

#[tokio::test]
async fn a_decline_whose_answer_is_lost_is_still_the_truth() {
    let (psp, client) = stripe().await;
    psp.authorize().declines("stolen_card").but_hangs_up();
    let id = client.register("ch_1").await;
    assert_eq!(client.confirm(&id, "a").await, Err("broke off"));
    assert_eq!(client.status(&id).await, "requires_payment_method");
    assert_eq!(client.confirm(&id, "a").await.unwrap().0, 402);
}

#[tokio::test]
async fn an_inquiry_may_fail_but_never_lies() {
    let (psp, client) = stripe().await;
    psp.inquire().answers_500().then().hangs_up().then().answers(404, "{}").then().times_out();
    let id = client.register("ch_1").await;
    client.confirm(&id, "a").await.unwrap();
    let path = format!("/v1/payment_intents/{id}");
    assert_eq!(client.get(&path).await.unwrap().0, 500);
    assert_eq!(client.get(&path).await, Err("broke off"));
    assert_eq!(client.get(&path).await, Ok((404, serde_json::json!({}))));
    assert_eq!(client.get(&path).await, Err("timed out"));
    assert_eq!(client.status(&id).await, "requires_capture");
}

#[tokio::test]
async fn a_slow_call_holds_up_no_other() {
    let (psp, client) = stripe().await;
    psp.card("pm_slow").authorize().times_out();
    let form = [("amount", "5"), ("currency", "eur"), ("payment_method", "pm_slow")];
    let (_, slow) = client.post("/v1/payment_intents", "r", &form).await.unwrap();
    let slow = slow["id"].as_str().unwrap().to_owned();
    let other = client.register("ch_2").await;
    let waiting = Client::of(&psp.url());
    let (hangs, quick) = tokio::join!(waiting.confirm(&slow, "a"), client.confirm(&other, "b"));
    assert_eq!(hangs, Err("timed out"));
    assert_eq!(quick.unwrap().0, 200);
}
