//! Requests that are refused at the door, and what they are told.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use super::store::Mood;
use super::{least, serve};

/// A charge with one field set to something else.
fn with(field: &str, value: impl Into<Value>) -> String {
    let mut asked = least();
    asked[field] = value.into();
    asked.to_string()
}

fn without(field: &str) -> String {
    let mut asked = least();
    asked.as_object_mut().unwrap().remove(field);
    asked.to_string()
}

async fn refused(body: impl Into<Body>) -> (u16, String, String) {
    let answered = serve(Mood::Down).post("/v1/charges", body).await;
    let param = answered.body["param"].as_str().unwrap_or("-").to_owned();
    (answered.status.as_u16(), answered.code().to_owned(), param)
}

#[tokio::test]
async fn a_bad_value_is_refused_by_the_name_of_its_field() {
    let entries =
        |count: usize| json!((0..count).map(|n| (format!("k{n}"), "v")).collect::<std::collections::HashMap<_, _>>());
    for (field, value) in [
        ("amount", json!(0)),
        ("amount", json!(-1)),
        ("amount", json!(19.99)),
        ("amount", json!(1.0)),
        ("amount", json!("1999")),
        ("amount", json!(1_000_000_000_000_i64)),
        ("amount", json!(10_000_000_000_000_000_001_u64)),
        ("amount", json!(null)),
        ("amount", json!(true)),
        ("amount", json!([1])),
        ("currency", json!("eu")),
        ("currency", json!("zzz")),
        ("currency", json!("xau")),
        ("currency", json!(978)),
        ("payment_method", json!("")),
        ("payment_method", json!("a b")),
        ("payment_method", json!("tok\u{0}")),
        ("payment_method", json!("p".repeat(256))),
        ("capture_method", json!("later")),
        ("capture_method", json!(7)),
        ("capture_method", json!({"manual": null})),
        ("description", json!("d".repeat(501))),
        ("description", json!("bell\u{7}")),
        ("description", json!(7)),
        ("return_url", json!("http://shop.example/")),
        ("return_url", json!({"url": "https://shop.example/"})),
        ("metadata", json!("order 7")),
        ("metadata", json!({"order": 7})),
        ("metadata", json!({"order": {"id": "7"}})),
        ("metadata", json!({"": "7"})),
        ("metadata", json!({"k".repeat(41): "7"})),
        ("metadata", json!({"order": "v".repeat(501)})),
        ("metadata", json!({"line\nbreak": "v"})),
        ("metadata", entries(51)),
    ] {
        let told = refused(with(field, value.clone())).await;
        assert_eq!(told, (400, "parameter_invalid".into(), field.into()), "{field} = {value}");
    }
}

#[tokio::test]
async fn what_is_within_the_limits_is_let_in() {
    let served = serve(Mood::TakesCharges);
    let entries: std::collections::BTreeMap<_, _> = (0..50).map(|n| (format!("{n:0>40}"), "é".repeat(500))).collect();
    for (field, value) in [
        ("amount", json!(999_999_999_999_i64)),
        ("currency", json!("JPY")),
        ("payment_method", json!("p".repeat(255))),
        ("capture_method", json!("manual")),
        ("capture_method", json!(null)),
        ("description", json!("é".repeat(500))),
        ("description", json!(null)),
        ("return_url", json!("https://shop.example/return?order=7")),
        ("metadata", json!(null)),
        ("metadata", json!(entries)),
    ] {
        assert_eq!(served.post("/v1/charges", with(field, value)).await.status, 202, "{field}");
    }
}

#[tokio::test]
async fn missing_unknown_and_doubled_fields_are_named() {
    for field in ["amount", "currency", "payment_method"] {
        assert_eq!(refused(without(field)).await, (400, "parameter_missing".into(), field.into()));
    }
    let told = |code: &str, param: &str| (400, code.to_owned(), param.to_owned());
    assert_eq!(refused(with("amonut", 7)).await, told("parameter_unknown", "amonut"));
    assert_eq!(refused(with("Card<script>", 7)).await, told("parameter_unknown", "-"));
    let doubled = least().to_string().replace("\"amount\":1999", "\"amount\":1999,\"amount\":1");
    assert_eq!(refused(doubled).await, told("parameter_invalid", "amount"));
    let doubled = with("metadata", json!({"order": "7"})).replace("\"7\"", "\"7\",\"order\":\"8\"");
    assert_eq!(refused(doubled).await, told("parameter_invalid", "metadata"));
    let beyond_numbers = least().to_string().replace("1999", "1e999");
    assert_eq!(refused(beyond_numbers).await, told("parameter_invalid", "amount"));
}

#[tokio::test]
async fn what_is_no_json_object_is_malformed() {
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"text\"",
        "{'amount': 1}",
        "[1999,\"automatic\",\"eur\",null,{},\"pm_card_visa\",null]",
        &format!("{} x", least()),
        r#"{"description":"\ud800"}"#,
        "{\"description\":\"tab\there\"}",
        &"[".repeat(10_000),
    ] {
        assert_eq!(refused(body.to_owned()).await.1, "malformed_json", "{body}");
    }
    assert_eq!(refused(vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await.0, 400);
    assert_eq!(refused("{\"metadata\":".repeat(5_000)).await.0, 400, "depth is bounded");
}

