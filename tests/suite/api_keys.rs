//! API keys: what they open, until when, and for which money.

use std::time::Duration;

use fincore_tests::build;
use fincore_tests::database::TestDatabase;
use fincore_tests::process::Program;
use fincore_tests::world::{Process, World};
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::clock::Clock;
use workflow::port::store::{ApiKey, Mode, Rotation, Scope, StoreError};
use workflow::shared::Shared;

/// Within this a revocation is effective everywhere.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(5);

/// A stored key of this merchant.
async fn stored(world: &World, merchant_id: MerchantId, mode: Mode) -> (SecretString, ApiKey) {
    let id = ApiKeyId::new(world.clock.now(), [rand::random(), rand::random()]);
    let (secret, key) = api::new_api_key(rand::random(), mode, id, merchant_id, world.clock.now());
    world.store.add_api_key(&key).await.unwrap();
    (secret, key)
}

async fn list(world: &World, secret: &SecretString) -> Response {
    let request = world.http.get(format!("http://{}/v1/charges", world.api)).bearer_auth(secret.expose_secret());
    request.send().await.unwrap()
}

async fn opens(world: &World, secret: &SecretString) -> bool {
    match list(world, secret).await.status() {
        StatusCode::OK => true,
        StatusCode::UNAUTHORIZED => false,
        other => panic!("{other}"),
    }
}

crate::on_each_store! {
    async fn a_revocation_is_effective_within_five_seconds_in_every_process(world: World) {
        let shared = Shared::alone(std::sync::Arc::clone(&world.clock) as std::sync::Arc<dyn Clock>);
        let there = world.beside(std::sync::Arc::clone(&world.store), Process::sharing(shared)).await;
        let (secret, key) = stored(&world, world.merchant, Mode::Test).await;
        assert!(opens(&world, &secret).await && opens(&there, &secret).await);
        let revoked = world.store.revoke_api_key(key.id, world.clock.now()).await.unwrap().unwrap();
        assert_eq!(revoked.revoked_at, Some(world.clock.now()));
        world.clock.skip(EFFECTIVE_WITHIN - Duration::from_secs(1));
        assert!(!opens(&world, &secret).await && !opens(&there, &secret).await);
        assert!(opens(&world, &world.secret).await, "its siblings go on");
        let again = world.store.revoke_api_key(key.id, world.clock.now()).await.unwrap().unwrap();
        assert_eq!(again, revoked, "it stays revoked since then");
        let unknown = ApiKeyId::new(world.clock.now(), [7, 7]);
        assert_eq!(world.store.revoke_api_key(unknown, world.clock.now()).await.unwrap(), None);
        world.finish().await;
    }

    async fn a_rotated_key_goes_on_for_the_overlap_and_no_longer(world: World) {
        let (old_secret, old) = stored(&world, world.merchant, Mode::Test).await;
        let (secret, new) = api::new_api_key(rand::random(), Mode::Test, build::api_key(9).id, world.merchant, world.clock.now());
        let old_until = world.clock.now() + Duration::from_hours(24);
        let rotation = Rotation { old: old.id, old_until, new: new.id, secret_hash: new.secret_hash, created_at: new.created_at };
        let stored = world.store.rotate_api_key(rotation).await.unwrap().unwrap();
        assert_eq!((stored.id, stored.scopes, &stored.name, stored.revoked_at), (new.id, old.scopes, &old.name, None));
        assert!(opens(&world, &old_secret).await && opens(&world, &secret).await);
        let twice = Rotation { new: build::api_key(10).id, secret_hash: build::api_key(10).secret_hash, ..rotation };
        assert_eq!(world.store.rotate_api_key(twice).await.unwrap(), None, "a key is replaced once");
        world.clock.skip(Duration::from_hours(24) - Duration::from_secs(1));
        assert!(opens(&world, &old_secret).await);
        // To the microsecond, though it was looked up a second ago.
        world.clock.skip(Duration::from_secs(1));
        assert!(!opens(&world, &old_secret).await);
        assert!(opens(&world, &secret).await);
        world.finish().await;
    }

    async fn test_and_live_never_meet(world: World) {
        let live = MerchantId::new(world.clock.now(), [rand::random(), rand::random()]);
        let (secret, key) = stored(&world, live, Mode::Live).await;
        assert!(secret.expose_secret().starts_with("fc_live_"));
        assert_eq!(world.store.merchant_mode(live).await.unwrap(), Some(Mode::Live));
        assert_eq!(world.store.merchant_mode(build::merchant(77)).await.unwrap(), None);
        let of_the_other_mode = ApiKey { mode: Mode::Test, secret_hash: build::api_key(8).secret_hash, id: build::api_key(8).id, ..key };
        let refused = world.store.add_api_key(&of_the_other_mode).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        // The PSP accounts of this world are test accounts.
        let body = json!({"amount": 1200, "currency": "eur", "payment_method": "pm_card_visa"});
        let request = world.http.post(format!("http://{}/v1/charges", world.api)).bearer_auth(secret.expose_secret());
        let answer = request.header("Idempotency-Key", "k").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "mode_mismatch");
        assert!(world.store.walk(None, 1).await.unwrap().is_empty(), "nothing was stored");
        assert!(opens(&world, &secret).await, "it may still read what is its own");
        world.finish().await;
    }

    async fn the_use_of_a_key_is_noted_once_an_hour(world: World) {
        let (secret, key) = stored(&world, world.merchant, Mode::Test).await;
        let noted = async || world.store.api_key(key.secret_hash).await.unwrap().unwrap().last_used_at;
        let until_noted = async |at| {
            for _ in 0..200 {
                if noted().await == Some(at) { return; }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            panic!("not noted: {:?}", noted().await);
        };
        assert_eq!(noted().await, None);
        let first = world.clock.now();
        assert!(opens(&world, &secret).await);
        until_noted(first).await;
        world.clock.skip(Duration::from_mins(59));
        assert!(opens(&world, &secret).await);
        world.clock.skip(Duration::from_mins(1));
        assert!(opens(&world, &secret).await);
        until_noted(first + Duration::from_hours(1)).await;
        world.finish().await;
    }
}

