//! What clients send, and what they do: good, bad, twice, at once, and hanging up in the middle.

use std::collections::HashSet;
use std::time::Duration;

use fincore_tests::world::World;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::ids::PaymentId;

const CARD: &str = "4242 4242 4242 4242";

fn good() -> Value {
    json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"})
}

/// The good request with one field replaced.
fn with(field: &str, value: Value) -> String {
    let mut body = good();
    body[field] = value;
    body.to_string()
}

struct Bad {
    body: String,
    key: Option<String>,
    content_type: &'static str,
    status: u16,
    param: &'static str,
}

fn bad(body: String, status: u16, param: &'static str) -> Bad {
    Bad { body, key: Some("a-key".to_owned()), content_type: "application/json", status, param }
}

fn bad_requests() -> Vec<Bad> {
    let amount = |number: &str| good().to_string().replace("1200", number);
    let keyed =
        |key: Option<&str>| Bad { key: key.map(str::to_owned), ..bad(good().to_string(), 400, "Idempotency-Key") };
    vec![
        bad(with("currency", json!("zzz")), 400, "currency"),
        bad(with("currency", json!("xau")), 400, "currency"),
        bad(with("currency", json!(978)), 400, "currency"),
        bad(amount("0"), 400, "amount"),
        bad(amount("-5"), 400, "amount"),
        bad(amount("12.5"), 400, "amount"),
        bad(amount("1e3"), 400, "amount"),
        bad(amount("\"1200\""), 400, "amount"),
        bad(amount("1000000000000"), 400, "amount"),
        bad(amount("99999999999999999999999"), 400, "amount"),
        bad(amount("null"), 400, "amount"),
        bad(json!({"amount": 5124, "currency": "kwd", "payment_method": "pm_card_visa"}).to_string(), 400, "amount"),
        bad(json!({"currency": "eur", "payment_method": "pm_card_visa"}).to_string(), 400, "amount"),
        bad(with("amuont", json!(1)), 400, "amuont"),
        bad(with("capture_method", json!("later")), 400, "capture_method"),
        bad(with("return_url", json!("javascript:alert(1)")), 400, "return_url"),
        bad(with("description", json!("x".repeat(501))), 400, "description"),
        bad(with("payment_method", json!("")), 400, "payment_method"),
        bad(with("payment_method", json!(CARD)), 400, "payment_method"),
        bad(with("description", json!(format!("card {CARD} of Ada"))), 400, "description"),
        bad(with("metadata", json!({"card": CARD.replace(' ', "-")})), 400, "metadata.card"),
        bad(with("metadata", json!({"n": 1})), 400, "metadata"),
        bad("{\"amount\": 1200,".to_owned(), 400, ""),
        bad("[]".to_owned(), 400, ""),
        bad(String::new(), 400, ""),
        bad(with("description", json!("x".repeat(70_000))), 413, ""),
        Bad { content_type: "text/plain", ..bad(good().to_string(), 415, "") },
        keyed(None),
        keyed(Some("")),
        Bad { key: Some("k".repeat(256)), ..keyed(None) },
        keyed(Some("4242424242424242")),
    ]
}

crate::on_each_store! {
    async fn bad_input_gets_a_problem_that_names_the_field_and_never_echoes_a_card(world: World) {
        for case in bad_requests() {
            let mut request = world.http.post(format!("http://{}/v1/charges", world.api));
            request = request.bearer_auth(world.secret.expose_secret()).header("Content-Type", case.content_type);
            if let Some(key) = &case.key {
                request = request.header("Idempotency-Key", key);
            }
            let response = request.body(case.body.clone()).send().await.unwrap();
            let shown: String = case.body.chars().take(120).collect();
            assert_eq!(response.status().as_u16(), case.status, "{shown}");
            assert_eq!(response.headers()["content-type"], "application/problem+json", "{shown}");
            let text = response.text().await.unwrap();
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(problem["param"].as_str().unwrap_or_default(), case.param, "{shown} → {text}");
            assert!(problem["code"].is_string() && problem["request_id"].is_string(), "{text}");
            assert!(!text.contains("4242"), "a card number was echoed: {text}");
        }
        assert!(world.store.walk(None, 1).await.unwrap().is_empty(), "nothing was stored");
        world.finish().await;
    }

    async fn sixty_four_identical_requests_at_once_make_one_charge(world: World) {
        let body = good();
        let posts = (0..64).map(|_| world.post("/v1/charges", "same", &body));
        let answers = futures_util::future::join_all(posts).await;
        let accepted: Vec<String> =
            answers.iter().filter(|(status, _)| *status == StatusCode::ACCEPTED).map(|(_, body)| body.to_string()).collect();
        assert!(answers.iter().all(|(status, _)| [StatusCode::ACCEPTED, StatusCode::CONFLICT].contains(status)));
        assert_eq!(accepted.iter().collect::<HashSet<_>>().len(), 1, "every answer is the same");
        assert_eq!(world.store.walk(None, 10).await.unwrap().len(), 1, "one charge");
        let (status, problem) = world.post("/v1/charges", "same", &json!({"amount": 1, "currency": "eur", "payment_method": "pm_card_visa"})).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("idempotency_key_reused")));
        world.work().await;
        world.finish().await;
    }

    async fn a_repeated_cancel_or_capture_is_answered_and_not_done_again(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        let path = format!("/v1/charges/{id}/capture");
        let first = world.post(&path, "k", &json!({})).await;
        world.work().await;
        let second = world.post(&path, "k", &json!({})).await;
        assert_eq!(first, second);
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        world.finish().await;
    }

    async fn a_merchant_sees_only_its_own(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        let stranger = World::over(std::sync::Arc::clone(&world.store)).await;
        for path in [format!("/v1/charges/{id}"), format!("/v1/charges/{id}/history")] {
            let (status, problem) = stranger.get(&path).await;
            let (missing, unknown) = stranger.get(&path.replace(&id.to_string(), "ch_00000000000070008000000000000002")).await;
            assert_eq!((status, &problem["code"], &problem["detail"]), (missing, &unknown["code"], &unknown["detail"]));
            assert_eq!(status, StatusCode::NOT_FOUND);
        }
        for act in ["capture", "cancel"] {
            let (status, _) = stranger.post(&format!("/v1/charges/{id}/{act}"), "k", &json!({})).await;
            assert_eq!(status, StatusCode::NOT_FOUND);
        }
        assert_eq!(stranger.get("/v1/charges").await.1["data"], json!([]));
        assert_eq!(world.get("/v1/charges").await.1["data"].as_array().unwrap().len(), 1);
        world.work().await;
        world.finish().await;
    }

    async fn a_list_is_paged_newest_first(world: World) {
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(world.charge("pm_card_visa", "automatic").await);
            world.clock.skip(Duration::from_millis(2));
        }
        ids.reverse();
        let mut seen: Vec<PaymentId> = Vec::new();
        let mut path = "/v1/charges?limit=2".to_owned();
        loop {
            let (_, page) = world.get(&path).await;
            let data = page["data"].as_array().unwrap().clone();
            seen.extend(data.iter().map(|charge| charge["id"].as_str().unwrap().parse::<PaymentId>().unwrap()));
            if page["has_more"] == json!(false) {
                break;
            }
            path = format!("/v1/charges?limit=2&starting_after={}", seen.last().unwrap());
        }
        assert_eq!(seen, ids);
        world.work().await;
        world.finish().await;
    }
}
