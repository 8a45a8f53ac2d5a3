//! What happens after a payment was authorized: partial captures, refunds of every kind, disputes; in Stripe's shapes.
//!
//! Not here: one story per payment method (`scenarios.rs`).

#![expect(clippy::unwrap_used, reason = "the helpers of a test may stop at the first surprise, too")]

#[path = "support/merchant.rs"]
mod merchant;

use std::time::Duration;

use merchant::{Inbox, Merchant, path};
use sandbox::{Config, EntryKind, Settled, Verdict};
use serde_json::{Value, json};

async fn with_inbox() -> (Merchant, Inbox) {
    let hour = Duration::from_hours(1);
    let merchant = Merchant::new(Config { processing_delay: hour, ..Config::default() }).await;
    let inbox = Inbox::default();
    merchant.sandbox.set_webhook_url(inbox.open().await);
    (merchant, inbox)
}

/// A payment of 10.00, captured; its webhooks are read.
async fn captured(merchant: &Merchant, inbox: &Inbox, payment_method: &str) -> Value {
    let (_, intent) = merchant.pay("pay", payment_method).await;
    let (status, intent) = merchant.call(&path(&intent, "/capture"), "capture", &[]).await;
    assert_eq!((status, &intent["status"]), (200, &"succeeded".into()));
    arrived(merchant, inbox).await;
    intent
}

async fn arrived(merchant: &Merchant, inbox: &Inbox) -> Vec<Value> {
    merchant.sandbox.webhooks_idle().await;
    inbox.events()
}

async fn charge_of(merchant: &Merchant, intent: &Value) -> Value {
    merchant.get(&path(intent, "?expand[]=latest_charge")).await["latest_charge"].clone()
}

#[tokio::test]
async fn a_partial_capture_gives_the_rest_back_and_shows_it_as_refunded_on_the_charge() {
    let (merchant, _) = with_inbox().await;
    let (_, intent) = merchant.pay("pay", "pm_card_visa").await;
    let (status, error) = merchant.call(&path(&intent, "/capture"), "too-much", &[("amount_to_capture", "1001")]).await;
    assert_eq!((status, &error["error"]["code"]), (400, &"amount_too_large".into()));
    let (_, intent) = merchant.call(&path(&intent, "/capture"), "part", &[("amount_to_capture", "600")]).await;
    assert_eq!((&intent["amount_received"], &intent["amount_capturable"]), (&600.into(), &0.into()));
    let charge = charge_of(&merchant, &intent).await;
    let amounts = [&charge["amount"], &charge["amount_captured"], &charge["amount_refunded"]];
    assert_eq!(amounts, [&Value::from(1000), &600.into(), &400.into()]);
    assert_eq!(charge["refunded"], false);
    assert_eq!(merchant.ledger(), [(EntryKind::Authorized, 1000), (EntryKind::Captured, 600)]);
}

#[tokio::test]
async fn refunds_add_up_to_the_capture_and_no_further() {
    let (merchant, inbox) = with_inbox().await;
    let intent = captured(&merchant, &inbox, "pm_card_visa").await;
    let id = intent["id"].as_str().unwrap();
    for (key, amount) in [("a", "300"), ("b", "200")] {
        let form = [("payment_intent", id), ("amount", amount), ("reason", "requested_by_customer")];
        let (status, refund) = merchant.call("/v1/refunds", key, &form).await;
        assert_eq!((status, &refund["status"]), (200, &"succeeded".into()));
    }
    let (status, error) = merchant.call("/v1/refunds", "c", &[("payment_intent", id), ("amount", "501")]).await;
    assert_eq!((status, &error["error"]["param"]), (400, &"amount".into()));
    let (_, rest) = merchant.call("/v1/refunds", "d", &[("payment_intent", id)]).await;
    assert_eq!(rest["amount"], 500);
    let (status, error) = merchant.call("/v1/refunds", "e", &[("payment_intent", id)]).await;
    assert_eq!((status, &error["error"]["code"]), (400, &"charge_already_refunded".into()));
    let charge = charge_of(&merchant, &intent).await;
    assert_eq!((&charge["amount_refunded"], &charge["refunded"]), (&1000.into(), &true.into()));
    let page = merchant.get(&format!("/v1/refunds?payment_intent={id}&limit=2")).await;
    assert_eq!((&page["object"], &page["has_more"]), (&"list".into(), &true.into()));
    assert_eq!((&page["data"][0], &page["data"][1]["amount"]), (&rest, &200.into()), "the newest first");
    let last = page["data"][1]["id"].as_str().unwrap();
    let page = merchant.get(&format!("/v1/refunds?payment_intent={id}&starting_after={last}")).await;
    assert_eq!(
        (&page["data"][0]["amount"], &page["data"][1], &page["has_more"]),
        (&300.into(), &Value::Null, &false.into())
    );
    assert_eq!(merchant.get("/v1/refunds?payment_intent=pi_0").await["error"]["code"], "resource_missing");
    assert_eq!(merchant.get(&format!("/v1/refunds?payment_intent={id}&limit=0")).await["error"]["param"], "limit");
    let kinds: Vec<_> = arrived(&merchant, &inbox).await.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "refund.created").count(), 3);
    assert_eq!(kinds.iter().filter(|kind| **kind == "charge.refunded").count(), 3);
}

