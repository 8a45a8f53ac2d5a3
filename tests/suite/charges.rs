//! Charges from the request to the end, one per way through the table. Each test compares the whole history.

use std::time::Duration;

use fincore_tests::build;
use fincore_tests::world::World;
use reqwest::StatusCode;
use serde_json::json;
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::port::store::LetterFilter;

crate::on_each_store_and_behind_a_pooler! {
    async fn a_good_card_is_authorized_and_captured(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        assert_eq!(world.payment(id).await.state, State::Created);
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → finalizing
             5  worker   attempt_started   finalizing
             6  worker   captured          finalizing → succeeded
        ");
        let (_, charge) = world.get(&format!("/v1/charges/{id}")).await;
        assert_eq!((charge["status"].as_str(), charge["amount_captured"].as_i64()), (Some("succeeded"), Some(1200)));
        world.finish().await;
    }

    async fn a_decline_ends_the_charge_and_is_not_tried_again(world: World) {
        let id = world.charge("pm_card_chargeDeclinedInsufficientFunds", "automatic").await;
        world.work_patiently().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   declined          authorizing → failed
        ");
        let (_, charge) = world.get(&format!("/v1/charges/{id}")).await;
        assert_eq!(charge["failure"]["decline_code"], "insufficient_funds");
        assert_eq!(charge["failure"]["category"], "soft_decline");
        world.finish().await;
    }

    async fn a_manual_charge_waits_for_its_capture_and_takes_the_part_asked_for(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Authorized);
        let path = format!("/v1/charges/{id}/capture");
        let (status, problem) = world.post(&path, "too-much", &json!({"amount": 1201})).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("charge_state_conflict")));
        let (status, _) = world.post(&path, "half", &json!({"amount": 600})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  client   capture_requested authorized → finalizing
             6  worker   attempt_started   finalizing
             7  worker   captured          finalizing → succeeded
        ");
        assert_eq!(world.payment(id).await.amount_captured_minor, 600);
        let (status, again) = world.post(&path, "again", &json!({})).await;
        assert_eq!((status, again["code"].as_str()), (StatusCode::CONFLICT, Some("charge_state_conflict")));
        world.finish().await;
    }

    async fn a_manual_charge_that_is_canceled_is_voided(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        let (status, _) = world.post(&format!("/v1/charges/{id}/cancel"), "c", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  client   cancel_requested  authorized → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → canceled
        ");
        world.finish().await;
    }

    async fn a_cancel_before_anything_was_sent_ends_the_charge_at_once(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        world.post(&format!("/v1/charges/{id}/cancel"), "c", &json!({})).await;
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  client   cancel_requested  created → canceled
        ");
        world.finish().await;
    }

    async fn an_authorization_nobody_captures_is_voided_before_it_lapses(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        world.clock.skip(Duration::from_hours(6 * 24 + 12));
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → authorized
             5  clock    deadline_passed   authorized → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → expired
        ");
        world.finish().await;
    }

    async fn a_customer_who_authenticates_is_charged(world: World) {
        let id = world.charge("pm_card_authenticationRequired", "automatic").await;
        world.work().await;
        let (_, charge) = world.get(&format!("/v1/charges/{id}")).await;
        assert_eq!(charge["status"], "requires_action");
        assert!(charge["next_action"]["redirect_to_url"]["url"].as_str().unwrap().starts_with("http"), "{charge}");
        let reference = world.payment(id).await.psp_reference.unwrap();
        world.sandbox.authenticate(&reference, sandbox::Authentication::Complete);
        let authorized = world.events(id).await.into_iter().find(|e| e.kind == "payment_intent.amount_capturable_updated").unwrap();
        assert_eq!(world.deliver(&authorized).await, StatusCode::OK);
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   action_required   authorizing → requires_action
             5  psp      authorized        requires_action → finalizing
             6  worker   attempt_started   finalizing
             7  worker   captured          finalizing → succeeded
        ");
        world.finish().await;
    }

    async fn a_customer_who_walks_away_is_not_charged(world: World) {
        let id = world.charge("pm_card_authenticationRequired", "automatic").await;
        world.work().await;
        world.clock.skip(Duration::from_hours(1));
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   action_required   authorizing → requires_action
             5  clock    deadline_passed   requires_action → canceling
             6  worker   attempt_started   canceling
             7  worker   voided            canceling → expired
        ");
        world.finish().await;
    }

    async fn a_customer_who_is_back_need_not_be_waited_for(world: World) {
        let id = world.charge("pm_card_threeDSecure2Required", "automatic").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::RequiresAction);
        let path = format!("/v1/charges/{id}/complete_action");
        // Back too early: the PSP says so, and the customer is still asked.
        let (status, _) = world.post(&path, "early", &json!({})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::RequiresAction);
        let reference = world.payment(id).await.psp_reference.unwrap();
        world.sandbox.authenticate(&reference, sandbox::Authentication::Complete);
        for _ in 0..2 {
            let (status, _) = world.post(&path, "back", &json!({"result": "what the page gave"})).await;
            assert_eq!(status, StatusCode::ACCEPTED);
        }
        world.work().await;
        let ledger = world.ledger(id).await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{ledger}");
        assert_eq!(ledger.matches("action_completed").count(), 2, "{ledger}");
        let told = format!("{:?}", world.store.history(id).await.unwrap());
        assert!(!told.contains("what the page gave"), "history keeps its hash only");
        assert_eq!(world.payment(id).await.action_result, None);
        let (status, charge) = world.post(&path, "late", &json!({})).await;
        assert_eq!((status, charge["status"].as_str()), (StatusCode::ACCEPTED, Some("succeeded")), "old news");
        world.finish().await;
    }

    async fn a_result_by_webhook_drives_the_charge_on(world: World) {
        let id = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::AwaitingWebhook);
        world.sandbox.settle_processing();
        for event in world.events(id).await {
            assert_eq!(world.deliver(&event).await, StatusCode::OK);
        }
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   accepted          authorizing → awaiting_webhook
             5  psp      authorized        awaiting_webhook → finalizing
             6  worker   attempt_started   finalizing
             7  worker   captured          finalizing → succeeded
        ");
        world.finish().await;
    }

    async fn a_webhook_that_never_comes_is_asked_for(world: World) {
        let id = world.charge("pm_sandbox_processing", "automatic").await;
        world.work().await;
        world.sandbox.settle_processing();
        world.clock.skip(Duration::from_mins(30));
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   accepted          authorizing → awaiting_webhook
             5  clock    deadline_passed   awaiting_webhook → reconciling
             6  worker   attempt_started   reconciling
             7  worker   authorized        reconciling → finalizing
             8  worker   attempt_started   finalizing
             9  worker   captured          finalizing → succeeded
        ");
        world.finish().await;
    }

    async fn another_amount_than_asked_for_goes_to_a_person_and_moves_no_more_money(world: World) {
        let id = world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        world.work_patiently().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   amounts_disagree  authorizing → in_review
        ");
        let letters = world.store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].payment_id, letters[0].letter.reason.to_string().as_str()), (id, "amounts_disagree"));
        world.finish().await;
    }

    async fn retries_that_are_exhausted_go_to_a_person_and_a_redrive_asks_before_it_repeats(world: World) {
        world.sandbox.fail_next(sandbox::Operation::Create, sandbox::Fault::Throttled, 30);
        let id = world.charge("pm_card_visa", "automatic").await;
        for _ in 0..29 {
            world.clock.skip(Duration::from_mins(5));
            world.work().await;
        }
        assert_eq!(world.payment(id).await.state, State::InReview, "{}", world.ledger(id).await);
        let letters = world.store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap();
        assert_eq!(letters.len(), 1, "one dead letter, once");
        assert_eq!(letters[0].letter.reason.to_string(), "retries_exhausted");
        world.engine.redrive(id, &build::redrive(Decided::No)).await.unwrap();
        for _ in 0..10 {
            world.clock.skip(Duration::from_mins(5));
            world.work().await;
        }
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        assert!(world.ledger(id).await.contains("operator redriven          in_review → reconciling"));
        world.finish().await;
    }
}

/// Compares a history with what it should be, both without the test's indentation.
#[track_caller]
pub(crate) fn pretty(ledger: &str, expected: &str) {
    let lines = |text: &str| {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert!(lines(ledger) == lines(expected), "the history is\n{ledger}");
}
