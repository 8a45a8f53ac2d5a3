//! Webhooks over HTTP, signed as each PSP signs them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::MockPsp;
use testkit::clock::TestClock;
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::port::clock::Clock as _;

use super::{http, stripe};

/// Somebody who takes webhooks, and what they took.
async fn receiver() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    server
}

async fn taken(server: &MockServer) -> Vec<(String, Value)> {
    let requests = server.received_requests().await.unwrap();
    let header = |request: &wiremock::Request| {
        request.headers.get("stripe-signature").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    requests.iter().map(|request| (header(request), request.body_json().unwrap())).collect()
}

#[tokio::test]
async fn everything_that_happened_is_told_in_order_doubled_or_reversed_at_the_time_given() {
    let (psp, client) = stripe().await;
    let id = client.register("ch_1").await;
    client.confirm(&id, "a").await.unwrap();
    client.capture(&id, "b").await.unwrap();
    let webhooks = psp.webhooks();
    assert_eq!(webhooks.kinds(), ["payment_intent.amount_capturable_updated", "payment_intent.succeeded"]);
    let shop = receiver().await;
    let clock = TestClock::at(Timestamp::from_second(1_800_000_000).unwrap());
    let sent = webhooks.at(clock.now()).doubled().reversed().deliver_to(&shop.uri()).await;
    assert_eq!(sent, [200; 4]);
    let taken = taken(&shop).await;
    let kinds: Vec<&str> = taken.iter().map(|(_, body)| body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..2], ["payment_intent.succeeded"; 2]);
    assert_eq!(taken[0], taken[1], "a doubled webhook is the same, its id included");
    assert!(taken.iter().all(|(signature, _)| signature.starts_with("t=1800000000,v1=")));
}

#[tokio::test]
async fn stale_forged_and_tampered_webhooks_differ_from_good_ones_only_there() {
    let (psp, client) = stripe().await;
    let id = client.register("ch_1").await;
    client.confirm(&id, "a").await.unwrap();
    let good = psp.webhooks().at(Timestamp::from_second(1_800_000_000).unwrap());
    let signed = |webhooks: testkit::Webhooks| webhooks.signed().remove(0);
    let (stale, forged) = (signed(good.clone().stale(SignedDuration::from_hours(1))), signed(good.clone().forged()));
    let tampered = signed(good.clone().tampered());
    let good = signed(good);
    let signature = |signed: &testkit::dialect::Signed| signed.header("stripe-signature").unwrap();
    assert!(signature(&stale).starts_with("t=1799996400,"));
    assert_eq!(forged.body, good.body);
    assert_ne!(signature(&forged), signature(&good));
    assert_eq!(signature(&tampered), signature(&good));
    assert_ne!(tampered.body, good.body);
    assert!(!String::from_utf8(tampered.body).unwrap().contains(&id));
}

#[tokio::test]
async fn adyen_receives_modifications_and_tells_their_outcome_in_signed_items() {
    let psp = MockPsp::adyen().await;
    psp.capture().declines_softly();
    let http = http();
    let post = |path: String, key: &str, body: Value| {
        let request = http.post(format!("{}{path}", psp.url())).header("x-api-key", "k").header("idempotency-key", key);
        async move { request.json(&body).send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let amount = json!({"value": 1200, "currency": "EUR"});
    let asked = json!({"merchantAccount": "M", "reference": "ch_1", "amount": amount, "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "card"}});
    let paid = post("/v71/payments".to_owned(), "a", asked.clone()).await;
    assert_eq!(paid["resultCode"], "Authorised");
    assert_eq!(post("/v71/payments".to_owned(), "a", asked.clone()).await, paid, "asking is repeating");
    let reference = paid["pspReference"].as_str().unwrap();
    let modify = |what: &str| format!("/v71/payments/{reference}/{what}");
    let change = json!({"merchantAccount": "M", "reference": "ch_1", "amount": amount});
    for (what, key) in [("captures", "b"), ("captures", "c"), ("reversals", "d")] {
        let received = post(modify(what), key, change.clone()).await;
        assert_eq!(
            (received["status"].as_str(), received["paymentPspReference"].as_str()),
            (Some("received"), Some(reference))
        );
    }
    testkit::assert_ledger(&psp.effects().to_string(), "authorized 12.00 EUR\ncaptured 12.00 EUR\nrefunded 12.00 EUR");
    let signed = psp.webhooks().bundled().signed();
    let body: Value = serde_json::from_slice(&signed[0].body).unwrap();
    let told: Vec<String> = body["notificationItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let item = &item["NotificationRequestItem"];
            assert!(item["additionalData"]["hmacSignature"].as_str().is_some_and(|text| text.len() == 44), "{item}");
            format!("{} {}", item["eventCode"].as_str().unwrap(), item["success"].as_str().unwrap())
        })
        .collect();
    assert_eq!(told, ["AUTHORISATION true", "CAPTURE false", "CAPTURE true", "REFUND true"]);
}

#[tokio::test]
async fn adyen_stores_no_server_error_but_still_knows_what_it_did() {
    let psp = MockPsp::adyen().await;
    psp.authorize().answers_500().then().approves().but_answers_500().then().declines("12");
    let http = http();
    let body =
        |ours: &str| json!({"merchantAccount": "M", "reference": ours, "amount": {"value": 5, "currency": "EUR"}});
    let post = |ours: &str| {
        let request = http.post(format!("{}/v71/payments", psp.url())).header("x-api-key", "k");
        let request = request.header("idempotency-key", ours).json(&body(ours));
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(post("ch_1").await.0, 500);
    assert_eq!((post("ch_1").await.0, psp.effects().authorized()), (500, 1), "nothing was stored: it was done now");
    assert_eq!(post("ch_1").await.1["resultCode"], "Authorised");
    let (status, refused) = post("ch_2").await;
    assert_eq!((status, refused["refusalReason"].as_str()), (200, Some("Not enough balance")));
    assert_eq!(psp.effects().authorized(), 1);
}