#[tokio::test]
async fn a_refund_that_fails_after_succeeding_is_told_with_what_it_was_before_and_may_be_made_again() {
    let (merchant, inbox) = with_inbox().await;
    let intent = captured(&merchant, &inbox, "pm_card_refundFail").await;
    let form = [("payment_intent", intent["id"].as_str().unwrap()), ("metadata[fincore_payment]", "re_1")];
    let (_, refund) = merchant.call("/v1/refunds", "r", &form).await;
    assert_eq!((&refund["status"], &refund["failure_reason"]), (&"succeeded".into(), &Value::Null));
    arrived(&merchant, &inbox).await;

    assert_eq!(merchant.sandbox.settle(), 1);
    let events = arrived(&merchant, &inbox).await;
    let updated = events.iter().find(|event| event["type"] == "charge.refund.updated").unwrap();
    let before = json!({"failure_balance_transaction": null, "failure_reason": null, "status": "succeeded"});
    assert_eq!(updated["data"]["previous_attributes"], before);
    let failed = &events.iter().find(|event| event["type"] == "refund.failed").unwrap()["data"]["object"];
    assert_eq!(
        (&failed["object"], &failed["id"], &failed["status"]),
        (&"refund".into(), &refund["id"], &"failed".into())
    );
    assert_eq!(failed["failure_reason"], "expired_or_canceled_card");
    assert_eq!(failed["metadata"]["fincore_payment"], "re_1");
    assert!(failed["failure_balance_transaction"].as_str().unwrap().starts_with("txn_"));
    assert_eq!(merchant.get(&format!("/v1/refunds/{}", refund["id"].as_str().unwrap())).await, *failed);
    assert_eq!(charge_of(&merchant, &intent).await["amount_refunded"], 0);
    assert_eq!(merchant.sandbox.settle(), 0);
    let (status, _) = merchant.call("/v1/refunds", "again", &form).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_dispute_takes_the_money_and_gives_it_back_when_it_is_won() {
    let (merchant, inbox) = with_inbox().await;
    let intent = captured(&merchant, &inbox, "pm_sandbox_dispute_won").await;
    assert_eq!(merchant.sandbox.settle(), 1);
    let events = arrived(&merchant, &inbox).await;
    let opened = &events[0]["data"]["object"];
    assert_eq!((&opened["object"], &opened["status"]), (&"dispute".into(), &"needs_response".into()));
    assert_eq!((&opened["amount"], &opened["currency"]), (&1000.into(), &"eur".into()));
    assert_eq!((&opened["charge"], &opened["payment_intent"]), (&intent["latest_charge"], &intent["id"]));
    assert_eq!((&opened["reason"], &opened["is_charge_refundable"]), (&"fraudulent".into(), &false.into()));
    assert_eq!(opened["metadata"], json!({}), "a dispute does not carry the payment's metadata");
    assert_eq!(opened["evidence"].as_object().unwrap().len(), 27);
    let taken = &opened["balance_transactions"][0];
    assert_eq!((&taken["amount"], &taken["fee"], &taken["net"]), (&(-1000).into(), &1500.into(), &(-2500).into()));
    let charge = charge_of(&merchant, &intent).await;
    assert_eq!((&charge["disputed"], &charge["dispute"]), (&true.into(), &opened["id"]));
    let (status, error) =
        merchant.call("/v1/refunds", "r", &[("payment_intent", intent["id"].as_str().unwrap())]).await;
    assert_eq!((status, &error["error"]["code"]), (400, &"charge_disputed".into()));

    assert_eq!(merchant.sandbox.settle(), 1);
    let events = arrived(&merchant, &inbox).await;
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["charge.dispute.closed", "charge.dispute.funds_reinstated"]);
    let closed = &events[0]["data"];
    assert_eq!(
        (&closed["object"]["status"], &closed["previous_attributes"]["status"]),
        (&"won".into(), &"needs_response".into())
    );
    assert_eq!(closed["object"]["balance_transactions"][1]["amount"], 1000);
    assert_eq!(merchant.sandbox.settle(), 0);
}

