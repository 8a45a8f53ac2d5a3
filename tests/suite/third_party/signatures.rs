//! Webhook signatures against the providers' own libraries: we believe what they sign, they believe what our sandbox
//! signs, and neither believes anything that was changed.

use activities::gateway::adyen::{Adyen, AdyenConfig};
use activities::gateway::stripe::{Stripe, StripeConfig};
use fincore_tests::third_party::{HmacVector, Tools};
use fincore_tests::world::WEBHOOK_SECRET;
use serde_json::{Value, json};
use testkit::{MockPsp, Rig};
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::gateway::{Gateway, WebhookRefused};

const OTHER_SECRET: &str = "whsec_fedcba9876543210fedcba9876543210";
/// The most that clocks may differ by, in seconds: the library's tolerance, and ours.
const TOLERANCE_S: i64 = 300;
/// Longer than the machine takes for one test, so that what was outside the tolerance stays there.
const MARGIN_S: i64 = 60;

/// Bodies that are easily signed wrongly.
fn bodies() -> Vec<String> {
    let event =
        |data: &str| format!(r#"{{"id":"evt_1","object":"event","type":"some.thing","data":{{"object":{data}}}}}"#);
    vec![
        event("{}"),
        event(r#"{"object":"payment_intent","description":"Füße 🧾 1.2.3, v1=0,t=1"}"#),
        format!(" \r\n\t{}\n\n", event(r#"{"escaped":"\u0000\ud83e\uddfe\/"}"#)),
        event(&format!("\"{}\"", "x".repeat(100_000))),
    ]
}

/// What our gateway says of a webhook at this time, which may be authentic and still say nothing to us.
fn ours(secrets: &[&str], header: &str, body: &str, now_s: i64) -> Result<(), WebhookRefused> {
    let secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    let gateway = Stripe::new(StripeConfig::new("psp", secrets).unwrap());
    let now = jiff::Timestamp::from_second(now_s).unwrap();
    let read = gateway.verify(&|name| (name == "stripe-signature").then(|| header.to_owned()), body.as_bytes(), now);
    read.map(drop)
}

/// Gives orders to the provider's library.
async fn theirs(tools: &Tools, orders: &[Value]) -> Vec<Value> {
    let lines: String = orders.iter().map(|order| format!("{order}\n")).collect();
    let said = tools.script("stripe_signatures.py", &lines).await;
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), orders.len(), "one answer for each order");
    answers
}

#[tokio::test]
async fn we_believe_what_the_providers_library_signs_and_nothing_else() {
    let Some(tools) = Tools::find() else { return };
    let time_s = SystemClock.now().as_second();
    let sign = |body| json!({"sign": {"secret": WEBHOOK_SECRET, "time_s": time_s, "body": body}});
    let orders: Vec<_> = bodies().iter().map(sign).collect();
    for (body, answer) in bodies().iter().zip(theirs(&tools, &orders).await) {
        let header = answer["header"].as_str().unwrap();
        let signature = header.split_once(",v1=").unwrap().1;
        let rotated = format!("t={time_s},v1={},v1={signature},v0=00", "0".repeat(64));
        for skew_s in [-TOLERANCE_S, 0, TOLERANCE_S] {
            assert_eq!(ours(&[WEBHOOK_SECRET], header, body, time_s + skew_s), Ok(()));
            assert_eq!(ours(&[OTHER_SECRET, WEBHOOK_SECRET], &rotated, body, time_s + skew_s), Ok(()));
        }
        for skew_s in [-TOLERANCE_S - 1, TOLERANCE_S + 1, -1_000_000, 1_000_000] {
            let refused = Err(WebhookRefused::TimestampOutsideTolerance);
            assert_eq!(ours(&[WEBHOOK_SECRET], header, body, time_s + skew_s), refused);
        }
        let mismatch = Err(WebhookRefused::SignatureMismatch);
        assert_eq!(ours(&[OTHER_SECRET], header, body, time_s), mismatch);
        for tampered in [format!("{body} "), body.replacen("evt_1", "evt_2", 1), body.replacen('{', "", 1)] {
            assert_eq!(ours(&[WEBHOOK_SECRET], header, &tampered, time_s), mismatch);
        }
        let later = header.replacen(&time_s.to_string(), &(time_s + 1).to_string(), 1);
        assert_eq!(ours(&[WEBHOOK_SECRET], &later, body, time_s), mismatch);
    }
}

#[tokio::test]
async fn the_providers_library_believes_what_the_sandbox_signs_and_nothing_else() {
    let Some(tools) = Tools::find() else { return };
    let now_s = SystemClock.now().as_second();
    let mut orders = Vec::new();
    let mut expected = Vec::new();
    let mut order = |signed_at: i64, signed: &str, sent: &str, secret: &str, believed: bool| {
        let header = sandbox::sign(WEBHOOK_SECRET, signed_at, signed.as_bytes());
        orders.push(json!({"verify": {"secret": secret, "header": header, "body": sent}}));
        expected.push(believed);
        // We agree with the library about each of them.
        assert_eq!(ours(&[secret], &header, sent, now_s).is_ok(), believed, "{header} {sent:.100}");
    };
    for body in bodies() {
        order(now_s, &body, &body, WEBHOOK_SECRET, true);
        order(now_s - TOLERANCE_S + MARGIN_S, &body, &body, WEBHOOK_SECRET, true);
        order(now_s - TOLERANCE_S - 1, &body, &body, WEBHOOK_SECRET, false);
        order(now_s, &body, &body, OTHER_SECRET, false);
        order(now_s, &body, &format!("{body}\n"), WEBHOOK_SECRET, false);
        order(now_s, &body, &body.replacen("evt_1", "evt_2", 1), WEBHOOK_SECRET, false);
    }
    let answers = theirs(&tools, &orders).await;
    let believed: Vec<_> = answers.iter().map(|answer| answer["refused"].is_null()).collect();
    assert_eq!(believed, expected, "{answers:#?}");
}

/// The one place where we are stricter than the library: it believes what was signed in the far future.
#[tokio::test]
async fn only_we_refuse_what_was_signed_in_the_far_future() {
    let Some(tools) = Tools::find() else { return };
    let (now_s, body) = (SystemClock.now().as_second(), &bodies()[0]);
    let header = sandbox::sign(WEBHOOK_SECRET, now_s + 86_400, body.as_bytes());
    let order = json!({"verify": {"secret": WEBHOOK_SECRET, "header": header, "body": body}});
    assert_eq!(theirs(&tools, &[order]).await[0]["refused"], Value::Null);
    let refused = Err(WebhookRefused::TimestampOutsideTolerance);
    assert_eq!(ours(&[WEBHOOK_SECRET], &header, body, now_s), refused);
}

/// The vectors that a gateway for Adyen is tested with: each says what it claims to say.
#[tokio::test]
async fn the_hmac_vectors_cover_what_is_easily_verified_wrongly() {
    let Some(tools) = Tools::find() else { return };
    let vectors = tools.hmac_vectors().await;
    let find = |name: &str| vectors.iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("no {name}"));
    let items = |vector: &HmacVector| -> Vec<Value> {
        let body: Value = serde_json::from_str(&vector.body).unwrap();
        body["notificationItems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["NotificationRequestItem"].clone())
            .collect()
    };
    for vector in &vectors {
        assert_eq!(items(vector).len(), vector.valid.len(), "{}", vector.name);
        assert_eq!(vectors.iter().filter(|other| other.name == vector.name).count(), 1, "{}", vector.name);
        assert_eq!(hex::decode(&vector.hmac_key).map(|key| key.len()), Ok(32), "{}", vector.name);
        let bad = ["tampered", "signed with", "no additional", "no signature", "empty signature", "signature "];
        let is_bad = bad.iter().any(|start| vector.name.starts_with(start));
        assert!(!is_bad || vector.valid == [false], "{} is valid", vector.name);
        assert!(
            is_bad || vector.name.starts_with("several") || vector.valid.iter().all(|valid| *valid),
            "{}",
            vector.name
        );
    }
    assert_eq!(items(find("zero amount"))[0]["amount"]["value"], 0);
    assert_eq!(items(find("every text empty"))[0]["merchantReference"], "");
    assert_eq!(items(find("colons in the merchant reference"))[0]["merchantReference"], "a:b::c:");
    assert_eq!(items(find("backslashes in the merchant reference"))[0]["merchantReference"], r"a\b\\c\:d\");
    assert!(items(find("no original reference at all"))[0].get("originalReference").is_none());
    assert_eq!(find("several items").valid, [true, true, true]);
    assert_eq!(find("several items, the second tampered").valid, [true, false, true]);
    assert_eq!(find("several items, signatures swapped").valid, [false, false]);
    assert_eq!(find("no items").valid, Vec::<bool>::new());
    let valid = vectors.iter().flat_map(|vector| &vector.valid).filter(|valid| **valid).count();
    let all: usize = vectors.iter().map(|vector| vector.valid.len()).sum();
    eprintln!("{} webhooks with {all} items, {valid} of them valid", vectors.len());
}

#[tokio::test]
async fn we_believe_an_adyen_webhook_exactly_when_its_library_believes_every_item() {
    let Some(tools) = Tools::find() else { return };
    let (mut believed, mut refused) = (0, 0);
    for vector in tools.hmac_vectors().await {
        let body: Value = serde_json::from_str(&vector.body).unwrap();
        let account = body.pointer("/notificationItems/0/NotificationRequestItem/merchantAccountCode");
        // A webhook of another merchant account, or of none, is not ours, whoever signed it.
        let is_ours = account.and_then(Value::as_str) == Some("TestMerchant");
        let keys = vec![vector.hmac_key.as_str().into()];
        let gateway = Adyen::new(AdyenConfig::new("psp", "TestMerchant", keys, None).unwrap());
        let verified = gateway.verify(&|_| None, vector.body.as_bytes(), SystemClock.now());
        let is_right = is_ours && !vector.valid.is_empty() && vector.valid.iter().all(|valid| *valid);
        assert_eq!(verified.is_ok(), is_right, "{}: {verified:?}", vector.name);
        if let Ok(items) = verified {
            assert_eq!(items.len(), vector.valid.len(), "{}", vector.name);
            believed += 1;
        } else {
            refused += 1;
        }
    }
    assert!(believed >= 5 && refused >= 5, "{believed} believed, {refused} refused");
}

#[tokio::test]
async fn adyens_library_believes_what_the_testkit_signs_and_nothing_that_was_changed() {
    let Some(tools) = Tools::find() else { return };
    let psp = MockPsp::adyen().await;
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    let order = |signed: &testkit::dialect::Signed| {
        let body = std::str::from_utf8(&signed.body).unwrap();
        format!("{}\n", json!({"hmac_key": psp.webhook_secret(), "body": body}))
    };
    let good: Vec<_> = psp.webhooks().signed().into_iter().chain(psp.webhooks().bundled().signed()).collect();
    let bad: Vec<_> = psp.webhooks().tampered().signed().into_iter().chain(psp.webhooks().forged().signed()).collect();
    for (webhooks, expected) in [(good, true), (bad, false)] {
        let orders: String = webhooks.iter().map(order).collect();
        let said = tools.script("adyen_verify.py", &orders).await;
        let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), webhooks.len());
        for answer in answers {
            let valid = answer["valid"].as_array().unwrap();
            assert!(!valid.is_empty() && valid.iter().all(|valid| *valid == json!(expected)), "{answer}");
        }
    }
    rig.deliver(psp.webhooks()).await;
    assert_eq!(rig.state(id).await, workflow::definition::State::Succeeded);
}
