//! Gateway and client together, against a mock PSP.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::event::Unknown;
use workflow::port::clock::SystemClock;

use super::*;
use crate::gateway::client::PspClient;

async fn call(server: &MockServer, operation: Operation, payment: &Payment) -> Outcome {
    let account = account("psp", &format!("{}/v71", server.uri()), "AQEyhmfxK+abc/def=[x]".into()).unwrap();
    let client = PspClient::new(account, Arc::new(SystemClock)).unwrap();
    match client.send(operation, request(operation, payment), Duration::from_millis(500)).await {
        Ok(answer) => gateway().read(operation, payment, &answer),
        Err(outcome) => outcome,
    }
}

#[tokio::test]
async fn an_authorization_goes_over_the_wire_and_back() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v71/payments"))
        .and(header("x-api-key", "AQEyhmfxK+abc/def=[x]"))
        .and(header("content-type", "application/json"))
        .and(header("idempotency-key", KEY))
        .respond_with(|request: &wiremock::Request| {
            assert!(!request.headers.contains_key("authorization"));
            let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            ResponseTemplate::new(200).set_body_json(json!({
                "pspReference": REFERENCE, "resultCode": "Authorised", "amount": asked["amount"],
                "merchantReference": asked["reference"], "additionalData": {"refusalReasonRaw": "AUTHORISED"},
            }))
        })
        .expect(2)
        .mount(&server)
        .await;
    let expected =
        Outcome::Approved(Standing::Authorized { psp_reference: REFERENCE.to_owned(), money: payment().asked() });
    assert_eq!(call(&server, Operation::Authorize, &payment()).await, expected);
    // Made again under its key, the call is answered as it was the first time, and read so.
    assert_eq!(call(&server, Operation::Authorize, &authorized()).await, expected);
}

#[tokio::test]
async fn a_capture_is_taken_and_its_own_reference_does_not_become_the_payments() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("/v71/payments/{REFERENCE}/captures")))
        .and(body_json(json!({"merchantAccount": MERCHANT_ACCOUNT, "reference": payment().id.to_string(),
            "amount": {"currency": "EUR", "value": 1234}})))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({
            "merchantAccount": MERCHANT_ACCOUNT, "paymentPspReference": REFERENCE, "pspReference": "QFQTPCQ8HXSKGK82",
            "reference": payment().id.to_string(), "status": "received",
            "amount": {"currency": "EUR", "value": 1234},
        })))
        .expect(1)
        .mount(&server)
        .await;
    let expected = Outcome::Pending { psp_reference: Some(REFERENCE.to_owned()) };
    assert_eq!(call(&server, Operation::Capture, &authorized()).await, expected);
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_it_is_told_to() {
    let server = MockServer::start().await;
    let slow_down = ResponseTemplate::new(429).insert_header("Retry-After", "2");
    Mock::given(method("POST")).respond_with(slow_down).mount(&server).await;
    let outcome = call(&server, Operation::Capture, &authorized()).await;
    assert_eq!(outcome, Outcome::Throttled { retry_after_ms: Some(2_000) });
}

#[tokio::test]
async fn a_refusal_a_gateways_error_page_and_silence_are_three_different_things() {
    let server = MockServer::start().await;
    let refusal = json!({"pspReference": REFERENCE, "resultCode": "Refused", "refusalReasonCode": "12"});
    for answer in [
        ResponseTemplate::new(200).set_body_json(refusal),
        ResponseTemplate::new(502).set_body_string("<html>Bad Gateway</html>"),
        ResponseTemplate::new(200).set_delay(Duration::from_secs(20)),
    ] {
        Mock::given(method("POST")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    assert!(matches!(call(&server, Operation::Authorize, &payment()).await, Outcome::Declined(_)));
    let outcome = call(&server, Operation::Authorize, &payment()).await;
    assert!(matches!(outcome, Outcome::Unknown { why: Unknown::ServerError, .. }), "{outcome:?}");
    let outcome = call(&server, Operation::Authorize, &payment()).await;
    assert!(matches!(outcome, Outcome::Unknown { why: Unknown::Timeout, .. }), "{outcome:?}");
}