#[tokio::test]
async fn evidence_decides_an_open_dispute_and_giving_up_loses_it() {
    let (merchant, inbox) = with_inbox().await;
    let cases = [
        (vec![("evidence[uncategorized_text]", "winning_evidence"), ("submit", "true")], "", "won"),
        (vec![("evidence[uncategorized_text]", "losing_evidence"), ("submit", "true")], "", "lost"),
        (vec![], "/close", "lost"),
    ];
    for (number, (form, action, end)) in cases.into_iter().enumerate() {
        let (_, intent) = merchant.pay(&format!("pay-{number}"), "pm_card_createDispute").await;
        merchant.call(&path(&intent, "/capture"), &format!("capture-{number}"), &[]).await;
        assert_eq!(merchant.sandbox.settle(), 1);
        assert_eq!(merchant.sandbox.settle(), 0, "the bank waits for evidence");
        let opened = arrived(&merchant, &inbox).await.pop().unwrap();
        assert_eq!(opened["type"], "charge.dispute.funds_withdrawn");
        let url = format!("/v1/disputes/{}", opened["data"]["object"]["id"].as_str().unwrap());
        assert_eq!(merchant.get(&url).await, opened["data"]["object"]);
        let (status, closed) = merchant.call(&format!("{url}{action}"), &format!("answer-{number}"), &form).await;
        assert_eq!((status, &closed["status"]), (200, &end.into()));
        let (status, _) = merchant.call(&format!("{url}/close"), &format!("close-{number}"), &[]).await;
        assert_eq!(status, 400, "it is closed already");
        let back =
            arrived(&merchant, &inbox).await.iter().any(|event| event["type"] == "charge.dispute.funds_reinstated");
        assert_eq!(back, end == "won");
    }
    assert_eq!(merchant.sandbox.close_dispute("du_0", Verdict::Won), Settled::NotAwaited);
    let (status, _) = merchant.call("/v1/disputes/du_0/close", "unknown", &[]).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_inquiry_moves_no_money_and_leaves_the_charge_refundable() {
    let (merchant, inbox) = with_inbox().await;
    let intent = captured(&merchant, &inbox, "pm_card_createDisputeInquiry").await;
    merchant.sandbox.settle();
    let opened = arrived(&merchant, &inbox).await.pop().unwrap();
    assert_eq!(opened["type"], "charge.dispute.created");
    assert_eq!(opened["data"]["object"]["status"], "warning_needs_response");
    assert_eq!(opened["data"]["object"]["balance_transactions"], json!([]));
    let (status, _) = merchant.call("/v1/refunds", "r", &[("payment_intent", intent["id"].as_str().unwrap())]).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn what_is_still_to_come_comes_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hour = Duration::from_hours(1);
    let journal = Some(folder.path().join("sandbox.jsonl"));
    let config = Config { processing_delay: hour, long_delay: hour, journal, ..Config::default() };
    let merchant = Merchant::new(config.clone()).await;
    let inbox = Inbox::default();
    let disputed = captured(&merchant, &inbox, "pm_sandbox_dispute_lost").await;
    merchant.sandbox.settle();
    let (_, late) = merchant.pay("late", "pm_sandbox_late_success").await;
    let (_, refunded) = merchant.pay("refunded", "pm_card_refundFail").await;
    merchant.call(&path(&refunded, "/capture"), "c", &[]).await;
    merchant.call("/v1/refunds", "r", &[("payment_intent", refunded["id"].as_str().unwrap())]).await;
    merchant.sandbox.stop().await;

    let merchant = Merchant::new(config).await;
    assert_eq!(merchant.sandbox.settle(), 3);
    assert_eq!(merchant.sandbox.settle(), 0);
    assert_eq!(merchant.get(&path(&late, "")).await["status"], "requires_capture");
    let dispute = charge_of(&merchant, &disputed).await["dispute"].as_str().unwrap().to_owned();
    assert_eq!(merchant.get(&format!("/v1/disputes/{dispute}")).await["status"], "lost");
    assert_eq!(merchant.ledger().last().unwrap().1, 1000);
    let failed = merchant.ledger().iter().filter(|(kind, _)| *kind == EntryKind::RefundFailed).count();
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn what_comes_later_comes_by_itself_after_the_delay() {
    let delay = Duration::from_millis(30);
    let merchant = Merchant::new(Config { processing_delay: delay, long_delay: delay * 2, ..Config::default() }).await;
    let inbox = Inbox::default();
    merchant.sandbox.set_webhook_url(inbox.open().await);
    for (key, method) in [("a", "pm_sandbox_late_success"), ("b", "pm_sandbox_webhook_reordered")] {
        merchant.pay(key, method).await;
    }
    let (_, intent) = merchant.pay("c", "pm_sandbox_dispute_won").await;
    merchant.call(&path(&intent, "/capture"), "d", &[]).await;
    let mut waiting = vec!["payment_intent.amount_capturable_updated"; 3];
    waiting.extend(["charge.dispute.created", "charge.dispute.closed", "charge.dispute.funds_reinstated"]);
    let arrive = async {
        while !waiting.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            for kind in inbox.kinds() {
                if let Some(place) = waiting.iter().position(|waited| *waited == kind) {
                    waiting.remove(place);
                }
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), arrive).await.is_ok(), "these never came: {waiting:?}");
}
