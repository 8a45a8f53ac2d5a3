//! Refunds from the request to the end. The charge counts them at every step, and the PSP's books agree.

use std::collections::HashSet;
use std::time::Duration;

use fincore_tests::books::refund_at_the_psp;
use fincore_tests::build;
use fincore_tests::world::World;
use reqwest::StatusCode;
use sandbox::{EntryKind, EventRecord, Fault, Operation};
use serde_json::{Value, json};
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::engine::worker::{Claimed, Reported, Then};
use workflow::event::{Event, Unknown};
use workflow::ids::PaymentId;
use workflow::port::gateway::Operation as Call;
use workflow::port::queue::Wake;

use crate::scenarios::pretty;

/// A captured charge of 12.00 EUR.
async fn charged(world: &World, payment_method: &str) -> PaymentId {
    let id = world.charge(payment_method, "automatic").await;
    world.work().await;
    assert_eq!(world.payment(id).await.state, State::Succeeded);
    id
}

fn path(charge: PaymentId) -> String {
    format!("/v1/charges/{charge}/refunds")
}

/// Asks for a refund that is accepted.
async fn refund(world: &World, charge: PaymentId, key: &str, body: &Value) -> PaymentId {
    let (status, refund) = world.post(&path(charge), key, body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{refund}");
    refund["id"].as_str().unwrap().parse().unwrap()
}

/// What the charge counts: given back, and on its way.
async fn counted(world: &World, charge: PaymentId) -> (i64, i64) {
    let charge = world.payment(charge).await;
    (charge.amount_refunded_minor, charge.amount_refund_pending_minor)
}

/// How often the PSP gave money of this charge back.
fn given_back(world: &World, charge: PaymentId) -> usize {
    let reference = Some(charge.to_string());
    let entries = world.sandbox.ledger();
    entries.iter().filter(|entry| entry.kind == EntryKind::Refunded && entry.reference == reference).count()
}

/// What the PSP tells of the charge's refunds.
async fn refund_events(world: &World, charge: PaymentId) -> Vec<EventRecord> {
    world.events(charge).await.into_iter().filter(|event| event.kind.contains("refund")).collect()
}

crate::on_each_store! {
    async fn a_refund_without_an_amount_gives_everything_back(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let (status, accepted) = world.post(&path(charge), "all", &json!({"reason": "duplicate", "metadata": {"rma": "7"}})).await;
        assert_eq!((status, &accepted["status"], &accepted["amount"]), (StatusCode::ACCEPTED, &json!("created"), &json!(1200)));
        let id: PaymentId = accepted["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(counted(&world, charge).await, (0, 1200));
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → refunding
             3  worker   refunded          refunding → succeeded
        ");
        pretty(&world.ledger(charge).await, "
             1  client   started           created
             2  worker   attempt_started   created → authorizing
             3  worker   registered        authorizing
             4  worker   authorized        authorizing → finalizing
             5  worker   attempt_started   finalizing
             6  worker   captured          finalizing → succeeded
             7  client   refund_requested  succeeded
             8  refund   refund_updated    succeeded
        ");
        let (_, shown) = world.get(&format!("/v1/refunds/{id}")).await;
        assert_eq!((&shown["status"], &shown["charge"]), (&json!("succeeded"), &json!(charge)));
        assert_eq!((&shown["reason"], &shown["metadata"]["rma"]), (&json!("duplicate"), &json!("7")));
        assert!(shown["psp_reference"].as_str().unwrap().starts_with("re_"), "{shown}");
        let (_, shown) = world.get(&format!("/v1/charges/{charge}")).await;
        assert_eq!((&shown["amount_refunded"], &shown["amount_refund_pending"]), (&json!(1200), &json!(0)));
        assert_eq!(counted(&world, charge).await, (1200, 0));
        world.finish().await;
    }

    async fn parts_are_given_back_until_nothing_is_left(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let mut ids = Vec::new();
        for (key, amount) in [("one", 500), ("two", 600)] {
            ids.push(refund(&world, charge, key, &json!({"amount": amount})).await);
            world.clock.skip(Duration::from_secs(1));
        }
        // Those under way count: nobody waited for them.
        let (status, problem) = world.post(&path(charge), "three", &json!({"amount": 101})).await;
        assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("charge_state_conflict")), "{problem}");
        ids.push(refund(&world, charge, "rest", &json!({})).await);
        assert_eq!(world.payment(ids[2]).await.amount_minor, 100);
        for body in [json!({}), json!({"amount": 1})] {
            let (status, _) = world.post(&path(charge), &format!("late {body}"), &body).await;
            assert_eq!(status, StatusCode::CONFLICT);
        }
        world.work().await;
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((1200, 0), 3));
        let (_, page) = world.get(&format!("{}?limit=2", path(charge))).await;
        let listed: Vec<&str> = page["data"].as_array().unwrap().iter().map(|refund| refund["id"].as_str().unwrap()).collect();
        assert_eq!((listed, &page["has_more"]), (vec![ids[2].to_string().as_str(), ids[1].to_string().as_str()], &json!(true)));
        let (_, rest) = world.get(&format!("{}?limit=2&starting_after={}", path(charge), ids[1])).await;
        assert_eq!((rest["data"][0]["id"].as_str(), &rest["has_more"]), (Some(ids[0].to_string().as_str()), &json!(false)));
        let (_, charges) = world.get("/v1/charges").await;
        assert_eq!(charges["data"].as_array().unwrap().len(), 1, "a refund is no charge: {charges}");
        world.finish().await;
    }

    async fn fifty_requests_at_once_give_back_no_more_than_was_captured(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let place = path(charge);
        let asked = (0..50).map(|number| {
            let (world, place) = (&world, place.as_str());
            async move { world.post(place, &format!("key-{number}"), &json!({"amount": 100})).await.0 }
        });
        let answers = futures_util::future::join_all(asked).await;
        let accepted = answers.iter().filter(|status| **status == StatusCode::ACCEPTED).count();
        assert!(answers.iter().all(|status| [StatusCode::ACCEPTED, StatusCode::CONFLICT].contains(status)), "{answers:?}");
        assert_eq!(accepted, 12, "{answers:?}");
        assert_eq!(counted(&world, charge).await, (0, 1200));
        world.work().await;
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((1200, 0), 12));
        world.finish().await;
    }

    async fn fifty_requests_with_one_key_are_one_refund(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let place = path(charge);
        let body = json!({"amount": 100});
        let asked = (0..50).map(|_| world.post(&place, "the-key", &body));
        let answers = futures_util::future::join_all(asked).await;
        let ids: HashSet<&str> = answers.iter().filter_map(|(_, body)| body["id"].as_str()).collect();
        assert!(answers.iter().all(|(status, _)| *status == StatusCode::ACCEPTED), "{answers:?}");
        assert_eq!((ids.len(), counted(&world, charge).await), (1, (0, 100)));
        let (status, problem) = world.post(&place, "the-key", &json!({"amount": 101})).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused")));
        world.work().await;
        assert_eq!(given_back(&world, charge), 1);
        world.finish().await;
    }

    async fn only_captured_money_can_be_given_back(world: World) {
        let held = world.charge("pm_card_visa", "manual").await;
        let declined = world.charge("pm_card_chargeDeclined", "automatic").await;
        world.work().await;
        for id in [held, declined] {
            let (status, problem) = world.post(&path(id), "early", &json!({})).await;
            assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("charge_state_conflict")), "{problem}");
        }
        world.post(&format!("/v1/charges/{held}/capture"), "part", &json!({"amount": 700})).await;
        world.work().await;
        let (status, _) = world.post(&path(held), "more", &json!({"amount": 701})).await;
        assert_eq!(status, StatusCode::CONFLICT);
        refund(&world, held, "captured", &json!({"amount": 700})).await;
        world.work().await;
        assert_eq!(counted(&world, held).await, (700, 0));
        // A refund is nothing that could be captured, canceled or refunded.
        let (_, page) = world.get(&path(held)).await;
        let id = page["data"][0]["id"].as_str().unwrap();
        for act in ["capture", "cancel", "refunds"] {
            let (status, problem) = world.post(&format!("/v1/charges/{id}/{act}"), act, &json!({})).await;
            assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("charge_not_found")), "{act}");
        }
        let (status, problem) = world.get(&format!("/v1/refunds/{held}")).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("refund_not_found")));
        world.finish().await;
    }

    async fn a_pending_refund_waits_for_its_webhook(world: World) {
        let charge = charged(&world, "pm_card_pendingRefund").await;
        let id = refund(&world, charge, "r", &json!({"amount": 700})).await;
        world.work().await;
        assert_eq!((world.payment(id).await.state, counted(&world, charge).await), (State::AwaitingWebhook, (0, 700)));
        let (status, _) = world.post(&path(charge), "s", &json!({"amount": 501})).await;
        assert_eq!(status, StatusCode::CONFLICT, "what is on its way cannot be given back again");
        world.sandbox.settle();
        // Each twice, and those from before once more.
        for event in refund_events(&world, charge).await.iter().chain(&refund_events(&world, charge).await) {
            assert_eq!(world.deliver(event).await, StatusCode::OK);
        }
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((700, 0), 1));
        world.finish().await;
    }

    async fn a_pending_refund_whose_webhook_is_lost_is_asked_about(world: World) {
        let charge = charged(&world, "pm_card_pendingRefund").await;
        let id = refund(&world, charge, "r", &json!({})).await;
        world.work().await;
        world.clock.skip(Duration::from_hours(12));
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::AwaitingWebhook, "still pending:\n{}", world.ledger(id).await);
        world.sandbox.settle();
        world.clock.skip(Duration::from_hours(12));
        world.work().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → refunding
             3  worker   accepted          refunding → awaiting_webhook
             4  clock    deadline_passed   awaiting_webhook → reconciling
             5  worker   attempt_started   reconciling
             6  worker   accepted          reconciling → awaiting_webhook
             7  clock    deadline_passed   awaiting_webhook → reconciling
             8  worker   attempt_started   reconciling
             9  worker   refunded          reconciling → succeeded
        ");
        world.finish().await;
    }

    async fn a_refund_that_fails_after_it_succeeded_makes_the_money_available_again(world: World) {
        let charge = charged(&world, "pm_card_refundFail").await;
        let id = refund(&world, charge, "r", &json!({})).await;
        world.work().await;
        assert_eq!((world.payment(id).await.state, counted(&world, charge).await), (State::Succeeded, (1200, 0)));
        world.sandbox.settle();
        let mut news = refund_events(&world, charge).await;
        for _ in 0..2 {
            news.reverse();
            for event in &news {
                assert_eq!(world.deliver(event).await, StatusCode::OK);
            }
        }
        let failed = world.payment(id).await;
        assert_eq!((failed.state, counted(&world, charge).await), (State::Failed, (0, 0)), "{}", world.ledger(id).await);
        let (_, shown) = world.get(&format!("/v1/refunds/{id}")).await;
        assert_eq!(shown["failure"]["code"], "refund_failed", "{shown}");
        refund(&world, charge, "again", &json!({})).await;
        world.work().await;
        assert_eq!(counted(&world, charge).await, (1200, 0));
        world.finish().await;
    }

    async fn whatever_happens_to_the_call_the_money_goes_back_once(world: World) {
        for fault in [
            Fault::AnswerLost,
            Fault::DropBefore,
            Fault::Error500,
            Fault::Error500Unstored,
            Fault::Error500AfterEffect,
            Fault::Throttled,
            Fault::HalfBody,
            Fault::Garbage,
        ] {
            let charge = charged(&world, "pm_card_visa").await;
            let id = refund(&world, charge, &format!("{fault:?}"), &json!({"amount": 400})).await;
            world.sandbox.fail_next(Operation::Refund, fault, 1);
            world.work_patiently().await;
            assert_eq!(world.payment(id).await.state, State::Succeeded, "{fault:?}\n{}", world.ledger(id).await);
            assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((400, 0), 1), "{fault:?}");
        }
        world.finish().await;
    }

    async fn an_answer_that_is_lost_is_looked_for_among_the_refunds_of_the_charge(world: World) {
        let charge = charged(&world, "pm_sandbox_refund_answer_lost").await;
        // Another one, made at the PSP, is not taken for ours.
        let reference = world.payment(charge).await.psp_reference.unwrap();
        let id = refund(&world, charge, "r", &json!({"amount": 300})).await;
        world.work_patiently().await;
        pretty(&world.ledger(id).await, "
             1  client   started           created
             2  worker   attempt_started   created → refunding
             3  worker   unknown           refunding → reconciling
             4  worker   attempt_started   reconciling
             5  worker   refunded          reconciling → succeeded
        ");
        refund_at_the_psp(&world.sandbox, &reference, 300).await;
        world.sandbox.fail_next(Operation::Refund, Fault::DropBefore, 1);
        let second = refund(&world, charge, "s", &json!({"amount": 300})).await;
        world.work_patiently().await;
        assert_eq!(world.payment(second).await.state, State::Succeeded, "{}", world.ledger(second).await);
        assert!(world.ledger(second).await.contains("untouched         reconciling → refunding"));
        for event in refund_events(&world, charge).await {
            assert_eq!(world.deliver(&event).await, StatusCode::OK);
        }
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((900, 0), 3));
        world.finish().await;
    }

    async fn a_refusal_ends_the_refund_and_frees_the_money(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let id = refund(&world, charge, "r", &json!({"amount": 400})).await;
        world.sandbox.fail_next(Operation::Refund, Fault::Declined, 1);
        world.work_patiently().await;
        assert_eq!((world.payment(id).await.state, counted(&world, charge).await), (State::Failed, (0, 0)));
        // What somebody gives back at the PSP is not ours to give back again.
        let reference = world.payment(charge).await.psp_reference.unwrap();
        let late = refund(&world, charge, "s", &json!({})).await;
        refund_at_the_psp(&world.sandbox, &reference, 1200).await;
        world.work_patiently().await;
        assert_eq!(world.payment(late).await.state, State::Failed, "{}", world.ledger(late).await);
        for event in refund_events(&world, charge).await {
            assert_eq!(world.deliver(&event).await, StatusCode::OK);
        }
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((1200, 0), 1));
        world.finish().await;
    }

    async fn a_webhook_before_our_own_response_ends_the_refund_and_the_response_is_stale(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let id = refund(&world, charge, "r", &json!({"amount": 400})).await;
        let Claimed::Work(lease) = world.engine.wake(Wake::of(id, 1), "slow").await.unwrap() else { panic!("it was due") };
        let answer = world.call(Call::Refund, &lease.payment, &lease.key).await;
        for event in refund_events(&world, charge).await {
            assert_eq!(world.deliver(&event).await, StatusCode::OK);
        }
        assert_eq!((world.payment(id).await.state, counted(&world, charge).await), (State::Succeeded, (400, 0)));
        let event = Event::of(&lease.payment, answer);
        assert_eq!(world.engine.report(*lease, event, None, Then::GoOn).await.unwrap(), Reported::Late);
        assert_eq!(counted(&world, charge).await, (400, 0));
        world.finish().await;
    }

    async fn a_refund_that_cannot_be_made_goes_to_a_person_and_back(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let id = refund(&world, charge, "r", &json!({"amount": 400})).await;
        world.sandbox.set_down(true);
        for _ in 0..200 {
            world.work_patiently().await;
            if world.payment(id).await.state == State::InReview {
                break;
            }
        }
        let ledger = world.ledger(id).await;
        assert_eq!((world.payment(id).await.state, counted(&world, charge).await), (State::InReview, (0, 400)), "{ledger}");
        let letters = world.store.dead_letters_of(id, 10).await.unwrap();
        assert_eq!(letters.len(), 1);
        world.sandbox.set_down(false);
        build::redriven(&world.engine, id, Decided::No).await;
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((400, 0), 1));
        world.finish().await;
    }

    async fn a_worker_that_dies_in_the_middle_of_a_refund_is_followed_by_another(world: World) {
        let charge = charged(&world, "pm_card_visa").await;
        let id = refund(&world, charge, "r", &json!({"amount": 400})).await;
        let Claimed::Work(lease) = world.engine.wake(Wake::of(id, 1), "dead").await.unwrap() else { panic!("it was due") };
        world.call(Call::Refund, &lease.payment, &lease.key).await;
        world.clock.skip(fincore_tests::world::LEASE);
        world.work_patiently().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        assert_eq!((counted(&world, charge).await, given_back(&world, charge)), ((400, 0), 1));
        let late = Event::Unknown { why: Unknown::Timeout, detail: "late".to_owned() };
        assert_eq!(world.engine.report(*lease, late, None, Then::GoOn).await.unwrap(), Reported::Late);
        world.finish().await;
    }
}