#[tokio::test]
async fn card_numbers_are_refused_wherever_they_stand_and_never_repeated() {
    let served = serve(Mood::TakesCharges);
    let pan = "4242 4242 4242 4242";
    for body in [
        with("payment_method", "4242424242424242"),
        with("payment_method", "4242-4242-4242-4242"),
        with("description", format!("card {pan} 12/30")),
        with("metadata", json!({"card": pan})),
        with("metadata", json!({pan: "card"})),
        with("amount", 4_242_424_242_424_242_i64),
        with("4242424242424242", "x"),
        with("unknown", json!({"deep": [{"card": 4_242_424_242_424_242_i64}]})),
        with("description", pan).replace("4242 ", r"\u0034242 "),
        format!("{{\"amount\": \"{pan}"),
    ] {
        let answered = served.post("/v1/charges", body.clone()).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (400, "card_data_refused"), "{body}");
        assert!(!answered.body.to_string().contains("4242"), "{}", answered.body);
    }
    for path in ["/v1/charges/4242424242424242", "/v1/charges?x=4242%204242%204242%204242", "/4242424242424242"] {
        let answered = served.get(path).await;
        assert_eq!(answered.code(), "card_data_refused", "{path}");
        assert!(!answered.body.to_string().contains("4242"));
    }
    let request = served.request("POST", "/v1/charges").header("idempotency-key", pan);
    let answered = served.send(request.body(Body::from(least().to_string())).unwrap()).await;
    assert_eq!((answered.code(), &answered.body["param"]), ("card_data_refused", &json!("Idempotency-Key")));
}

#[tokio::test]
async fn a_post_needs_a_usable_idempotency_key() {
    let served = serve(Mood::TakesCharges);
    let charge = |keys: &[&str]| {
        let request = served.request("POST", "/v1/charges").header("content-type", "application/json");
        let request = keys.iter().fold(request, |request, key| request.header("idempotency-key", *key));
        served.send(request.body(Body::from(least().to_string())).unwrap())
    };
    assert_eq!(charge(&[]).await.code(), "idempotency_key_missing");
    assert_eq!(charge(&[""]).await.code(), "idempotency_key_invalid");
    assert_eq!(charge(&["a", "b"]).await.code(), "idempotency_key_invalid");
    assert_eq!(charge(&[&"k".repeat(256)]).await.code(), "idempotency_key_invalid");
    assert_eq!(charge(&[&"k".repeat(255)]).await.status, 202);
    for action in ["capture", "cancel"] {
        let path = format!("/v1/charges/ch_0197f3c2a1b47c6e8d5f00112233aaba/{action}");
        let request = served.request("POST", &path).body(Body::empty()).unwrap();
        assert_eq!(served.send(request).await.code(), "idempotency_key_missing");
    }
}

#[tokio::test]
async fn only_a_key_that_is_known_opens_the_door() {
    let served = serve(Mood::TakesCharges);
    let ask = |header: Option<String>| {
        let request = Request::get("/v1/charges");
        let request = header.into_iter().fold(request, |request, header| request.header("authorization", header));
        served.send(request.body(Body::empty()).unwrap())
    };
    let missing = ask(None).await;
    assert_eq!((missing.status.as_u16(), missing.code()), (401, "api_key_missing"));
    assert_eq!(missing.header("www-authenticate"), r#"Bearer realm="fincore""#);
    for bad in [
        "Bearer".to_owned(),
        "Bearer x".to_owned(),
        "Basic dXNlcjpwYXNz".to_owned(),
        format!("Bearer fc_test_{}", "00".repeat(32)),
        served.secret.clone(),
    ] {
        let invalid = ask(Some(bad)).await;
        assert_eq!((invalid.status.as_u16(), invalid.code()), (401, "api_key_invalid"));
        assert_eq!(invalid.header("www-authenticate"), r#"Bearer realm="fincore", error="invalid_token""#);
    }
    assert_eq!(ask(Some(format!("bearer {}", served.secret))).await.status, 200);
}

#[tokio::test]
async fn a_revoked_key_is_refused_like_an_unknown_one() {
    let answered = serve(Mood::KeyRevoked).get("/v1/charges").await;
    assert_eq!((answered.status.as_u16(), answered.code()), (401, "api_key_invalid"));
}

#[tokio::test]
async fn every_v1_route_for_clients_asks_for_a_key() {
    let served = serve(Mood::TakesCharges);
    let document: Value = serde_json::from_str(&crate::openapi_json()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.replace("{id}", "ch_0197f3c2a1b47c6e8d5f00112233aaba");
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&path);
            let answered = served.send(request.body(Body::empty()).unwrap()).await;
            let is_for_clients = path.starts_with("/v1/") && !path.starts_with("/v1/webhooks/");
            assert_eq!(answered.code() == "api_key_missing", is_for_clients, "{method} {path}");
            assert_eq!(operation["security"] != json!([]), is_for_clients, "{method} {path} in the document");
        }
    }
}

