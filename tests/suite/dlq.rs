//! `fincore dlq`: the real program on a real database, and what it is built on.

use std::time::Duration;

use fincore_tests::build;
use fincore_tests::database::TestDatabase;
use fincore_tests::process::{Printed, Program};
use fincore_tests::world::World;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use workflow::decide::Decided;
use workflow::definition::State;
use workflow::engine::operator::{Act, Performed, Planned};
use workflow::ids::PaymentId;

use crate::alerts::DISAGREES;

fincore_tests::on_each_database! {
    async fn what_waits_is_listed_shown_and_sent_back_to_work(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let dlq = Dlq::of(&database);
        assert_eq!(dlq.run(&["list"]).text, "No charge waits for a person.\n");
        let (exhausted, disagrees) = waiting(&world).await;
        let list = dlq.run(&["list"]).text;
        for part in [
            exhausted.to_string().as_str(),
            disagrees.to_string().as_str(),
            "throttled",
            "expected 12.00 EUR, the PSP says 12.01 EUR",
            "1  retries_exhausted  12.00 EUR",
            "1  amounts_disagree   12.00 EUR",
            "2 charges are waiting for a person.",
        ] {
            assert!(list.contains(part), "{part} is not in\n{list}");
        }
        let json: Value = serde_json::from_str(&dlq.run(&["list", "--json", "--reason", "amounts_disagree"]).text).unwrap();
        assert_eq!(json["found"], 1);
        assert_eq!(json["dead_letters"][0]["charge"], disagrees.to_string());
        assert_eq!(json["dead_letters"][0]["redrive"], "decides");
        assert_eq!(json["waiting"][0]["at_stake"][0]["amount"], 1200);
        for (args, found) in [
            (&["list", "--account", "sandbox"][..], true),
            (&["list", "--account", "elsewhere"], false),
            (&["list", "--since", "2020-01-01T00:00:00Z"], true),
            (&["list", "--limit", "1"], false),
        ] {
            assert_eq!(dlq.run(args).text.contains(&disagrees.to_string()), found, "{args:?}");
        }

        let first = dlq.run(&["list", "--limit", "1"]).text;
        assert!(first.contains("and 1 more") && first.contains("2 charges are waiting"), "{first}");

        let show = dlq.run(&["show", &exhausted.to_string()]).text;
        for part in ["IN_REVIEW", "log told", "captured → succeeded", "untouched → authorizing", "--why '…'\n", "started"] {
            assert!(show.contains(part), "{part} is not in\n{show}");
        }
        let show = dlq.run(&["show", &disagrees.to_string()]).text;
        assert!(show.contains("has to be decided by you: the PSP has other money") && show.contains("--decided"), "{show}");

        let before = [world.payment(exhausted).await, world.payment(disagrees).await];
        let dry = dlq.run(&["redrive", "--all", "--dry-run"]);
        assert!(!dry.is_success, "one is refused");
        assert!(dry.text.contains("would be redriven: it leads from in_review to reconciling"), "{}", dry.text);
        assert!(dry.text.contains("1 of 2 would be redriven; nothing was changed, 1 refused."), "{}", dry.text);
        assert_eq!([world.payment(exhausted).await, world.payment(disagrees).await], before, "nothing was changed");

        let redriven = dlq.run(&["redrive", "--all", "--why", "the PSP is back", "--operator", "ada", "--rate", "1000/s"]);
        assert!(!redriven.is_success, "one is refused");
        assert!(redriven.text.contains(&format!("{disagrees}  refused: the PSP has other money")), "{}", redriven.text);
        assert!(redriven.text.contains("1 of 2 redriven, 1 refused."), "{}", redriven.text);
        assert_eq!(world.payment(disagrees).await, before[1]);
        world.work_patiently().await;
        assert_eq!(world.payment(exhausted).await.state, State::Succeeded, "{}", world.ledger(exhausted).await);
        let rows = world.store.history(exhausted).await.unwrap();
        let row = rows.iter().find(|row| row.fact.actor == "operator:ada").unwrap();
        assert_eq!(row.fact.data["reason"], "the PSP is back");

        let list = dlq.run(&["list"]).text;
        assert!(!list.contains(&exhausted.to_string()) && list.contains("1 charge is waiting"), "{list}");
        let list = dlq.run(&["list", "--all-letters"]).text;
        assert!(list.contains(&exhausted.to_string()) && list.contains("succeeded"), "{list}");
        let again = dlq.run(&["redrive", &exhausted.to_string(), "--why", "x"]);
        assert!(!again.is_success && again.text.contains("only a payment in review can be redriven"), "{}", again.text);
        world.finish().await;
    }

    async fn a_run_stops_when_a_charge_comes_back_with_what_none_of_them_had(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(exhausted(&world, DISAGREES).await);
        }
        let (worker, stop) = (world.worker.clone(), CancellationToken::new());
        let working = tokio::spawn({
            let stop = stop.clone();
            async move { worker.run(stop).await }
        });
        let run = |rate: &'static str| {
            let dlq = Dlq::of(&database);
            tokio::task::spawn_blocking(move || dlq.run(&["redrive", "--all", "--why", "it is back", "--rate", rate]))
        };
        let stopped = run("1/s").await.unwrap();
        assert!(!stopped.is_success, "not all were reached");
        for part in ["came back with what none of them had: amounts_disagree after amounts_disagree", "not reached"] {
            assert!(stopped.text.contains(part), "{part} is not in\n{}", stopped.text);
        }
        let mut left = 0;
        for id in &ids {
            left += usize::from(world.store.dead_letters_of(*id, 10).await.unwrap().len() == 1);
        }
        assert!((1..4).contains(&left), "{}", stopped.text);
        // Whoever has seen that runs it again: now some of them had it.
        let again = run("2/s").await.unwrap();
        let all = format!("{left} of 4 redriven, {} refused.", 4 - left);
        assert!(again.text.contains(&all) && !again.text.contains("stopped"), "{}", again.text);
        stop.cancel();
        working.await.unwrap();
    }

    async fn what_a_person_has_decided_is_redriven_by_name_or_by_reason(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let dlq = Dlq::of(&database);
        let (exhausted, disagrees) = waiting(&world).await;
        let (why, rate) = (["--why", "voided at the PSP"], ["--rate", "1000"]);
        let since = [&["redrive", "--since", "2020-01-01T00:00:00Z", "--decided"][..], &why].concat();
        let refused = dlq.run(&since);
        assert!(!refused.is_success && refused.complaint.contains("name them, or one --reason"), "{}", refused.complaint);
        let by_reason = [&["redrive", "--reason", "amounts_disagree", "--decided"][..], &why, &rate].concat();
        assert!(dlq.run(&by_reason).is_success);
        assert_eq!(world.payment(disagrees).await.state, State::Reconciling);
        world.work().await;
        let id = disagrees.to_string();
        assert_eq!(world.payment(disagrees).await.state, State::InReview, "nothing was voided, so it is back");
        assert!(dlq.run(&[&["redrive", &id, "--decided"][..], &why, &rate].concat()).is_success);
        world.work().await;
        assert_eq!(world.store.dead_letters_of(disagrees, 10).await.unwrap().len(), 3);
        assert_eq!(world.payment(exhausted).await.state, State::InReview, "nobody asked for this one");
        let missing = dlq.run(&["redrive", "ch_00000000000070008000000000000002", "--why", "x"]);
        assert!(!missing.is_success && missing.text.contains("there is no such payment"), "{}", missing.text);
        let missing = dlq.run(&["show", "ch_00000000000070008000000000000002"]);
        assert!(!missing.is_success && missing.complaint.contains("has no dead letter"), "{}", missing.complaint);
    }

    async fn a_redrive_that_would_decide_about_money_is_refused_until_a_person_has(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let (_, disagrees) = waiting(&world).await;
        let before = world.payment(disagrees).await;
        let ada = build::by("ada");
        let Planned::Would(plan) = world.engine.plan(disagrees, &Act::Redrive(Decided::Yes), &ada).await.unwrap() else {
            panic!("it is refused");
        };
        assert_eq!((&*plan.before, plan.after.state), (&before, State::Reconciling));
        let refused = world.engine.perform(disagrees, &Act::Redrive(Decided::No), &ada).await.unwrap();
        assert!(matches!(refused, Performed::Refused(refusal) if refusal.is_undecided && refusal.why.contains("void or refund")));
        assert_eq!(world.payment(disagrees).await, before, "neither plan nor refusal changed anything");
        assert_eq!(build::redriven(&world.engine, disagrees, Decided::Yes).await.state, State::Reconciling);
        world.work().await;
        assert!(world.store.history(disagrees).await.unwrap().iter().any(|row| {
            row.fact.data["decided"].as_str().is_some_and(|what| what.contains("void or refund"))
        }), "history tells what the person has said to be settled");
        world.finish().await;
    }
}

