//! Payments through a PSP that cannot be asked, and that only says "received" to captures, voids and refunds: its webhooks
//! tell the truth, and a replay under the same key answers as the first time.

use std::sync::Arc;
use std::time::Duration;

use activities::gateway::adyen::{self, Adyen, AdyenConfig};
use serde_json::json;
use testkit::dialect::adyen::MERCHANT_ACCOUNT;
use testkit::{MockPsp, Rig};
use wiremock::matchers::{body_json, path};
use wiremock::{Mock, MockServer, ResponseTemplate};
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::engine::operator::{Act, By, Performed};
use workflow::payment::CaptureMethod;
use workflow::port::audit::Via;
use workflow::port::gateway::WebhookRefused;

const CARD: &str = "shopper-1/8415736344108917";

#[tokio::test]
async fn a_charge_ends_with_the_webhook_of_its_capture() {
    let psp = MockPsp::adyen().await;
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    assert_eq!(rig.state(id).await, State::AwaitingCapture);
    // Several items in one request, doubled.
    rig.deliver(psp.webhooks().bundled().doubled()).await;
    rig.assert_history(
        id,
        "1  client  started           created
         2  worker  attempt_started   created → authorizing
         3  worker  authorized        authorizing → finalizing
         4  worker  attempt_started   finalizing
         5  worker  accepted          finalizing → awaiting_capture
         6  psp     authorized        awaiting_capture  (stale)
         7  psp     captured          awaiting_capture → succeeded",
    )
    .await;
    rig.finish(&psp).await;
}

