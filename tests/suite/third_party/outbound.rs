//! The events that we send, verified by the libraries that receivers use, byte for byte as they came over the wire.

use fincore_tests::third_party::Tools;
use fincore_tests::world::World;
use serde_json::{Value, json};

use crate::outbound::receiver::{Received, Receiver};
use crate::outbound::{deliverer, endpoint, listen};

fn order(library: &str, secret: &Value, received: &Received) -> Value {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, received.header(name)));
    let body = String::from_utf8(received.raw.to_vec()).unwrap();
    json!({"library": library, "secret": secret, "headers": std::collections::BTreeMap::from(headers), "body": body})
}

/// Whether the libraries refuse these orders.
async fn refused(tools: &Tools, orders: &[Value]) -> Vec<bool> {
    let lines: String = orders.iter().map(|order| format!("{order}\n")).collect();
    let said = tools.script("webhook_signatures.py", &lines).await;
    said.lines().map(|line| !serde_json::from_str::<Value>(line).unwrap()["refused"].is_null()).collect()
}

async fn one_event(world: &World, receiver: &Receiver) -> Received {
    let body = json!({
        "amount": 1200, "currency": "eur", "payment_method": "pm_card_visa",
        "description": "Füße 🧾 \"1.2\", v1=0 \\ .", "metadata": {"ключ": "値\u{2028}"},
    });
    world.post("/v1/charges", &format!("{:032x}", rand::random::<u128>()), &body).await;
    world.work().await;
    deliverer(world).run_once().await.unwrap();
    receiver.received().pop().unwrap()
}

crate::on_each_store! {
    async fn receivers_libraries_believe_what_we_send_and_nothing_that_was_changed(world: World) {
        let Some(tools) = Tools::find() else { return };
        let receiver = Receiver::start().await;
        let made = listen(&world, &receiver).await;
        let event = one_event(&world, &receiver).await;
        let path = format!("/v1/webhook_endpoints/{}/rotate_secret", made["id"].as_str().unwrap());
        let (_, rotated) = world.post(&path, "rotate", &json!({})).await;
        let rotating = one_event(&world, &receiver).await;
        for library in ["standardwebhooks", "svix"] {
            let good = [
                order(library, &made["secret"], &event),
                order(library, &made["secret"], &rotating),
                order(library, &rotated["secret"], &rotating),
            ];
            assert_eq!(refused(&tools, &good).await, [false; 3], "{library}");
            let changed = |change: &dyn Fn(&mut Value)| {
                let mut order = order(library, &made["secret"], &event);
                change(&mut order);
                order
            };
            let body = |text: &str| json!(text.replace("1200", "1201"));
            let bad = [
                changed(&|order| order["headers"]["webhook-id"] = json!("evt_1")),
                changed(&|order| order["headers"]["webhook-timestamp"] = json!("1")),
                changed(&|order| order["secret"] = rotated["secret"].clone()),
                changed(&|order| order["body"] = body(order["body"].as_str().unwrap())),
            ];
            assert_eq!(refused(&tools, &bad).await, [true; 4], "{library}");
        }
        world.finish().await;
    }

    async fn an_ed25519_signature_holds_for_somebody_elses_implementation(world: World) {
        let Some(tools) = Tools::find() else { return };
        let receiver = Receiver::start().await;
        let made = endpoint(&world, json!({"url": receiver.url(), "signature": "ed25519"})).await;
        let event = one_event(&world, &receiver).await;
        let path = format!("/v1/webhook_endpoints/{}/rotate_secret", made["id"].as_str().unwrap());
        let (_, rotated) = world.post(&path, "rotate", &json!({})).await;
        let rotating = one_event(&world, &receiver).await;
        let mut changed = order("cryptography", &made["public_key"], &event);
        changed["headers"]["webhook-id"] = json!("evt_1");
        let orders = [
            order("cryptography", &made["public_key"], &event),
            order("cryptography", &made["public_key"], &rotating),
            order("cryptography", &rotated["public_key"], &rotating),
            order("cryptography", &rotated["public_key"], &event),
            changed,
        ];
        assert_eq!(refused(&tools, &orders).await, [false, false, false, true, true]);
        world.finish().await;
    }
}