/// A charge whose retries are exhausted, and one of whose amount the PSP has other ideas. The log has been told of both.
async fn waiting(world: &World) -> (PaymentId, PaymentId) {
    let disagrees = world.charge(DISAGREES, "automatic").await;
    world.work().await;
    assert_eq!(world.payment(disagrees).await.state, State::InReview, "{}", world.ledger(disagrees).await);
    (exhausted(world, "pm_card_visa").await, disagrees)
}

/// A charge whose retries are exhausted. The PSP is well again.
async fn exhausted(world: &World, payment_method: &str) -> PaymentId {
    world.sandbox.fail_next(sandbox::Operation::Create, sandbox::Fault::Throttled, 1_000);
    let id = world.charge(payment_method, "automatic").await;
    for _ in 0..40 {
        world.clock.skip(Duration::from_mins(5));
        world.work().await;
    }
    world.sandbox.fail_next(sandbox::Operation::Create, sandbox::Fault::Throttled, 0);
    assert_eq!(world.payment(id).await.state, State::InReview, "{}", world.ledger(id).await);
    id
}

/// The program on a database.
struct Dlq(Program);

impl Dlq {
    fn of(database: &TestDatabase) -> Self {
        let env = vec![("FINCORE_DATABASE_URL", database.url())];
        Self(Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env })
    }

    fn run(&self, args: &[&str]) -> Printed {
        self.0.print(&[&["dlq"], args].concat())
    }
}
