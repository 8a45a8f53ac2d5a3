//! Another PSP account is tried when it is certain that the one before did not take the money, and only then.

use std::time::Duration;

use fincore_tests::world::{OTHER_PSP, World};
use reqwest::StatusCode;
use sandbox::EntryKind;
use serde_json::json;
use workflow::definition::State;
use workflow::engine::worker::{Claimed, Reported, Then};
use workflow::event::{Event, Unknown};
use workflow::ids::PaymentId;
use workflow::payment::{Failure, FailureCategory};
use workflow::port::gateway::{News, Notification, Outcome};
use workflow::port::queue::Wake;
use workflow::port::store::LetterFilter;

use crate::scenarios::pretty;

/// The second account's card that works.
const GOOD: &str = "pm_card_visa";
const SOFT_DECLINE: &str = "pm_card_chargeDeclinedInsufficientFunds";

/// Claims the payment as a worker would, and reports this instead of calling.
pub(crate) async fn report(world: &World, id: PaymentId, event: Event) {
    let wake = Wake::of(id, 0);
    let Claimed::Work(lease) = world.engine.wake(wake, "test").await.unwrap() else { panic!("{id} is not due") };
    let reported = world.engine.report(*lease, event, None, Then::Stop).await.unwrap();
    assert!(matches!(reported, Reported::Done(_)));
}

