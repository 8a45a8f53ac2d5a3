//! Endpoints over the API: made, changed, rotated, tested, deleted; and nobody else's.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fincore_tests::world::World;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use workflow::signing::SigningKey;

use super::receiver::{Received, Receiver};
use super::{deliverer, endpoint, listen};

/// Sends with this world's key, and a new idempotency key where there is a body.
async fn send(world: &World, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let request = world.http.request(method, format!("http://{}{path}", world.api));
    let request = request.bearer_auth(world.secret.expose_secret());
    let request = match body {
        Some(body) => request.header("Idempotency-Key", format!("{:032x}", rand::random::<u128>())).json(&body),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn one_event(world: &World, receiver: &Receiver) -> Received {
    world.charge("pm_card_visa", "automatic").await;
    world.work().await;
    deliverer(world).run_once().await.unwrap();
    receiver.received().pop().unwrap()
}

fn is_signed_by(received: &Received, key: &str) -> bool {
    let key = SigningKey::parse(key).unwrap();
    let signed = key.sign(received.header("webhook-id"), received.header("webhook-timestamp"), &received.raw);
    received.header("webhook-signature").split(' ').any(|signature| signature == signed)
}

crate::on_each_store! {
    async fn the_secret_is_shown_when_it_is_made_and_never_again(world: World) {
        let receiver = Receiver::start().await;
        let body = json!({"url": receiver.url(), "description": "Büro"});
        let (status, made) = world.post("/v1/webhook_endpoints", "make", &body).await;
        assert_eq!(status, StatusCode::CREATED);
        let secret = made["secret"].as_str().unwrap();
        assert!(secret.starts_with("whsec_") && STANDARD.decode(&secret[6..]).unwrap().len() == 32);
        assert_eq!(made["enabled_events"], json!(["*"]));
        assert_eq!((&made["status"], &made["signature"], &made["public_key"]), (&json!("enabled"), &json!("hmac"), &Value::Null));
        let path = format!("/v1/webhook_endpoints/{}", made["id"].as_str().unwrap());
        let (_, read) = world.get(&path).await;
        let mut without = made.clone();
        without.as_object_mut().unwrap().remove("secret");
        assert_eq!(read, without);
        let (_, list) = world.get("/v1/webhook_endpoints").await;
        assert_eq!((&list["data"], &list["has_more"]), (&json!([read]), &json!(false)));
        // The repetition of the request that made it is the first answer, byte for byte.
        let (status, again) = world.post("/v1/webhook_endpoints", "make", &body).await;
        assert_eq!((status, again), (StatusCode::CREATED, made));
        let (status, other) = world.post("/v1/webhook_endpoints", "make", &json!({"url": receiver.url()})).await;
        assert_eq!((status, &other["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
        assert_eq!(world.get("/v1/webhook_endpoints").await.1["data"].as_array().unwrap().len(), 1);
        world.finish().await;
    }

    async fn a_repetition_is_marked_and_leads_to_the_same_place(world: World) {
        let post = async || {
            let request = world.http.post(format!("http://{}/v1/webhook_endpoints", world.api));
            let request = request.bearer_auth(world.secret.expose_secret()).header("Idempotency-Key", "make");
            request.json(&json!({"url": "https://shop.example.com/"})).send().await.unwrap()
        };
        let (first, again) = (post().await, post().await);
        assert_eq!(first.headers()["location"], again.headers()["location"]);
        assert!(first.headers().get("idempotency-replayed").is_none());
        assert_eq!(again.headers()["idempotency-replayed"], "true");
        assert_eq!(first.bytes().await.unwrap(), again.bytes().await.unwrap());
        world.finish().await;
    }

    async fn during_a_rotation_both_secrets_sign_and_afterwards_the_new_one(world: World) {
        let receiver = Receiver::start().await;
        let made = listen(&world, &receiver).await;
        let old = made["secret"].as_str().unwrap();
        let path = format!("/v1/webhook_endpoints/{}/rotate_secret", made["id"].as_str().unwrap());
        let (status, rotated) = world.post(&path, "rotate", &json!({"overlap_seconds": 3_600})).await;
        assert_eq!(status, StatusCode::OK);
        let new = rotated["secret"].as_str().unwrap();
        assert!(new != old && rotated["former_secret_expires_at"].is_string(), "{rotated}");
        let during = one_event(&world, &receiver).await;
        assert!(is_signed_by(&during, old) && is_signed_by(&during, new));
        world.clock.skip(Duration::from_secs(3_601));
        let after = one_event(&world, &receiver).await;
        assert!(!is_signed_by(&after, old) && is_signed_by(&after, new));
        // A secret that leaked is good for nothing from now on.
        let (_, at_once) = world.post(&path, "rotate at once", &json!({"overlap_seconds": 0})).await;
        let last = one_event(&world, &receiver).await;
        assert!(!is_signed_by(&last, new) && is_signed_by(&last, at_once["secret"].as_str().unwrap()));
        world.finish().await;
    }

    async fn with_ed25519_only_the_public_key_is_ever_shown(world: World) {
        let receiver = Receiver::start().await;
        let made = endpoint(&world, json!({"url": receiver.url(), "signature": "ed25519"})).await;
        assert_eq!((&made["signature"], &made["secret"]), (&json!("ed25519"), &Value::Null));
        assert!(made["public_key"].as_str().unwrap().starts_with("whpk_"), "{made}");
        let event = one_event(&world, &receiver).await;
        assert!(event.header("webhook-signature").starts_with("v1a,"));
        let path = format!("/v1/webhook_endpoints/{}/rotate_secret", made["id"].as_str().unwrap());
        let (_, rotated) = world.post(&path, "rotate", &Value::Null).await;
        assert!(rotated["public_key"] != made["public_key"] && rotated["secret"].is_null(), "{rotated}");
        let event = one_event(&world, &receiver).await;
        assert_eq!(event.header("webhook-signature").split(' ').count(), 2);
        assert!(!format!("{made}{rotated}").contains("whsk_"));
        world.finish().await;
    }

    async fn a_change_counts_for_what_is_pending_too(world: World) {
        let (old, new) = (Receiver::start().await, Receiver::start().await);
        old.answer(500);
        let made = listen(&world, &old).await;
        one_event(&world, &old).await;
        let path = format!("/v1/webhook_endpoints/{}", made["id"].as_str().unwrap());
        let change = json!({"url": new.url(), "description": "moved", "enabled_events": ["charge.succeeded"]});
        let (status, changed) = world.post(&path, "move", &change).await;
        assert_eq!((status, &changed["description"]), (StatusCode::OK, &json!("moved")));
        assert_eq!(changed["enabled_events"], json!(["charge.succeeded"]));
        assert_eq!(changed["created"], made["created"]);
        world.clock.skip(Duration::from_hours(1));
        deliverer(&world).run_once().await.unwrap();
        assert_eq!((old.received().len(), new.received().len()), (1, 1));
        let (_, cleared) = world.post(&path, "clear", &json!({"description": ""})).await;
        assert_eq!((&cleared["description"], &cleared["url"]), (&Value::Null, &json!(new.url())));
        world.finish().await;
    }

    async fn an_endpoint_that_is_disabled_or_deleted_hears_nothing_more(world: World) {
        let (off, gone) = (Receiver::start().await, Receiver::start().await);
        off.answer(500);
        gone.answer(500);
        let (first, second) = (listen(&world, &off).await, listen(&world, &gone).await);
        one_event(&world, &off).await;
        let path = |endpoint: &Value| format!("/v1/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());
        world.post(&path(&first), "off", &json!({"disabled": true})).await;
        let deleted = send(&world, Method::DELETE, &path(&second), None).await;
        assert_eq!(deleted, (StatusCode::OK, json!({"id": second["id"], "object": "webhook_endpoint", "deleted": true})));
        assert_eq!(send(&world, Method::DELETE, &path(&second), None).await.0, StatusCode::NOT_FOUND);
        world.clock.skip(Duration::from_hours(7));
        world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        assert_eq!(deliverer(&world).run_once().await.unwrap(), 0);
        assert_eq!((off.received().len(), gone.received().len()), (1, 1));
        world.finish().await;
    }

    async fn a_test_is_sent_in_the_way_of_all_events(world: World) {
        let receiver = Receiver::start().await;
        let made = endpoint(&world, json!({"url": receiver.url(), "enabled_events": ["charge.failed"]})).await;
        let path = format!("/v1/webhook_endpoints/{}", made["id"].as_str().unwrap());
        let (status, asked) = world.post(&format!("{path}/test"), "test", &Value::Null).await;
        assert_eq!((status, &asked["event_type"]), (StatusCode::ACCEPTED, &json!("webhook_endpoint.test")));
        assert_eq!(world.post(&format!("{path}/test"), "test", &json!({})).await.1, asked);
        assert_eq!(deliverer(&world).run_once().await.unwrap(), 1);
        let event = receiver.received().remove(0);
        assert!(is_signed_by(&event, made["secret"].as_str().unwrap()));
        assert_eq!(event.body["data"]["object"], json!({"id": made["id"], "object": "webhook_endpoint"}));
        assert_eq!((&event.body["id"], &event.body["sequence"]), (&asked["event"], &Value::Null));
        let (_, read) = world.get(&format!("{path}/deliveries/{}", asked["event"].as_str().unwrap())).await;
        assert_eq!((&read["status"], &read["last_attempt"]["status"]), (&json!("delivered"), &json!(200)));
        world.finish().await;
    }

    async fn the_log_has_pages_and_a_filter(world: World) {
        let receiver = Receiver::start().await;
        let made = listen(&world, &receiver).await;
        for _ in 0..5 {
            world.charge("pm_card_visa", "automatic").await;
            world.clock.skip(Duration::from_millis(1));
        }
        world.work().await;
        let path = format!("/v1/webhook_endpoints/{}/deliveries", made["id"].as_str().unwrap());
        let (mut seen, mut next) = (Vec::new(), format!("{path}?limit=2&status=pending"));
        loop {
            let (status, page) = world.get(&next).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["event"].clone()));
            if page["has_more"] == json!(false) {
                break;
            }
            next = format!("{path}?limit=2&status=pending&starting_after={}", seen.last().unwrap().as_str().unwrap());
        }
        let different: std::collections::HashSet<_> = seen.iter().map(Value::to_string).collect();
        assert_eq!((seen.len(), different.len()), (5, 5));
        for bad in ["limit=0", "limit=101", "status=lost", "starting_after=ch_1", "order=asc"] {
            assert_eq!(world.get(&format!("{path}?{bad}")).await.0, StatusCode::BAD_REQUEST, "{bad}");
        }
        world.finish().await;
    }

    async fn what_is_another_merchants_does_not_exist(world: World) {
        let receiver = Receiver::start().await;
        let made = listen(&world, &receiver).await;
        let event = one_event(&world, &receiver).await.header("webhook-id").to_owned();
        let stranger = World::over(Arc::clone(&world.store)).await;
        let (id, nobody) = (made["id"].as_str().unwrap(), "we_0197f3c2a1b47c6e8d5f00112233aabb");
        let no_event = "evt_0197f3c2a1b47c6e8d5f00112233aabb";
        let routes = |id: &str, event: &str| {
            let path = format!("/v1/webhook_endpoints/{id}");
            [
                (Method::GET, path.clone(), None),
                (Method::POST, path.clone(), Some(json!({"disabled": true}))),
                (Method::DELETE, path.clone(), None),
                (Method::POST, format!("{path}/rotate_secret"), Some(json!({}))),
                (Method::POST, format!("{path}/test"), Some(json!({}))),
                (Method::GET, format!("{path}/deliveries"), None),
                (Method::GET, format!("{path}/deliveries/{event}"), None),
                (Method::POST, format!("{path}/deliveries/{event}/resend"), Some(json!({}))),
                (Method::GET, format!("/v1/events/{event}"), None),
            ]
        };
        for ((method, path, body), (_, missing, _)) in routes(id, &event).into_iter().zip(routes(nobody, no_event)) {
            let (status, mut theirs) = send(&stranger, method.clone(), &path, body.clone()).await;
            let (no_status, mut none) = send(&stranger, method.clone(), &missing, body).await;
            assert_eq!((status, no_status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND), "{method} {path}");
            for body in [&mut theirs, &mut none] {
                body.as_object_mut().unwrap().remove("request_id");
            }
            assert_eq!(theirs, none, "{method} {path}: nobody can tell which it is");
        }
        assert_eq!(send(&stranger, Method::GET, "/v1/webhook_endpoints", None).await.1["data"], json!([]));
        // Their own endpoint does not open our events either.
        let own = listen(&stranger, &receiver).await;
        let path = format!("/v1/webhook_endpoints/{}/deliveries/{event}", own["id"].as_str().unwrap());
        assert_eq!(send(&stranger, Method::GET, &path, None).await.0, StatusCode::NOT_FOUND);
        let (_, untouched) = world.get(&format!("/v1/webhook_endpoints/{id}")).await;
        assert_eq!(untouched["status"], "enabled");
        world.finish().await;
    }

    async fn there_are_sixteen_endpoints_at_most(world: World) {
        for _ in 0..16 {
            endpoint(&world, json!({"url": "https://shop.example.com/"})).await;
        }
        let (status, refused) = world.post("/v1/webhook_endpoints", "one more", &json!({"url": "https://a.example.com/"})).await;
        assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("webhook_endpoint_limit")));
        world.finish().await;
    }

    async fn many_changes_at_once_all_count(world: World) {
        let made = endpoint(&world, json!({"url": "https://shop.example.com/"})).await;
        let path = format!("/v1/webhook_endpoints/{}", made["id"].as_str().unwrap());
        let first = json!({"description": "a"});
        let second = json!({"enabled_events": ["charge.failed"]});
        let third = json!({"url": "https://other.example.com/"});
        let (a, b, c) = tokio::join!(
            world.post(&path, "a", &first),
            world.post(&path, "b", &second),
            world.post(&path, "c", &third)
        );
        assert!([a.0, b.0, c.0].iter().all(|status| *status == StatusCode::OK), "{a:?} {b:?} {c:?}");
        let (_, read) = world.get(&path).await;
        assert_eq!((&read["description"], &read["url"]), (&json!("a"), &json!("https://other.example.com/")));
        assert_eq!(read["enabled_events"], json!(["charge.failed"]));
        world.finish().await;
    }
}