#[tokio::test]
async fn keys_are_made_listed_rotated_and_revoked_on_the_command_line() {
    let database = TestDatabase::sqlite();
    let program = Program {
        binary: env!("CARGO_BIN_EXE_fincore-under-test"),
        env: vec![("FINCORE_DATABASE_URL", database.url())],
    };
    program.run(&["migrate"]);
    let made =
        program.run(&["keys", "create", "--name", "the till", "--scope", "charges:read", "--scope", "refunds:write"]);
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}")).trim().to_owned()
    };
    let (merchant, key, secret) = (field(&made, "merchant"), field(&made, "key"), field(&made, "secret"));
    assert_eq!(field(&made, "mode"), "test");
    let listed = || {
        let lines = program.run(&["keys", "list", "--json", "--revoked"]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let first = &listed()[0];
    assert_eq!((&first["name"], &first["scopes"]), (&json!("the till"), &json!(["charges:read", "refunds:write"])));
    assert!(!format!("{first}").contains(&secret), "a secret is shown once");

    let second = program.run(&["keys", "create", "--merchant", &merchant]);
    assert_eq!(field(&second, "merchant"), merchant);
    let refused = program.print(&["keys", "create", "--merchant", &merchant, "--live"]);
    assert!(!refused.is_success && refused.complaint.contains("is a test merchant"), "{refused:?}");
    let live = program.run(&["keys", "create", "--live"]);
    assert!(field(&live, "secret").starts_with("fc_live_"));
    let same_mode = program.run(&["keys", "create", "--merchant", &field(&live, "merchant")]);
    assert_eq!(field(&same_mode, "mode"), "live", "a merchant stays what it was made");

    let rotated = program.run(&["keys", "rotate", &key, "--overlap", "1h"]);
    assert_ne!(field(&rotated, "secret"), secret);
    assert_eq!((field(&rotated, "merchant"), field(&rotated, "scopes")), (merchant, field(&made, "scopes")));
    let again = program.print(&["keys", "rotate", &key]);
    assert!(!again.is_success && again.complaint.contains("replaced already"), "{again:?}");
    let until = |id: &str| listed().into_iter().find(|key| key["id"] == id).unwrap()["revoked"].clone();
    assert!(until(&key).is_string(), "the old key ends by itself");
    let replacement = field(&rotated, "key");
    assert_eq!(until(&replacement), Value::Null);
    program.run(&["keys", "revoke", &replacement]);
    assert!(until(&replacement).is_string());
    let shown = program.run(&["keys", "list"]);
    assert!(shown.contains(&key) && !shown.contains(&replacement), "{shown}");
    let unknown = program.print(&["keys", "revoke", "key_0197f3c2a1b47c6e8d5f00112233aabb"]);
    assert!(!unknown.is_success && unknown.complaint.contains("there is no key"), "{unknown:?}");
    for scope in ["charges", "ops", ""] {
        assert!(!program.print(&["keys", "create", "--scope", scope]).is_success, "{scope}");
    }
    assert_eq!(Scope::Ops.to_string(), "ops:*");
}
