//! Webhooks as a merchant's endpoint receives them.
//!
//! Not here: the calls that cause them (`sandbox.rs`).

#![expect(clippy::unwrap_used, reason = "the helpers of a test may stop at the first surprise, too")]

#[path = "support/merchant.rs"]
mod merchant;

use merchant::Inbox;
use sandbox::{Config, Delivery, ReleaseOrder, Sandbox, WebhookMode, sign};
use serde_json::Value;

async fn pay(sandbox: &Sandbox, payment_method: &str) -> u16 {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = format!("amount=1000&currency=eur&confirm=true&payment_method={payment_method}");
    let request = client.post(format!("{}/v1/payment_intents", sandbox.url()));
    let request = request.header("authorization", "Bearer sk_test_sandbox");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap().status().as_u16()
}

async fn with_inbox() -> (Sandbox, Inbox) {
    let inbox = Inbox::default();
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    sandbox.set_webhook_url(inbox.open().await);
    (sandbox, inbox)
}

#[test]
fn a_signature_is_the_hmac_of_timestamp_and_body() {
    // Computed with: printf '1614265330.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
    let expected = "t=1614265330,v1=347e9afe3d74ec4c5cbefd270edc9246513ae3da7b375223e302560fbd4146eb";
    assert_eq!(sign("whsec_test", 1_614_265_330, br#"{"id":"evt_1"}"#), expected);
}

#[tokio::test]
async fn a_webhook_is_signed_and_tried_again_until_it_is_accepted() {
    let (sandbox, inbox) = with_inbox().await;
    *inbox.refusals.lock().unwrap() = 1;
    pay(&sandbox, "pm_card_visa").await;
    sandbox.webhooks_idle().await;
    let (signature, body) = inbox.received.lock().unwrap().pop().unwrap();
    let timestamp = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(signature, sign("whsec_sandbox", timestamp, &body));
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["type"], "payment_intent.succeeded");
    assert_eq!((&event["object"], &event["data"]["object"]["status"]), (&"event".into(), &"succeeded".into()));
}

#[tokio::test]
async fn a_webhook_comes_first_never_or_thrice_as_its_payment_method_says() {
    let (sandbox, inbox) = with_inbox().await;
    pay(&sandbox, "pm_sandbox_webhook_first").await;
    assert_eq!(inbox.kinds(), ["payment_intent.succeeded"]);
    pay(&sandbox, "pm_sandbox_webhook_thrice").await;
    sandbox.webhooks_idle().await;
    assert_eq!(inbox.kinds().len(), 3);
    pay(&sandbox, "pm_sandbox_webhook_never").await;
    sandbox.webhooks_idle().await;
    assert!(inbox.kinds().is_empty());
    let unsent = sandbox.events().pop().unwrap();
    assert_eq!(sandbox.resend_webhook(&unsent.id).await, Delivery::Delivered);
    assert_eq!(inbox.kinds().len(), 1);
    assert_eq!(sandbox.resend_webhook("evt_0").await, Delivery::Unknown);
}

#[tokio::test]
async fn held_webhooks_come_in_the_order_of_their_release() {
    let (sandbox, inbox) = with_inbox().await;
    sandbox.hold_webhooks();
    pay(&sandbox, "pm_card_visa").await;
    pay(&sandbox, "pm_card_chargeDeclined").await;
    sandbox.webhooks_idle().await;
    assert!(inbox.kinds().is_empty());
    assert_eq!(sandbox.release_webhooks(ReleaseOrder::Reversed).await, 2);
    assert_eq!(inbox.kinds(), ["payment_intent.payment_failed", "payment_intent.succeeded"]);
    sandbox.set_webhooks(WebhookMode::Off);
    pay(&sandbox, "pm_card_visa").await;
    sandbox.webhooks_idle().await;
    assert!(inbox.kinds().is_empty());
    assert_eq!(sandbox.events().len(), 3);
}
