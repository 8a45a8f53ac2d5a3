//! What books or moves money takes two persons, who have seen the same.

use std::time::Duration;

use fincore_tests::build;
use serde_json::json;
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::engine::operator::{Act, Performed, Planned};
use workflow::engine::worker::Claimed;
use workflow::payment::{Outcome, PROPOSAL_HOLDS_FOR, Proposed, RefundReason, Resolution};
use workflow::port::audit::{AuditAct, AuditOutcome};
use workflow::port::gateway::Operation;
use workflow::port::queue::Wake;

use super::{audit, captured_unknown_to_us, done, in_review, posts, refused, resolution};
use fincore_tests::world::{LEASE, World};

crate::on_each_store! {
    async fn two_persons_book_what_the_psp_has_captured(world: World) {
        let id = captured_unknown_to_us(&world).await;
        assert_eq!(world.payment(id).await.amount_captured_minor, 0, "nobody told us");
        let reference = world.payment(id).await.psp_reference;
        let succeeded = |captured, psp_reference: &Option<String>| Act::Propose(Proposed::Resolution(Resolution {
            outcome: Outcome::Succeeded,
            captured_minor: captured,
            psp_reference: psp_reference.clone(),
        }));
        for (act, why) in [
            (succeeded(None, &None), "say how much was captured"),
            (succeeded(Some(1_201), &None), "more than what was asked for"),
            (succeeded(Some(1_200), &Some("pi_of_another".to_owned())), "by another reference"),
            (succeeded(Some(1_200), &Some("two words".to_owned())), "one word"),
        ] {
            let refused = refused(&world, id, &act, "ada").await;
            assert!(refused.contains(why), "{refused}");
        }
        let act = succeeded(Some(1_200), &reference);
        let Planned::Would(plan) = world.engine.plan(id, &act, &build::by("ada")).await.unwrap() else { panic!() };
        assert_eq!(plan.effect, "none yet: a second person has to agree");
        let approval = plan.approval.as_ref().unwrap();
        assert_eq!((approval.to, approval.money.len()), (State::Succeeded, 1), "reserved it was, captured it will be");
        assert!(approval.effect.contains("captured 0.00 EUR → 12.00 EUR"), "{}", approval.effect);

        let proposal = done(&world, id, &act, "ada").await.payment.proposal.clone().unwrap().seq;
        let explained = world.engine.explain(id).await.unwrap();
        assert!(explained.waits_for.starts_with("A second operator, not ada"), "{}", explained.waits_for);
        let approve = Act::Approve { proposal };
        for alone in ["ada", "Ada", " ADA "] {
            assert!(refused(&world, id, &approve, alone).await.contains("it takes a second person"));
        }
        assert!(refused(&world, id, &Act::Approve { proposal: proposal - 1 }, "grace").await.contains("waits no longer"));
        let payment = done(&world, id, &approve, "grace").await.payment;
        assert_eq!((payment.state, payment.amount_captured_minor, &payment.proposal), (State::Succeeded, 1_200, &None));
        assert!(refused(&world, id, &approve, "grace").await.contains("waits no longer"));

        let rows = world.store.history(id).await.unwrap();
        let last = rows.iter().find(|row| row.fact.actor == "operator:grace").unwrap();
        assert_eq!(last.fact.event.to_string(), "resolved_succeeded");
        assert_eq!(last.fact.data["approval"]["proposed_by"], "ada");
        assert_eq!(last.fact.data["approval"]["proposal"], proposal);
        let acts: Vec<_> = audit(&world, id).await.into_iter().filter(|entry| entry.outcome == AuditOutcome::Done).map(|entry| (entry.actor, entry.act)).collect();
        assert_eq!(acts, [("ada".to_owned(), AuditAct::ProposeResolution), ("grace".to_owned(), AuditAct::Approve)]);

        // The PSP's webhook comes at last: it is old news, and the books agree.
        for event in world.events(id).await {
            world.deliver(&event).await;
        }
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        world.finish().await;
    }

    async fn a_payment_of_which_the_psp_knows_nothing_is_ended_as_failed_or_canceled(world: World) {
        for (outcome, end) in [(Outcome::Failed, State::Failed), (Outcome::Canceled, State::Canceled)] {
            let id = in_review(&world).await;
            let act = Act::Propose(Proposed::Resolution(resolution(outcome)));
            let proposal = done(&world, id, &act, "ada").await.payment.proposal.clone().unwrap().seq;
            let payment = done(&world, id, &Act::Approve { proposal }, "grace").await.payment;
            assert_eq!((payment.state, payment.next_wake_at), (end, None));
            assert_eq!(payment.failure.is_some(), end == State::Failed);
            assert!(refused(&world, id, &act, "ada").await.contains("only a payment in review is ended by people"));
        }
        let paid = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let act = Act::Propose(Proposed::Resolution(resolution(Outcome::Failed)));
        assert!(refused(&world, paid, &act, "ada").await.contains("only a payment in review"));
        world.finish().await;
    }

    async fn a_proposal_does_not_outlive_what_was_looked_at(world: World) {
        let id = in_review(&world).await;
        let propose = Act::Propose(Proposed::Resolution(resolution(Outcome::Failed)));
        let proposed = async || done(&world, id, &propose, "ada").await.payment.proposal.clone().unwrap().seq;

        // A note changes nothing that was looked at; a second proposal has to wait.
        let first = proposed().await;
        done(&world, id, &Act::Note, "linus").await;
        assert!(refused(&world, id, &propose, "grace").await.contains("another proposal waits already"));
        assert!(refused(&world, id, &Act::Withdraw { proposal: first + 1 }, "linus").await.contains("another proposal waits by now"));
        assert_eq!(done(&world, id, &Act::Withdraw { proposal: first }, "linus").await.payment.proposal, None);
        assert!(refused(&world, id, &Act::Approve { proposal: first }, "grace").await.contains("waits no longer"));
        assert!(refused(&world, id, &Act::Withdraw { proposal: first }, "linus").await.contains("nothing is proposed"));

        // The client has changed its mind.
        let second = proposed().await;
        posts(&world, &format!("/v1/charges/{id}/cancel"), &json!({})).await;
        assert!(refused(&world, id, &Act::Approve { proposal: second }, "grace").await.contains("waits no longer"));
        let rows = world.store.history(id).await.unwrap();
        assert_eq!(rows.last().unwrap().fact.data["outdated_proposal"], second);

        // Somebody sent it back to work, and it came back: the old proposal is not about that.
        let third = proposed().await;
        build::redriven(&world.engine, id, Decided::Yes).await;
        assert!(refused(&world, id, &Act::Approve { proposal: third }, "grace").await.contains("waits no longer"));
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Canceled, "{}", world.ledger(id).await);

        // Time passes.
        let id = in_review(&world).await;
        let fourth = done(&world, id, &propose, "ada").await.payment.proposal.clone().unwrap().seq;
        world.clock.skip(Duration::try_from(PROPOSAL_HOLDS_FOR).unwrap());
        assert!(refused(&world, id, &Act::Approve { proposal: fourth }, "grace").await.contains("has expired"));
        let fifth = done(&world, id, &propose, "grace").await.payment.proposal.clone().unwrap();
        assert_eq!(fifth.by, "grace", "an expired proposal is in nobody's way");
        assert_eq!(done(&world, id, &Act::Approve { proposal: fifth.seq }, "ada").await.payment.state, State::Failed);
        world.finish().await;
    }

    async fn of_two_who_approve_at_once_one_does(world: World) {
        let id = in_review(&world).await;
        let charge = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        for (id, what) in [
            (id, Proposed::Resolution(resolution(Outcome::Failed))),
            (charge, Proposed::Refund { amount_minor: 1_200, refund_reason: None }),
        ] {
            let proposal = done(&world, id, &Act::Propose(what), "ada").await.payment.proposal.clone().unwrap().seq;
            let (approve, grace, linus) = (Act::Approve { proposal }, build::by("grace"), build::by("linus"));
            let (first, second) = tokio::join!(world.engine.perform(id, &approve, &grace), world.engine.perform(id, &approve, &linus));
            let is_done = |performed: &Performed| matches!(performed, Performed::Done(_));
            let (first, second) = (first.unwrap(), second.unwrap());
            assert!(is_done(&first) != is_done(&second), "{first:?} {second:?}");
            let approvals = audit(&world, id).await.into_iter().filter(|entry| entry.act == AuditAct::Approve);
            let outcomes: Vec<bool> = approvals.map(|entry| entry.outcome == AuditOutcome::Done).collect();
            assert_eq!((outcomes.len(), outcomes.iter().filter(|done| **done).count()), (2, 1), "both are in the audit log");
        }
        world.work().await;
        assert_eq!(world.payment(charge).await.amount_refunded_minor, 1_200);
        world.finish().await;
    }

    async fn two_persons_give_money_back_for_a_merchant(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let refund = |amount_minor| Act::Propose(Proposed::Refund { amount_minor, refund_reason: Some(RefundReason::Duplicate) });
        for amount_minor in [0, -1, 1_201] {
            assert!(refused(&world, id, &refund(amount_minor), "ada").await.contains("not so much is left"));
        }
        let proposal = done(&world, id, &refund(500), "ada").await.payment.proposal.clone().unwrap().seq;
        assert!(refused(&world, id, &Act::Approve { proposal }, "ada").await.contains("second person"));
        assert_eq!(world.payment(id).await.amount_refund_pending_minor, 0, "nothing moves on one person's word");
        let Planned::Would(plan) = world.engine.plan(id, &Act::Approve { proposal }, &build::by("grace")).await.unwrap() else { panic!() };
        assert_eq!(plan.effect, "a refund begins: 5.00 EUR go back to the customer");
        assert_eq!(world.store.refunds(id, None, 10).await.unwrap(), [], "a plan opens nothing");
        let done_ = done(&world, id, &Act::Approve { proposal }, "grace").await;
        let opened = done_.refund.unwrap();
        assert_eq!((opened.amount_minor, opened.refund_of.as_ref().unwrap().reason), (500, Some(RefundReason::Duplicate)));
        let rows = world.store.history(opened.id).await.unwrap();
        assert_eq!(rows[0].fact.actor, "operator:grace");
        world.work().await;
        assert_eq!(world.payment(opened.id).await.state, State::Succeeded);
        assert_eq!(world.payment(id).await.amount_refunded_minor, 500);

        // The client was quicker: what was looked at is no longer so.
        let proposal = done(&world, id, &refund(700), "ada").await.payment.proposal.clone().unwrap().seq;
        posts(&world, &format!("/v1/charges/{id}/refunds"), &json!({"amount": 600})).await;
        assert!(refused(&world, id, &Act::Approve { proposal }, "grace").await.contains("waits no longer"));
        world.work().await;
        assert_eq!(world.payment(id).await.amount_refunded_minor, 1_100);
        world.finish().await;
    }

    async fn two_persons_end_a_refund_and_its_charge_counts_it(world: World) {
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        // The first reaches the PSP, which gives the money back and is never heard of again; the second reaches nobody.
        for outcome in [Outcome::Succeeded, Outcome::Failed] {
            posts(&world, &format!("/v1/charges/{id}/refunds"), &json!({"amount": 400})).await;
            let refund = world.store.refunds(id, None, 1).await.unwrap().remove(0).id;
            if outcome == Outcome::Succeeded {
                let Claimed::Work(lease) = world.engine.wake(Wake::of(refund, 1), "dead").await.unwrap() else { panic!() };
                world.call(Operation::Refund, &lease.payment, &lease.key).await;
                world.clock.skip(LEASE);
            }
            world.sandbox.set_down(true);
            super::until_review(&world, refund).await;
            world.sandbox.set_down(false);
            let canceled = Act::Propose(Proposed::Resolution(resolution(Outcome::Canceled)));
            assert!(refused(&world, refund, &canceled, "ada").await.contains("cannot be taken back"));
            let propose = Act::Propose(Proposed::Resolution(resolution(outcome)));
            let proposal = done(&world, refund, &propose, "ada").await.payment.proposal.clone().unwrap().seq;
            done(&world, refund, &Act::Approve { proposal }, "grace").await;
            let charge = world.payment(id).await;
            assert_eq!((charge.amount_refunded_minor, charge.amount_refund_pending_minor), (400, 0));
        }
        world.finish().await;
    }
}
