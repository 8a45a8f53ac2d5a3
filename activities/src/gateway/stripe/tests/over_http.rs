//! Gateway and client together, against a mock PSP.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wiremock::matchers::{body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::event::Unknown;
use workflow::port::clock::SystemClock;

use super::*;
use crate::gateway::client::{Account, PspClient};

async fn call(server: &MockServer, operation: Operation) -> Outcome {
    let account = Account::bearer("psp", &server.uri(), "sk_test_51abcdef".into()).unwrap();
    let client = PspClient::new(account, Arc::new(SystemClock)).unwrap();
    let payment = payment();
    let request = gateway().request(Call { operation, payment: &payment, key: KEY });
    match client.send(operation, request, Duration::from_millis(500)).await {
        Ok(answer) => gateway().read(operation, &payment, &answer),
        Err(outcome) => outcome,
    }
}

#[tokio::test]
async fn an_authorization_goes_over_the_wire_and_back() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/payment_intents/pi_1/confirm"))
        .and(header("authorization", "Bearer sk_test_51abcdef"))
        .and(header("idempotency-key", KEY))
        .and(header("stripe-version", API_VERSION))
        .and(body_string(""))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "id": "pi_1", "object": "payment_intent", "status": "requires_capture", "currency": "eur",
            "amount_capturable": 1234,
        })))
        .expect(1)
        .mount(&server)
        .await;
    let money = payment().asked();
    let expected = Outcome::Approved(Standing::Authorized { psp_reference: "pi_1".to_owned(), money });
    assert_eq!(call(&server, Operation::Authorize).await, expected);
}

#[tokio::test]
async fn an_inquiry_asks_for_the_charge_and_carries_no_key() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/v1/payment_intents/pi_1"))
        .and(query_param("expand[]", "latest_charge"))
        .respond_with(|request: &wiremock::Request| {
            assert!(!request.headers.contains_key("idempotency-key"));
            ResponseTemplate::new(404)
                .set_body_json(json!({"error": {"type": "invalid_request_error", "code": "resource_missing"}}))
        })
        .expect(1)
        .mount(&server)
        .await;
    let outcome = call(&server, Operation::Inquire).await;
    assert!(matches!(outcome, Outcome::Unknown { why: Unknown::Unreadable, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_it_is_told_to() {
    let server = MockServer::start().await;
    let slow_down = ResponseTemplate::new(429).insert_header("Retry-After", "2");
    Mock::given(method("POST")).respond_with(slow_down).mount(&server).await;
    assert_eq!(call(&server, Operation::Capture).await, Outcome::Throttled { retry_after_ms: Some(2_000) });
}

#[tokio::test]
async fn a_decline_a_gateways_error_page_and_silence_are_three_different_things() {
    let server = MockServer::start().await;
    let decline = json!({"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}});
    for answer in [
        ResponseTemplate::new(402).set_body_json(decline),
        ResponseTemplate::new(502).set_body_string("<html>Bad Gateway</html>"),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(20)),
    ] {
        Mock::given(method("POST")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    assert!(matches!(call(&server, Operation::Authorize).await, Outcome::Declined(_)));
    let outcome = call(&server, Operation::Authorize).await;
    assert!(matches!(outcome, Outcome::Unknown { why: Unknown::ServerError, .. }), "{outcome:?}");
    let outcome = call(&server, Operation::Authorize).await;
    assert!(matches!(outcome, Outcome::Unknown { why: Unknown::Timeout, .. }), "{outcome:?}");
}
