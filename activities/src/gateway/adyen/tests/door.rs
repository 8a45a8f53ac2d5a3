//! What passes as a webhook of ours, and everything that must not.

use base64::Engine;
use serde_json::{Value, json};

use super::*;

const BY_FIRST: &str = "Jb9q6ypDyrlXhg3+oB+nsxztPh10tlO7iPe+83ul10M=";
const BY_SECOND: &str = "YJtQaMJrOMNsGmYZ/2Eawy6n6tS7Ds9qEH8PyseLGrQ=";

fn receiving(basic: Option<BasicAuth>) -> Adyen {
    let keys = vec![FIRST_KEY.into(), SECOND_KEY.into()];
    Adyen::new(AdyenConfig::new("psp", MERCHANT_ACCOUNT, keys, basic).unwrap())
}

/// The authorization that the vectors are about, with changes.
fn item(changes: &Value) -> Value {
    let mut item = json!({
        "additionalData": {"hmacSignature": BY_FIRST, "paymentMethodVariant": "visa"},
        "amount": {"currency": "EUR", "value": 1234}, "eventCode": "AUTHORISATION",
        "eventDate": "2026-01-01T01:00:00+01:00", "merchantAccountCode": MERCHANT_ACCOUNT,
        "merchantReference": "ch_00000000000070008000000000010002", "operations": ["CANCEL", "CAPTURE"],
        "paymentMethod": "visa", "pspReference": REFERENCE, "reason": "", "success": "true",
    });
    for (key, value) in changes.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

fn webhook(items: &[Value]) -> Vec<u8> {
    let items: Vec<Value> = items.iter().map(|item| json!({ "NotificationRequestItem": item })).collect();
    json!({"live": "false", "notificationItems": items}).to_string().into_bytes()
}

fn verify(body: &[u8]) -> Result<Vec<Vec<u8>>, WebhookRefused> {
    receiving(None).verify(&|_| None, body, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_signed_item_passes_and_comes_out_as_it_came() {
    // Spaces, an escaped slash and a number written otherwise: the bytes are Adyen's and not ours to write again.
    let text = format!(
        r#"{{ "pspReference":"{REFERENCE}", "merchantAccountCode":"FinCoreTest","odd":1.0e2,"path":"a\/b",
        "merchantReference":"ch_00000000000070008000000000010002","amount":{{"value":1234,"currency":"EUR"}},
        "eventCode":"AUTHORISATION","success":"true","additionalData":{{"hmacSignature":"{}"}} }}"#,
        BY_SECOND.replace('/', "\\/")
    );
    let body = format!(r#"{{"live":"false","notificationItems":[ {{"NotificationRequestItem": {text} }} ]}}"#);
    assert_eq!(verify(body.as_bytes()), Ok(vec![text.into_bytes()]));
}

#[test]
fn several_items_come_out_in_order_and_a_forged_one_condemns_all() {
    let forged = item(&json!({"amount": {"currency": "EUR", "value": 123_400}}));
    let again = item(&json!({"eventDate": "2026-01-01T02:00:00+01:00"}));
    let both = verify(&webhook(&[item(&json!({})), again.clone()])).unwrap();
    assert_eq!(both, [item(&json!({})).to_string().into_bytes(), again.to_string().into_bytes()]);
    for items in [[again.clone(), forged.clone()], [forged, again]] {
        assert_eq!(verify(&webhook(&items)), Err(WebhookRefused::SignatureMismatch));
    }
}

#[test]
fn every_signed_field_is_needed_for_the_signature() {
    for change in [
        json!({"pspReference": "8835511210681235"}),
        json!({"originalReference": "8835511210681234"}),
        json!({"merchantReference": "ch_00000000000070008000000000010003"}),
        json!({"merchantAccountCode": "SomebodyElse"}),
        json!({"amount": {"currency": "USD", "value": 1234}}),
        json!({"eventCode": "CAPTURE"}),
        json!({"success": "false"}),
        json!({"additionalData": {"hmacSignature": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}),
    ] {
        assert_eq!(verify(&webhook(&[item(&change)])), Err(WebhookRefused::SignatureMismatch), "{change}");
    }
    let none = calls_only_verify(&webhook(&[item(&json!({}))]));
    assert_eq!(none, Err(WebhookRefused::SignatureMismatch));
}

fn calls_only_verify(body: &[u8]) -> Result<Vec<Vec<u8>>, WebhookRefused> {
    gateway().verify(&|_| None, body, Timestamp::UNIX_EPOCH)
}

#[test]
fn an_item_without_a_signature_that_can_be_read_has_none() {
    for change in [
        json!({"additionalData": null}),
        json!({"additionalData": {}}),
        json!({"additionalData": {"hmacSignature": null}}),
        json!({"additionalData": {"hmacSignature": "not base64"}}),
    ] {
        assert_eq!(verify(&webhook(&[item(&change)])), Err(WebhookRefused::SignatureMissing), "{change}");
    }
}

#[test]
fn one_signature_does_not_fit_another_division_of_the_same_text() {
    // The same text with the borders between its fields moved, which the signature cannot tell.
    for change in [
        json!({"pspReference": "8835511210681234:", "originalReference": MERCHANT_ACCOUNT,
            "merchantAccountCode": "ch_00000000000070008000000000010002", "merchantReference": null}),
        json!({"eventCode": "AUTHORISATION:true", "success": ""}),
        json!({"amount": {"currency": "EUR:AUTHORISATION", "value": 1234}, "eventCode": "true", "success": ""}),
    ] {
        assert_eq!(verify(&webhook(&[item(&change)])).err(), Some(WebhookRefused::Malformed), "{change}");
    }
    // The account is the third field from the left and the amount the fourth from the right, whatever lies between.
    let signature = "DIlsqSpozri2V4Xc8EKplTylxMFhB3Oj6l5Id/bCDp0=";
    let with_colons = item(&json!({"pspReference": "QFQTPCQ8HXSKGK82", "originalReference": REFERENCE,
        "merchantReference": "order:7:a", "amount": {"currency": "ISK", "value": 500}, "eventCode": "CAPTURE",
        "success": "false", "additionalData": {"hmacSignature": signature}}));
    assert!(verify(&webhook(&[with_colons])).is_ok());
}

#[test]
fn an_authentic_item_about_another_account_is_not_ours() {
    let body = webhook(&[item(&json!({}))]);
    let keys = vec![FIRST_KEY.into()];
    let other = Adyen::new(AdyenConfig::new("psp", "FinCoreOther", keys, None).unwrap());
    assert_eq!(other.verify(&|_| None, &body, Timestamp::UNIX_EPOCH), Err(WebhookRefused::Malformed));
}

#[test]
fn what_is_no_webhook_is_refused() {
    let deep = format!("{{\"notificationItems\":{}", "[".repeat(100_000));
    let deep_item = format!(
        "{{\"notificationItems\":[{{\"NotificationRequestItem\":{}{}}}]}}",
        "{\"a\":".repeat(50_000),
        "}".repeat(50_000)
    );
    let text = item(&json!({"amount": {"currency": "EUR", "value": "1234"}}));
    let boolean = item(&json!({"success": true}));
    let fraction = item(&json!({"amount": {"currency": "EUR", "value": 1234.0}}));
    let many: Vec<Value> = (0..65).map(|_| item(&json!({}))).collect();
    for body in [
        b"".to_vec(),
        b"null".to_vec(),
        b"{}".to_vec(),
        b"\xff\xfe".to_vec(),
        deep.into_bytes(),
        deep_item.into_bytes(),
        webhook(&[]),
        webhook(&many),
        webhook(&[json!(null)]),
        webhook(&[item(&json!({"pspReference": null}))]),
        webhook(&[item(&json!({"amount": null}))]),
        webhook(&[text]),
        webhook(&[boolean]),
        webhook(&[fraction]),
    ] {
        assert_eq!(
            verify(&body),
            Err(WebhookRefused::Malformed),
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(200)])
        );
    }
    assert_eq!(verify(&webhook(&many[..64])).map(|items| items.len()), Ok(64));
}

#[test]
fn credentials_are_asked_for_when_they_are_configured() {
    let gateway = receiving(Some(BasicAuth::new("adyen", &"p:äss word".into()).unwrap()));
    let body = webhook(&[item(&json!({}))]);
    let ask = |header: Option<&str>| {
        let header = header.map(str::to_owned);
        gateway.verify(&|name| header.clone().filter(|_| name == "authorization"), &body, Timestamp::UNIX_EPOCH)
    };
    let basic = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    assert!(ask(Some(&basic("adyen:p:äss word"))).is_ok());
    assert!(ask(Some(&basic("adyen:p:äss word").replace("Basic", "basic"))).is_ok());
    assert_eq!(ask(None), Err(WebhookRefused::SignatureMissing));
    for bad in [
        "",
        "Basic",
        "Basic ",
        &basic("adyen:"),
        &basic("adyen:p:äss wor"),
        &basic("adyen:p:äss word").replace("Basic", "Bearer"),
    ] {
        assert_eq!(ask(Some(bad)), Err(WebhookRefused::SignatureMismatch), "{bad}");
    }
}
