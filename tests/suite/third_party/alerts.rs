//! The alerts that we post, verified by the library that receivers use.

use std::sync::Arc;

use fincore_tests::build;
use fincore_tests::third_party::Tools;
use reqwest::StatusCode;
use serde_json::{Value, json};
use wiremock::Request;
use workflow::decide::Redriving;
use workflow::definition::State;
use workflow::money::Money;
use workflow::port::alert::{Alert, Alerter};
use workflow::port::clock::{Clock, SystemClock};

use crate::alerts::{SECRET, header, posted, receiver, signing};

const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// An alert with everything in it that is easily signed wrongly.
fn alert() -> Alert {
    Alert {
        payment_id: build::payment_id(1),
        seq: 7,
        reason: workflow::decide::ReviewReason::CaptureFailed,
        last_error: "Füße 🧾 \"1.2\", v1=0 \\ .".to_owned(),
        merchant_id: build::merchant(1),
        psp: "sandbox".to_owned(),
        money: Money { amount_minor: 1_200, currency: "eur".parse().unwrap() },
        state: State::InReview,
        since: build::at(0),
        redriving: Redriving::Asks,
    }
}

fn order(request: &Request, secret: &str, body: &str) -> Value {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, header(request, name)));
    json!({"library": "standardwebhooks", "secret": secret, "headers": std::collections::BTreeMap::from(headers), "body": body})
}

#[tokio::test]
async fn the_specifications_library_believes_what_we_post_and_nothing_that_was_changed() {
    let Some(tools) = Tools::find() else { return };
    let receiver = receiver([StatusCode::OK]).await;
    let clock = || Arc::new(SystemClock) as Arc<dyn Clock>;
    signing(&receiver, &[SECRET], clock()).tell(&alert()).await.unwrap();
    signing(&receiver, &[OTHER_SECRET, SECRET], clock()).tell(&alert()).await.unwrap();
    let requests = posted(&receiver).await;
    let body = |request: &Request| String::from_utf8(request.body.clone()).unwrap();
    let (one, rotating) = (&requests[0], &requests[1]);
    let good = [order(one, SECRET, &body(one)), order(rotating, SECRET, &body(rotating))];
    let mut other_id = order(one, SECRET, &body(one));
    other_id["headers"]["webhook-id"] = json!("dl_1");
    let bad = [other_id, order(one, OTHER_SECRET, &body(one)), order(one, SECRET, &body(one).replace("1200", "1201"))];
    let orders: String = good.iter().chain(&bad).map(|order| format!("{order}\n")).collect();
    let said = tools.script("webhook_signatures.py", &orders).await;
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused = |answer: &Value| !answer["refused"].is_null();
    assert_eq!(answers.iter().map(refused).collect::<Vec<_>>(), [false, false, true, true, true], "{answers:?}");
}