#[tokio::test]
async fn wrong_routes_methods_types_and_sizes_are_problems_too() {
    let served = serve(Mood::TakesCharges);
    for path in ["/", "/v1", "/v2/charges", "/v1/charges/", "/v1/charges/a/b", "/v1/%ff"] {
        let answered = served.get(path).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (404, "route_not_found"), "{path}");
    }
    for id in ["x", "ch_1", "ch_0197F3C2A1B47C6E8D5F00112233AABB", "ch_0197f3c2a1b47c6e8d5f00112233aaba", "%ff"] {
        let answered = served.get(&format!("/v1/charges/{id}")).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (404, "charge_not_found"), "{id}");
    }
    let deleted = served.send(served.request("DELETE", "/v1/charges").body(Body::empty()).unwrap()).await;
    assert_eq!((deleted.status.as_u16(), deleted.code()), (405, "method_not_allowed"));
    let mut allowed: Vec<_> = deleted.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let request = served.request("POST", "/v1/charges").header("idempotency-key", "k");
        let request = request.header("content-type", content_type).body(Body::from(least().to_string())).unwrap();
        assert_eq!(served.send(request).await.status, 415, "{content_type}");
    }
    let request = served.request("POST", "/v1/charges").header("idempotency-key", "k");
    let request = request.header("content-type", "Application/JSON ; charset=utf-8");
    assert_eq!(served.send(request.body(Body::from(least().to_string())).unwrap()).await.status, 202);
    let padded = |bytes: usize| least().to_string() + &" ".repeat(bytes - least().to_string().len());
    assert_eq!(served.post("/v1/charges", padded(64 * 1024)).await.status, 202);
    assert_eq!(served.post("/v1/charges", padded(64 * 1024 + 1)).await.code(), "body_too_large");
}

#[tokio::test]
async fn pages_are_asked_for_by_two_parameters() {
    let served = serve(Mood::TakesCharges);
    for good in ["", "?limit=1", "?limit=100&starting_after=ch_0197f3c2a1b47c6e8d5f00112233aaba"] {
        let answered = served.get(&format!("/v1/charges{good}")).await;
        assert_eq!(answered.body, json!({"object": "list", "data": [], "has_more": false, "url": "/v1/charges"}));
    }
    for (bad, code, param) in [
        ("limit=0", "parameter_invalid", "limit"),
        ("limit=101", "parameter_invalid", "limit"),
        ("limit=-1", "parameter_invalid", "limit"),
        ("limit=x", "parameter_invalid", "limit"),
        ("limit=1&limit=2", "parameter_invalid", "limit"),
        ("starting_after=x", "parameter_invalid", "starting_after"),
        ("page=2", "parameter_unknown", "page"),
    ] {
        let answered = served.get(&format!("/v1/charges?{bad}")).await;
        assert_eq!((answered.code(), answered.body["param"].as_str()), (code, Some(param)), "{bad}");
    }
}

#[tokio::test]
async fn capture_and_cancel_say_what_they_take() {
    let served = serve(Mood::TakesCharges);
    let path = |action: &str| format!("/v1/charges/ch_0197f3c2a1b47c6e8d5f00112233aaba/{action}");
    for body in ["", "null", "{}", r#"{"amount":null}"#, r#"{"amount":5}"#] {
        assert_eq!(served.post(&path("capture"), body).await.code(), "charge_not_found", "{body}");
    }
    for body in [r#"{"amount":0}"#, r#"{"amount":"5"}"#, r#"{"amount":1.5}"#] {
        assert_eq!(served.post(&path("capture"), body).await.body["param"], "amount", "{body}");
    }
    for body in ["", "{}", r#"{"reason":null}"#, r#"{"reason":"abandoned"}"#] {
        assert_eq!(served.post(&path("cancel"), body).await.code(), "charge_not_found", "{body}");
    }
    for body in [r#"{"reason":"because"}"#, r#"{"reason":7}"#, r#"{"reason":{"duplicate":null}}"#] {
        assert_eq!(served.post(&path("cancel"), body).await.body["param"], "reason", "{body}");
    }
}

#[tokio::test]
async fn a_request_that_was_written_for_another_version_is_refused_before_anything_is_read() {
    let served = serve(Mood::Down);
    let versions = |versions: &[&str]| {
        let request =
            versions.iter().fold(Request::post("/v1/charges"), |to, version| to.header("fincore-version", *version));
        served.send(request.body(Body::from("{")).unwrap())
    };
    let ours = crate::front::API_VERSION;
    assert_eq!(versions(&[]).await.code(), "api_key_missing");
    assert_eq!(versions(&[ours]).await.code(), "api_key_missing");
    for others in [&["2020-01-01"][..], &["latest"], &[""], &[ours, "2020-01-01"], &["2020-01-01", ours]] {
        let answered = versions(others).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (400, "api_version_unknown"), "{others:?}");
        assert_eq!(answered.body["param"], "FinCore-Version");
        assert!(answered.body["detail"].as_str().unwrap().contains(ours), "the one that there is gets named");
    }
}
