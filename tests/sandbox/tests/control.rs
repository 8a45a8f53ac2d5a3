//! The control API and the payer's page, as a person with curl and a browser sees them.
//!
//! Not here: what the merchant's calls answer (`scenarios.rs`).

#![expect(clippy::unwrap_used, reason = "the helpers of a test may stop at the first surprise, too")]

#[path = "support/merchant.rs"]
mod merchant;

use std::time::Duration;

use merchant::{Inbox, Merchant, charge, path};
use reqwest::StatusCode;
use sandbox::Config;
use sandbox::scenario::SCENARIOS;
use serde_json::{Value, json};

async fn with_inbox() -> (Merchant, Inbox) {
    let hour = Duration::from_hours(1);
    let merchant = Merchant::new(Config { processing_delay: hour, ..Config::default() }).await;
    let inbox = Inbox::default();
    merchant.sandbox.set_webhook_url(inbox.open().await);
    (merchant, inbox)
}

/// A call without a key, as it is not the merchant's.
async fn control(merchant: &Merchant, path: &str, form: &'static str) -> (u16, Value) {
    let request = merchant.client.post(format!("{}/sandbox/{path}", merchant.sandbox.url())).body(form);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn the_payer_succeeds_fails_or_leaves_on_the_page() {
    let (merchant, inbox) = with_inbox().await;
    let ends = [
        ("complete", "succeeded", "requires_capture", "payment_intent.amount_capturable_updated"),
        ("fail", "failed", "requires_payment_method", "payment_intent.payment_failed"),
        ("abandon", "pending", "requires_action", ""),
    ];
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (outcome, told, status, webhook) in ends {
        let mut form = charge("pm_card_authenticationRequired");
        form.push(("return_url", "https://shop.example/back?order=7"));
        let (_, intent) = merchant.call("/v1/payment_intents", outcome, &form).await;
        merchant.sandbox.webhooks_idle().await;
        assert_eq!(inbox.kinds(), ["payment_intent.requires_action"]);
        let page = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
        let shown = client.get(page).send().await.unwrap().text().await.unwrap();
        assert!(shown.contains(&format!("value=\"{outcome}\"")), "{shown}");
        let answer = client.post(page).body(format!("outcome={outcome}")).send().await.unwrap();
        let id = intent["id"].as_str().unwrap();
        let back = format!("https://shop.example/back?order=7&payment_intent={id}&redirect_status={told}");
        assert_eq!(
            (answer.status(), answer.headers()["location"].to_str().unwrap()),
            (StatusCode::SEE_OTHER, back.as_str())
        );
        assert_eq!(merchant.get(&path(&intent, "")).await["status"], status);
        merchant.sandbox.webhooks_idle().await;
        assert_eq!(inbox.kinds().concat(), webhook);
        let again = client.post(page).body("outcome=nonsense").send().await.unwrap();
        assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn events_are_listed_and_sent_again_and_held_ones_released() {
    let (merchant, inbox) = with_inbox().await;
    assert_eq!(control(&merchant, "webhooks", "do=hold").await.0, 200);
    let (_, intent) = merchant.pay("a", "pm_card_visa").await;
    merchant.call(&path(&intent, "/capture"), "b", &[]).await;
    merchant.pay("c", "pm_card_chargeDeclined").await;
    merchant.sandbox.webhooks_idle().await;
    assert!(inbox.kinds().is_empty());
    assert_eq!(control(&merchant, "webhooks", "do=release_reversed").await, (200, json!({"arrived": 3})));
    let kinds =
        ["payment_intent.payment_failed", "payment_intent.succeeded", "payment_intent.amount_capturable_updated"];
    assert_eq!(inbox.kinds(), kinds);

    let url = format!("/sandbox/events?payment_intent={}", intent["id"].as_str().unwrap());
    let events = merchant.get(&url).await;
    assert_eq!(events.as_array().unwrap().len(), 2);
    assert_eq!(merchant.get("/sandbox/events").await.as_array().unwrap().len(), 3);
    let resend = format!("{}/sandbox/events/{}/resend", merchant.sandbox.url(), events[0]["id"].as_str().unwrap());
    let answer: Value = merchant.client.post(resend).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({"delivered": true}));
    assert_eq!(inbox.events(), [events[0].clone()]);
    assert_eq!(control(&merchant, "events/evt_0/resend", "").await.0, 404);

    control(&merchant, "webhooks", "do=off").await;
    merchant.pay("d", "pm_card_visa").await;
    merchant.sandbox.webhooks_idle().await;
    assert!(inbox.kinds().is_empty());
}

#[tokio::test]
async fn a_fault_is_ordered_by_name_and_a_wrong_name_is_answered_with_the_right_ones() {
    let (merchant, _) = with_inbox().await;
    assert_eq!(control(&merchant, "faults", "operation=confirm&fault=error_500_unstored&times=2").await.0, 200);
    let codes = [
        merchant.pay("k", "pm_card_visa").await.0,
        merchant.pay("k", "pm_card_visa").await.0,
        merchant.pay("k", "pm_card_visa").await.0,
    ];
    assert_eq!(codes, [500, 500, 200]);
    control(&merchant, "faults", "operation=confirm&fault=throttled&times=always").await;
    assert_eq!(merchant.pay("l", "pm_card_visa").await.0, 429);
    assert_eq!(control(&merchant, "faults", "operation=confirm&fault=throttled&times=0").await.0, 200);
    assert_eq!(merchant.pay("l", "pm_card_visa").await.0, 200, "it has recovered");
    let (status, told) = control(&merchant, "faults", "operation=confirm&fault=rain").await;
    assert_eq!(status, 400);
    assert!(told["error"].as_str().unwrap().contains("answer_lost"), "{told}");
    assert_eq!(control(&merchant, "faults", "operation=confirm&fault=throttled&times=often").await.0, 400);
}

#[tokio::test]
async fn late_things_happen_on_demand_and_disputes_are_opened_and_decided() {
    let (merchant, inbox) = with_inbox().await;
    let (_, slow) = merchant.pay("a", "pm_sandbox_late_success").await;
    assert_eq!(control(&merchant, "settle", "").await, (200, json!({"steps": 1})));
    assert_eq!(merchant.get(&path(&slow, "")).await["status"], "requires_capture");
    let id = slow["id"].as_str().unwrap();
    let form: &'static str = format!("payment_intent={id}").leak();
    assert_eq!(control(&merchant, "disputes", form).await.0, 409, "nothing is captured yet");
    merchant.call(&path(&slow, "/capture"), "b", &[]).await;
    let (status, opened) = control(&merchant, "disputes", form).await;
    assert_eq!(status, 200);
    assert_eq!(control(&merchant, "disputes", form).await.0, 409, "it is disputed already");
    let decide: &'static str = format!("disputes/{}", opened["dispute"].as_str().unwrap()).leak();
    assert_eq!(control(&merchant, decide, "verdict=perhaps").await.0, 400);
    assert_eq!(control(&merchant, decide, "verdict=won").await.0, 200);
    assert_eq!(control(&merchant, decide, "verdict=won").await.0, 409);
    merchant.sandbox.webhooks_idle().await;
    assert!(inbox.kinds().contains(&"charge.dispute.funds_reinstated".to_owned()));
    assert_eq!(merchant.get("/sandbox/ledger").await.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn the_sandbox_explains_itself_and_only_to_this_machine() {
    let (merchant, _) = with_inbox().await;
    let rows = merchant.get("/sandbox/scenarios").await;
    assert_eq!(rows.as_array().unwrap().len(), SCENARIOS.len());
    let url = format!("{}/sandbox", merchant.sandbox.url());
    let page = merchant.client.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("pm_card_createDispute"));
    for host in ["evil.example", "127.0.0.1.evil.example:80"] {
        let answer = merchant.client.post(format!("{url}/settle")).header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{host}");
    }
    let port = merchant.sandbox.address().port();
    let answer = merchant.client.post(format!("{url}/settle")).header("host", format!("localhost:{port}")).send();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
}