crate::on_each_store! {
    async fn a_soft_decline_goes_on_to_the_next_account(world: World) {
        let id = world.charge_with_fallback(SOFT_DECLINE, GOOD).await;
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   declined          authorizing
             5  worker   attempt_started   authorizing
             6  worker   registered        authorizing
             7  worker   authorized        authorizing → finalizing
             8  worker   attempt_started   finalizing
             9  worker   captured          finalizing → succeeded
        ");
        let payment = world.payment(id).await;
        assert_eq!((payment.psp.as_str(), payment.payment_method.as_str()), (OTHER_PSP, GOOD));
        assert_eq!(payment.route.former, ["sandbox"]);
        assert!(payment.failure.is_none());
        world.finish().await;
    }

    async fn the_last_accounts_soft_decline_is_final(world: World) {
        let id = world.charge_with_fallback(SOFT_DECLINE, SOFT_DECLINE).await;
        world.work_patiently().await;
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.psp.as_str()), (State::Failed, OTHER_PSP));
        world.finish().await;
    }

    async fn a_hard_decline_is_tried_nowhere_else(world: World) {
        for declined in ["pm_card_chargeDeclinedFraudulent", "pm_card_chargeDeclinedExpiredCard"] {
            let id = world.charge_with_fallback(declined, GOOD).await;
            world.work_patiently().await;
            let payment = world.payment(id).await;
            assert_eq!((payment.state, payment.psp.as_str()), (State::Failed, "sandbox"), "{declined}");
        }
        world.finish().await;
    }

    async fn a_psp_that_cannot_be_reached_is_left_after_two_attempts(world: World) {
        let id = world.charge_with_fallback(GOOD, GOOD).await;
        world.sandbox.stop().await;
        world.work_patiently().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   not_sent          authorizing
             4  worker   attempt_started   authorizing
             5  worker   not_sent          authorizing
             6  worker   attempt_started   authorizing
             7  worker   registered        authorizing
             8  worker   authorized        authorizing → finalizing
             9  worker   attempt_started   finalizing
            10  worker   captured          finalizing → succeeded
        ");
        world.finish().await;
    }

    async fn an_unknown_outcome_is_cleared_up_where_it_happened(world: World) {
        let id = world.charge_with_fallback(GOOD, GOOD).await;
        report(&world, id, Event::Unknown { why: Unknown::Timeout, detail: "no answer".to_owned() }).await;
        world.sandbox.stop().await;
        for _ in 0..100 {
            world.clock.skip(Duration::from_mins(31));
            world.work().await;
        }
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.psp.as_str()), (State::InReview, "sandbox"));
        assert_eq!(world.other.ledger().len(), 0, "nothing may be asked of another PSP");
    }

    async fn an_inquiry_that_found_nothing_does_not_free_a_payment_for_another_psp(world: World) {
        // The call in doubt may still be on its way.
        let id = world.charge_with_fallback(GOOD, GOOD).await;
        report(&world, id, Event::Unknown { why: Unknown::ConnectionLost, detail: "reset".to_owned() }).await;
        report(&world, id, Event::Untouched { evidence: "asked".to_owned() }).await;
        assert_eq!(world.payment(id).await.state, State::Authorizing);
        world.sandbox.stop().await;
        for _ in 0..100 {
            world.clock.skip(Duration::from_mins(3));
            world.work().await;
        }
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.psp.as_str()), (State::InReview, "sandbox"));
        assert_eq!(world.other.ledger().len(), 0);
    }

    async fn a_customer_who_has_acted_is_not_taken_to_another_psp(world: World) {
        // Once the customer has passed 3-D Secure the PSP reserves the money by itself, whether we reach it or not.
        let id = world.charge_with_fallback("pm_card_threeDSecure2Required", GOOD).await;
        world.work().await;
        let reference = world.payment(id).await.psp_reference.unwrap();
        world.sandbox.authenticate(&reference, sandbox::Authentication::Complete);
        let (status, _) = world.post(&format!("/v1/charges/{id}/complete_action"), "back", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.sandbox.stop().await;
        world.work_patiently().await;
        let payment = world.payment(id).await;
        assert_eq!(payment.psp, "sandbox", "{}", world.ledger(id).await);
        assert_eq!(world.other.ledger().len(), 0);
    }

    async fn what_a_psp_once_took_on_stays_with_it(world: World) {
        let id = world.charge_with_fallback(GOOD, GOOD).await;
        report(&world, id, Event::Accepted { psp_reference: Some("pi_1".to_owned()) }).await;
        world.clock.skip(Duration::from_mins(31));
        report(&world, id, Event::Untouched { evidence: "asked".to_owned() }).await;
        assert_eq!(world.payment(id).await.state, State::Authorizing);
        world.sandbox.stop().await;
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.psp, "sandbox", "{}", world.ledger(id).await);
        assert_eq!(world.other.ledger().len(), 0);
    }

    async fn a_worker_that_reports_money_after_the_payment_went_elsewhere_is_heard(world: World) {
        let id = world.charge_with_fallback(GOOD, GOOD).await;
        let wake = Wake::of(id, 0);
        let Claimed::Work(lease) = world.engine.wake(wake, "slow").await.unwrap() else { panic!("{id} is not due") };
        let failure = Failure {
            category: FailureCategory::SoftDecline,
            code: "card_declined".to_owned(),
            decline_code: None,
            advice: None,
        };
        let declined = Notification {
            event_id: "evt_declined".to_owned(),
            event_type: "payment_intent.payment_failed".to_owned(),
            happened_at: None,
            payment_id: Some(id),
            psp_reference: None,
            news: Some(News::Outcome(Outcome::Declined(failure))),
        };
        world.engine.webhook("sandbox", declined, b"declined").await.unwrap();
        assert_eq!(world.payment(id).await.psp, OTHER_PSP);
        let money = world.payment(id).await.asked();
        let late = Event::Authorized { psp_reference: "pi_late".to_owned(), money };
        assert_eq!(world.engine.report(*lease, late, None, Then::GoOn).await.unwrap(), Reported::Late);
        assert_eq!(world.payment(id).await.state, State::InReview, "{}", world.ledger(id).await);
    }

    async fn late_money_at_a_former_account_is_a_second_payment_for_a_person(world: World) {
        let id = world.charge_with_fallback(SOFT_DECLINE, GOOD).await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        let declined = world.sandbox.events().into_iter().find(|event| event.kind == "payment_intent.payment_failed");
        let mut late = declined.expect("the sandbox recorded the decline");
        assert_eq!(world.deliver(&late).await, StatusCode::OK);
        assert_eq!(world.payment(id).await.state, State::Succeeded, "a decline there says nothing any more");
        let body = String::from_utf8(late.body.to_vec()).unwrap();
        let body = body.replace("payment_intent.payment_failed", "payment_intent.succeeded");
        let body = body.replace("\"requires_payment_method\"", "\"succeeded\"").replace("\"amount_received\":0", "\"amount_received\":1200");
        let body = body.replace(&late.id, "evt_late");
        late.body = body.into_bytes().into();
        assert_eq!(world.deliver(&late).await, StatusCode::OK);
        let payment = world.payment(id).await;
        assert_eq!((payment.state, payment.amount_captured_minor), (State::InReview, 1200));
        let letters = world.store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap();
        assert_eq!(letters.iter().filter(|letter| letter.payment_id == id).count(), 1);
    }

    async fn a_canceled_charge_is_tried_nowhere_else(world: World) {
        let id = world.charge_with_fallback(GOOD, GOOD).await;
        world.sandbox.stop().await;
        world.work().await;
        let (status, _) = world.post(&format!("/v1/charges/{id}/cancel"), "cancel", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.psp, "sandbox");
        assert_eq!(world.other.ledger().iter().filter(|entry| entry.kind == EntryKind::Authorized).count(), 0);
    }

    async fn an_account_the_merchant_does_not_have_is_refused_by_name_of_the_field(world: World) {
        let body = json!({
            "amount": 1200, "currency": "eur", "payment_method": GOOD, "fallback_payment_methods": {"nobody": GOOD},
        });
        let (status, problem) = world.post("/v1/charges", "key", &body).await;
        assert_eq!((status, problem["param"].as_str()), (StatusCode::BAD_REQUEST, Some("fallback_payment_methods")));
        world.finish().await;
    }
}
