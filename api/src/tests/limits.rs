//! Bounds on what is worked on at the same time, and on what comes before a body.

use axum::body::Body;
use http::Request;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::store::Mood;
use super::{Served, serve};
use crate::{CLIENTS_IN_FLIGHT, WEBHOOKS_IN_FLIGHT};

fn list(served: &Served) -> Request<Body> {
    served.request("GET", "/v1/charges").body(Body::empty()).unwrap()
}

fn webhook(_served: &Served) -> Request<Body> {
    Request::post("/v1/webhooks/test").header("signature", "good").body(Body::from("evt_1")).unwrap()
}

/// Fills one pool with requests that do not end; then one more of the kind is turned away, and one of the other kind is
/// worked on.
async fn fill(places: usize, kind: fn(&Served) -> Request<Body>, other: fn(&Served) -> Request<Body>) {
    let (store_reached, mut reached) = mpsc::unbounded_channel();
    let served = serve(Mood::Waits(store_reached));
    let mut finish = Vec::new();
    for _ in 0..places {
        tokio::spawn(served.router.clone().oneshot(kind(&served)));
        finish.push(reached.recv().await.unwrap());
    }
    let shed = served.send(kind(&served)).await;
    assert_eq!((shed.status.as_u16(), shed.code()), (503, "overloaded"));
    assert_eq!((shed.header("retry-after"), &shed.body["retryable"]), ("1", &serde_json::json!(true)));
    let answer = tokio::spawn(served.router.clone().oneshot(other(&served)));
    reached.recv().await.unwrap().send(()).unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200, "the others have places of their own");
    for path in ["/healthz", "/metrics"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    // A place that is given back is taken again.
    finish.pop().unwrap().send(()).unwrap();
    loop {
        let answer = tokio::spawn(served.router.clone().oneshot(kind(&served)));
        tokio::select! {
            again = reached.recv() => if again.is_some_and(|finish| finish.send(()).is_ok()) { break },
            shed = answer => assert_eq!(shed.unwrap().unwrap().status(), 503),
        }
    }
}

#[tokio::test]
async fn clients_take_no_places_from_webhooks() {
    fill(CLIENTS_IN_FLIGHT, list, webhook).await;
}

#[tokio::test]
async fn webhooks_take_no_places_from_clients() {
    fill(WEBHOOKS_IN_FLIGHT, webhook, list).await;
}

#[tokio::test]
async fn what_comes_before_the_body_is_bounded() {
    let served = serve(Mood::TakesCharges);
    let answered = served.get(&format!("/v1/charges?metadata[a]={}", "x".repeat(16 * 1024))).await;
    assert_eq!((answered.status.as_u16(), answered.code()), (414, "uri_too_long"));
    let request = served.request("GET", "/v1/charges").header("x-large", "x".repeat(33 * 1024));
    let answered = served.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((answered.status.as_u16(), answered.code()), (431, "headers_too_large"));
}

#[tokio::test]
async fn every_problem_leads_to_its_explanation() {
    let served = serve(Mood::TakesCharges);
    let page = served.get("/problems").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.body.as_str().unwrap().contains(r#"<tr id="overloaded">"#));
}
