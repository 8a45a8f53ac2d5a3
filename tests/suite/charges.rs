//! What the API and the books of dead letters say of charges on their way. Not here: their histories (`scenarios.rs`).

use std::time::Duration;

use fincore_tests::build;
use fincore_tests::world::World;
use reqwest::StatusCode;
use serde_json::json;
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::port::store::LetterFilter;

crate::on_each_store_and_behind_a_pooler! {
    async fn a_client_is_told_why_its_charge_was_declined(world: World) {
        let id = world.charge("pm_card_chargeDeclinedInsufficientFunds", "automatic").await;
        world.work_patiently().await;
        let (_, charge) = world.get(&format!("/v1/charges/{id}")).await;
        assert_eq!(charge["failure"]["decline_code"], "insufficient_funds");
        assert_eq!(charge["failure"]["category"], "soft_decline");
        world.finish().await;
    }

    async fn a_capture_takes_what_is_asked_for_up_to_what_was_authorized_and_once(world: World) {
        let id = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Authorized);
        let path = format!("/v1/charges/{id}/capture");
        let (status, problem) = world.post(&path, "too-much", &json!({"amount": 1201})).await;
        assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("charge_state_conflict")));
        let (status, _) = world.post(&path, "half", &json!({"amount": 600})).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        world.work().await;
        assert_eq!(world.payment(id).await.amount_captured_minor, 600);
        let (status, again) = world.post(&path, "again", &json!({})).await;
        assert_eq!((status, again["code"].as_str()), (StatusCode::CONFLICT, Some("charge_state_conflict")));
        world.finish().await;
    }

    async fn a_client_is_told_where_its_customer_authenticates(world: World) {
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

    async fn another_amount_than_asked_for_is_one_dead_letter(world: World) {
        let id = world.charge("pm_sandbox_amount_mismatch", "automatic").await;
        world.work_patiently().await;
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
        build::redriven(&world.engine, id, Decided::No).await;
        for _ in 0..10 {
            world.clock.skip(Duration::from_mins(5));
            world.work().await;
        }
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        assert!(world.ledger(id).await.contains("operator redriven          in_review → reconciling"));
        world.finish().await;
    }
}
