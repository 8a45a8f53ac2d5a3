//! Limits per API key, as clients see them.

use super::*;

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_back_and_others_are_not_limited() {
    let served = serve_limited(Mood::TakesCharges, Some(RateLimit { per_second: 2, burst: 3 }));
    for left in [2, 1, 0] {
        let answered = served.get("/v1/charges").await;
        assert_eq!(answered.status, 200);
        assert_eq!(answered.header("ratelimit-policy"), r#""key";q=3;w=2"#);
        assert_eq!(answered.header("ratelimit"), format!(r#""key";r={left};t={}"#, if left == 0 { 2 } else { 1 }));
        assert!(!answered.headers.contains_key("retry-after"));
    }
    let refused = served.post("/v1/charges", least().to_string()).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "rate_limited"));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", r#""key";r=0;t=2"#));
    let webhook = Request::post("/v1/webhooks/test").header("signature", "good").body(Body::from("evt_1"));
    let ready = Request::get("/readyz").body(Body::empty());
    for request in [webhook.unwrap(), ready.unwrap()] {
        let answered = served.send(request).await;
        assert_eq!(answered.status, 200);
        assert!(!answered.headers.contains_key("ratelimit"), "PSPs and load balancers are not limited");
    }
}

#[tokio::test]
async fn who_has_no_valid_key_is_refused_for_that_and_not_counted() {
    let served = serve_limited(Mood::TakesCharges, Some(RateLimit { per_second: 1, burst: 1 }));
    for _ in 0..3 {
        let answered = served.send(Request::get("/v1/charges").body(Body::empty()).unwrap()).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (401, "api_key_missing"));
    }
    assert_eq!(served.get("/v1/charges").await.status, 200);
    assert_eq!(served.get("/v1/charges").await.status, 429);
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let answered = serve(Mood::TakesCharges).get("/v1/charges").await;
    assert_eq!(answered.status, 200);
    assert!(!answered.headers.contains_key("ratelimit") && !answered.headers.contains_key("ratelimit-policy"));
}