#[tokio::test]
async fn an_authorization_whose_answer_was_lost_is_found_by_the_same_call_under_the_same_key() {
    let psp = MockPsp::adyen().await;
    psp.authorize().times_out_after_charging();
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work_patiently().await;
    rig.deliver(psp.webhooks()).await;
    rig.work_patiently().await;
    assert_eq!(rig.state(id).await, State::Succeeded);
    assert_eq!(psp.effects().of(id).authorized(), 1);
    let text = workflow::timeline::ledger(&rig.history(id).await);
    assert!(text.contains("unknown           authorizing → reconciling"), "{text}");
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_capture_whose_answer_was_lost_is_made_once() {
    let psp = MockPsp::adyen().await;
    psp.capture().times_out_after_charging();
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work_patiently().await;
    rig.deliver(psp.webhooks()).await;
    rig.work_patiently().await;
    assert_eq!((rig.state(id).await, psp.effects().of(id).captured()), (State::Succeeded, 1));
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_refused_capture_goes_to_a_person_and_is_made_anew_when_they_say_so() {
    let psp = MockPsp::adyen().await;
    psp.capture().declines_softly().then().approves();
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    rig.deliver(psp.webhooks()).await;
    let payment = rig.payment(id).await;
    assert_eq!((payment.state, payment.amount_captured_minor), (State::InReview, 0));
    let by = By {
        operator: "ada".to_owned(),
        role: None,
        why: "the acquirer is back, and nobody collected it in another way".to_owned(),
        via: Via::Cli,
        remote: None,
    };
    let redriven = rig.engine.perform(id, &Act::Redrive(Decided::No), &by).await;
    assert!(matches!(redriven, Ok(Performed::Refused(_))), "it would capture once more");
    let redriven = rig.engine.perform(id, &Act::Redrive(Decided::Yes), &by).await;
    assert!(matches!(redriven, Ok(Performed::Done(_))));
    rig.work().await;
    rig.deliver(psp.webhooks()).await;
    assert_eq!((rig.state(id).await, psp.effects().of(id).captured()), (State::Succeeded, 1));
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_held_payment_is_canceled_when_the_webhook_says_so() {
    let psp = MockPsp::adyen().await;
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge_with(1_200, "eur", CARD, CaptureMethod::Manual).await;
    rig.work().await;
    rig.cancel(id).await;
    rig.work().await;
    assert_eq!(rig.state(id).await, State::AwaitingWebhook, "received is not done");
    rig.deliver(psp.webhooks()).await;
    assert_eq!((rig.state(id).await, psp.effects().of(id).voided()), (State::Canceled, 1));
    rig.finish(&psp).await;
}

#[tokio::test]
async fn a_void_that_comes_to_nothing_goes_to_a_person() {
    let psp = MockPsp::adyen().await;
    psp.void().declines_softly();
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge_with(1_200, "eur", CARD, CaptureMethod::Manual).await;
    rig.work().await;
    rig.cancel(id).await;
    rig.work().await;
    rig.deliver(psp.webhooks()).await;
    assert_eq!(rig.state(id).await, State::InReview);
}

#[tokio::test]
async fn a_webhook_that_never_comes_and_a_key_that_is_forgotten_end_with_a_person() {
    let psp = MockPsp::adyen().await;
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    for _ in 0..400 {
        rig.clock.skip(Duration::from_mins(31));
        rig.work().await;
        if rig.state(id).await == State::InReview {
            break;
        }
    }
    assert_eq!((rig.state(id).await, psp.effects().of(id).captured()), (State::InReview, 1), "nothing is guessed");
    // The truth still counts when it comes.
    rig.deliver(psp.webhooks()).await;
    assert_eq!(rig.state(id).await, State::Succeeded);
    rig.finish(&psp).await;
}

#[tokio::test]
async fn one_forged_item_refuses_the_whole_request() {
    let psp = MockPsp::adyen().await;
    let rig = Rig::adyen(&psp).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    let refused = rig.deliver(psp.webhooks().bundled().forged()).await;
    assert!(refused.iter().all(|result| *result == Err(WebhookRefused::SignatureMismatch)), "{refused:?}");
    assert_eq!(rig.state(id).await, State::AwaitingCapture);
    rig.deliver(psp.webhooks()).await;
    rig.finish(&psp).await;
}

/// The mock tells no customer's story, so this PSP answers by the book: an action first, then the result of its details.
#[tokio::test]
async fn what_the_customer_brings_back_completes_the_authorization() {
    let psp = MockServer::start().await;
    let answer = |status: u16, body: serde_json::Value| ResponseTemplate::new(status).set_body_json(body);
    let action = json!({"resultCode": "RedirectShopper", "action": {"type": "redirect", "method": "GET", "url": "https://acs.example/1"}});
    Mock::given(path("/v71/payments")).respond_with(answer(200, action)).expect(1).mount(&psp).await;
    let paid = json!({"resultCode": "Authorised", "pspReference": "8835511210681234", "amount": {"currency": "EUR", "value": 1200}});
    Mock::given(path("/v71/payments/details"))
        .and(body_json(json!({"details": {"redirectResult": "eyJ0cmFuc1N0YXR1cyI6IlkifQ=="}})))
        .respond_with(answer(200, paid))
        .expect(1)
        .mount(&psp)
        .await;
    let received = json!({"merchantAccount": MERCHANT_ACCOUNT, "paymentPspReference": "8835511210681234", "pspReference": "88355", "status": "received"});
    Mock::given(path("/v71/payments/8835511210681234/captures"))
        .respond_with(answer(201, received))
        .expect(1)
        .mount(&psp)
        .await;
    let gateway = Adyen::new(AdyenConfig::calls_only("adyen", MERCHANT_ACCOUNT).unwrap());
    let account = adyen::account("adyen", &format!("{}/v71", psp.uri()), "AQE_0123456789abcdef".into()).unwrap();
    let rig = Rig::with(Arc::new(gateway), account, CARD).await;
    let id = rig.charge(1_200, "eur").await;
    rig.work().await;
    let asked = rig.payment(id).await;
    assert_eq!((asked.state, asked.psp_reference), (State::RequiresAction, None));
    rig.complete_action(id, "eyJ0cmFuc1N0YXR1cyI6IlkifQ==").await;
    rig.work().await;
    let payment = rig.payment(id).await;
    assert_eq!((payment.state, payment.psp_reference.as_deref()), (State::AwaitingCapture, Some("8835511210681234")));
    let keys: std::collections::HashSet<_> = psp
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|request| request.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys.len(), 3, "each call is one of its own for the PSP");
}
