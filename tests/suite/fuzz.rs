//! Every gateway under fire: whatever comes has a meaning, and nothing that nobody signed is believed.
//!
//! Bounded here; `cargo xtask fuzz --minutes 60` goes on. A new gateway gets a test of the same form.

use activities::gateway::adyen::{Adyen, AdyenConfig};
use activities::gateway::stripe::{Stripe, StripeConfig};
use fincore_tests::fuzz::{Target, play};
use fincore_tests::world::WEBHOOK_SECRET;

/// Enough to touch every kind of change to every example, in a few seconds.
const ROUNDS: u64 = 5_000;

#[test]
fn whatever_stripe_sends_has_a_meaning_and_nothing_unsigned_is_believed() {
    let gateway = Stripe::new(StripeConfig::new("stripe", vec![WEBHOOK_SECRET.into()]).unwrap());
    // Each branch of the reader, each kind of currency once.
    let bodies = [
        r#"{"id":"pi_1","object":"payment_intent","status":"requires_capture","amount":1200,"amount_capturable":1200,"amount_received":0,"currency":"eur","metadata":{"fincore_payment":"ch_0"},"latest_charge":"ch_1","last_payment_error":null,"next_action":null}"#,
        r#"{"id":"pi_1","object":"payment_intent","status":"succeeded","amount":1200,"amount_capturable":0,"amount_received":1200,"currency":"mga","metadata":{},"latest_charge":{"id":"ch_1","object":"charge","amount_refunded":1200}}"#,
        r#"{"id":"pi_1","object":"payment_intent","status":"requires_action","currency":"eur","next_action":{"type":"redirect_to_url","redirect_to_url":{"url":"https://psp.example/3ds","return_url":null}}}"#,
        r#"{"id":"pi_1","object":"payment_intent","status":"requires_payment_method","currency":"eur","last_payment_error":{"type":"card_error","code":"card_declined","decline_code":"lost_card","advice_code":"do_not_try_again"}}"#,
        r#"{"id":"pi_1","object":"payment_intent","status":"canceled","currency":"isk","cancellation_reason":"abandoned"}"#,
        r#"{"id":"pi_1","object":"refund","status":"succeeded","amount":1200,"currency":"isk","payment_intent":"pi_1"}"#,
        r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"no","payment_intent":{"id":"pi_1","object":"payment_intent","status":"requires_payment_method"}}}"#,
        r#"{"error":{"type":"invalid_request_error","code":"payment_intent_unexpected_state","payment_intent":{"id":"pi_1","object":"payment_intent","status":"succeeded","amount_received":1200,"currency":"eur"}}}"#,
        r#"{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}"#,
        r#"{"error":{"type":"api_error","message":"An unknown error occurred."}}"#,
        r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent","status":"succeeded","amount_received":1200,"currency":"eur","metadata":{"fincore_payment":"ch_00000000000070008000000000010000"}}}}"#,
        r#"{"id":"evt_2","object":"event","type":"charge.refunded","data":{"object":{"id":"ch_1","object":"charge","payment_intent":"pi_1","metadata":{}}}}"#,
        "<html><body>502 Bad Gateway</body></html>",
        "",
    ];
    let headers = [
        "t=1790000000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
        "t=1790000000,v1=00,v1=,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
        "t=-9223372036854775808,t=18446744073709551616",
        "",
    ];
    play(&Target { gateway: &gateway, bodies: &bodies, headers: &headers }, ROUNDS);
}

#[test]
fn whatever_adyen_sends_has_a_meaning_and_nothing_unsigned_is_believed() {
    let keys = vec!["9D0C057550C48EC2ACF6BA05644782DEF547AAA06C910C43932B1EB0C71FC68D".into()];
    let gateway = Adyen::new(AdyenConfig::new("adyen", "TestMerchant", keys, None).unwrap());
    let bodies = [
        r#"{"pspReference":"8835511210681234","resultCode":"Authorised","amount":{"currency":"EUR","value":1200}}"#,
        r#"{"pspReference":"8835511210681234","resultCode":"Authorised","amount":{"currency":"CLP","value":1200}}"#,
        r#"{"pspReference":"8835511210681234","resultCode":"Refused","refusalReason":"Not enough balance","refusalReasonCode":"12","additionalData":{"merchantAdviceCode":"03"}}"#,
        r#"{"resultCode":"RedirectShopper","action":{"type":"redirect","method":"GET","url":"https://psp.example/3ds?token=x"}}"#,
        r#"{"pspReference":"8835511210681234","resultCode":"Pending"}"#,
        r#"{"resultCode":"Received"}"#,
        r#"{"resultCode":"Cancelled","refusalReasonCode":"15"}"#,
        r#"{"resultCode":"ChallengeShopper","action":{"type":"threeDS2","token":"x"}}"#,
        r#"{"pspReference":"7914073381342284","resultCode":"Error","refusalReason":"Acquirer Error"}"#,
        r#"{"merchantAccount":"TestMerchant","paymentPspReference":"8835511210681234","pspReference":"883561","status":"received","amount":{"currency":"ISK","value":500}}"#,
        r#"{"status":422,"errorCode":"167","message":"Original pspReference required","errorType":"validation"}"#,
        r#"{"status":422,"errorCode":"704","message":"request already processed or in progress","errorType":"validation"}"#,
        r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"pspReference":"8835511210681234","originalReference":"","merchantAccountCode":"TestMerchant","merchantReference":"ch_00000000000070008000000000010000","amount":{"value":1200,"currency":"EUR"},"eventCode":"AUTHORISATION","success":"true","additionalData":{"hmacSignature":"q2a0f0bCvM3oUQmQ1qkqmS0y0q6M0m5x0mQ2m0qkq0A="}}}]}"#,
        r#"{"pspReference":"8835511210681299","originalReference":"8835511210681234","merchantAccountCode":"TestMerchant","merchantReference":"ch_00000000000070008000000000010000","amount":{"value":1200,"currency":"IDR"},"eventCode":"CHARGEBACK","success":"true","additionalData":{"chargebackReasonCode":"4853"}}"#,
        r#"{"pspReference":"8835511210681299","originalReference":"8835511210681234","amount":{"value":1200,"currency":"CVE"},"eventCode":"CAPTURE","success":"false"}"#,
        "<html><body>502 Bad Gateway</body></html>",
        "",
    ];
    let headers = ["Basic dXNlcjpwYXNz", "Basic ", "Bearer x", ""];
    play(&Target { gateway: &gateway, bodies: &bodies, headers: &headers }, ROUNDS);
}
