//! Requests about webhook endpoints that are refused at the door, and what they are told.

use serde_json::{Value, json};

use super::serve;
use super::store::Mood;

const PATH: &str = "/v1/webhook_endpoints";
const ONE: &str = "/v1/webhook_endpoints/we_0197f3c2a1b47c6e8d5f00112233aabb";

const TEST: &str = "/v1/webhook_endpoints/we_0197f3c2a1b47c6e8d5f00112233aabb/test";
const ROTATE: &str = "/v1/webhook_endpoints/we_0197f3c2a1b47c6e8d5f00112233aabb/rotate_secret";

async fn refused(path: &str, body: Value) -> (u16, String, String) {
    let answered = serve(Mood::Down).post(path, body.to_string()).await;
    let param = answered.body["param"].as_str().unwrap_or("-").to_owned();
    (answered.status.as_u16(), answered.code().to_owned(), param)
}

#[tokio::test]
async fn a_url_that_leads_inside_is_refused_with_the_reason_and_without_itself() {
    for (url, why) in [
        ("https://127.0.0.1/hooks", "not on the public internet"),
        ("https://2130706433/hooks", "not on the public internet"),
        ("https://0x7f000001/hooks", "not on the public internet"),
        ("https://[::ffff:10.0.0.1]/hooks", "not on the public internet"),
        ("https://169.254.169.254/hooks", "not on the public internet"),
        ("https://metadata.google.internal/hooks", "not on the public internet"),
        ("http://shop.example.com/hooks", "not https"),
        ("https://ada:pass@shop.example.com/hooks", "credentials"),
        ("https://shop.example.com:25/hooks", "port"),
        ("hooks", "absolute URL"),
    ] {
        for path in [PATH, ONE] {
            let answered = serve(Mood::Down).post(path, json!({"url": url}).to_string()).await;
            assert_eq!((answered.status.as_u16(), answered.code()), (400, "parameter_invalid"), "{url}");
            let (param, detail) = (&answered.body["param"], answered.body["detail"].as_str().unwrap());
            assert!(param == "url" && detail.contains(why) && !detail.contains("hooks"), "{url}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_bad_value_is_refused_by_the_name_of_its_field() {
    let url = "https://shop.example.com/";
    for (path, field, value) in [
        (PATH, "url", json!(7)),
        (PATH, "url", json!(null)),
        (PATH, "enabled_events", json!([])),
        (PATH, "enabled_events", json!("*")),
        (PATH, "enabled_events", json!(["charge.exploded"])),
        (PATH, "enabled_events", json!(["*", "charge.exploded"])),
        (PATH, "enabled_events", json!(["webhook_endpoint.test"])),
        (PATH, "enabled_events", json!(vec!["charge.failed"; 65])),
        (PATH, "signature", json!("rsa")),
        (PATH, "description", json!("d".repeat(501))),
        (ONE, "disabled", json!("true")),
        (ONE, "disabled", json!(1)),
        (ONE, "url", json!(7)),
        (ROTATE, "overlap_seconds", json!(-1)),
        (ROTATE, "overlap_seconds", json!(604_801)),
        (ROTATE, "overlap_seconds", json!(1.5)),
    ] {
        let mut body = if path == PATH { json!({"url": url}) } else { json!({}) };
        body[field] = value.clone();
        assert_eq!(refused(path, body).await, (400, "parameter_invalid".into(), field.into()), "{field} = {value}");
    }
    assert_eq!(refused(PATH, json!({})).await, (400, "parameter_missing".into(), "url".into()));
    assert_eq!(refused(PATH, json!({"uri": url})).await, (400, "parameter_unknown".into(), "uri".into()));
    for path in [TEST, ROTATE, ONE] {
        let told = refused(path, json!({"secret": "x"})).await;
        assert_eq!(told, (400, "parameter_unknown".into(), "secret".into()), "{path}");
    }
}

#[tokio::test]
async fn ids_that_are_none_name_nothing() {
    let served = serve(Mood::TakesCharges);
    for (path, code) in [
        ("/v1/webhook_endpoints/ch_0197f3c2a1b47c6e8d5f00112233aaba", "webhook_endpoint_not_found"),
        ("/v1/webhook_endpoints/x/deliveries", "webhook_endpoint_not_found"),
        ("/v1/webhook_endpoints/x/deliveries/y", "webhook_delivery_not_found"),
        ("/v1/webhook_endpoints/we_0197f3c2a1b47c6e8d5f00112233aabb/deliveries/y", "webhook_delivery_not_found"),
        ("/v1/events/x", "event_not_found"),
        ("/v1/events/evt_0197f3c2a1b47c6e8d5f00112233aabb", "event_not_found"),
    ] {
        let answered = served.get(path).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (404, code), "{path}");
    }
}

#[tokio::test]
async fn every_type_that_can_be_chosen_is_let_in_alone_and_with_all_others() {
    use strum::IntoEnumIterator as _;
    use workflow::notification::EventType;
    let served = serve(Mood::TakesCharges);
    let types: Vec<String> =
        EventType::iter().filter(|known| known.can_be_chosen()).map(|event_type| event_type.to_string()).collect();
    let singles = types.iter().map(|event_type| json!([event_type]));
    for events in singles.chain([json!(types), json!(["*"]), json!(["*", "charge.failed"]), Value::Null]) {
        let body = json!({"url": "https://shop.example.com/", "enabled_events": events});
        let answered = served.post(PATH, body.to_string()).await;
        assert_eq!(answered.status.as_u16(), 201, "{events}: {}", answered.body);
        let told: std::collections::BTreeSet<_> =
            answered.body["enabled_events"].as_array().unwrap().iter().map(Value::to_string).collect();
        let is_all = events.as_array().is_none_or(|events| events.contains(&json!("*")));
        let asked = if is_all { json!(["*"]) } else { events };
        assert_eq!(told, asked.as_array().unwrap().iter().map(Value::to_string).collect());
    }
}
