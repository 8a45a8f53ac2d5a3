//! The commands of operators: the real program on a real database.

use fincore_tests::database::TestDatabase;
use fincore_tests::process::{Printed, Program};
use fincore_tests::world::World;
use sandbox::{Fault, Operation};
use serde_json::Value;
use workflow::definition::State;
use workflow::ids::PaymentId;

/// Exit code of what was refused.
const REFUSED: Option<i32> = Some(3);

fincore_tests::on_each_database! {
    async fn a_stuck_charge_is_explained_tried_now_and_noted(database: TestDatabase) {
        let world = ahead(&database).await;
        let desk = Desk::of(&database);
        let id = backing_off(&world).await;
        let name = id.to_string();
        let explained = desk.ok(&["explain", &name]);
        for part in ["AUTHORIZING", "The backoff before the next attempt of `authorize` to end.", "unblocked by clock", "attempt 2 of `authorize`, in", "retry     yes", "redrive   –    only a payment in review", "resolve   –"] {
            assert!(explained.contains(part), "{part} is not in\n{explained}");
        }
        let json = desk.json(&["explain", &name, "--json"]);
        assert_eq!((&json["who"], &json["payment"]), (&"clock".into(), &name.clone().into()));

        let before = world.payment(id).await;
        let dry = desk.ok(&["retry", &name, "--dry-run"]);
        for part in ["retry would do this:", "stays authorizing (retry_requested)", "money", "next      the next free worker"] {
            assert!(dry.contains(part), "{part} is not in\n{dry}");
        }
        assert_eq!(world.payment(id).await, before, "a dry run changes nothing");
        assert_eq!(desk.json(&["audit", "--json"])["entries"].as_array().unwrap().len(), 0, "and is no act");
        let missing = desk.run(&["retry", &name]);
        assert!(missing.code == Some(2) && missing.complaint.contains("--why"), "{}", missing.complaint);

        let done = desk.ok(&["retry", &name, "--why", "they say it is back", "--operator", "ada"]);
        assert!(done.contains("is due now"), "{done}");
        let again = desk.run(&["retry", &name, "--why", "again", "--operator", "ada", "--json"]);
        assert_eq!(again.code, REFUSED);
        let again: Value = serde_json::from_str(&again.text).unwrap();
        assert!(again["results"][0]["refused"].as_str().unwrap().contains("due already"), "{again}");
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);

        let noted = desk.ok(&["note", &name, "--why", "told the merchant", "--operator", "grace"]);
        assert!(noted.contains("noted in row"), "{noted}");
        let shown = desk.ok(&["show", &name, "--watch"]);
        assert!(shown.contains("told the merchant") && shown.contains("hash chain intact"), "{shown}");
        assert!(desk.ok(&["explain", &name, "--watch"]).contains("Nothing: it has ended."));
        let card = desk.run(&["note", &name, "--why", "4242 4242 4242 4242", "--operator", "grace"]);
        assert!(card.code == REFUSED && card.text.contains("card number"), "{}", card.text);

        let audit = desk.ok(&["audit", "--payment", &name]);
        for part in ["ada", "grace", "retry", "they say it is back", "refused: it is due already", "cli"] {
            assert!(audit.contains(part), "{part} is not in\n{audit}");
        }
        let entries = desk.json(&["audit", "--json", "--operator", "grace", "--act", "note"]);
        assert_eq!(entries["entries"].as_array().unwrap().len(), 2, "what is refused is an entry too");
        let unknown = desk.run(&["explain", "ch_00000000000070008000000000000002"]);
        assert!(unknown.code == Some(1) && unknown.complaint.contains("there is no such payment"), "{}", unknown.complaint);
        world.finish().await;
    }

    async fn two_persons_resolve_and_refund_at_the_command_line(database: TestDatabase) {
        let world = ahead(&database).await;
        let desk = Desk::of(&database);
        let paid = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let review = exhausted(&world).await;
        let name = review.to_string();
        let resolve = ["resolve", &name, "--outcome", "failed", "--why", "nothing at the PSP", "--operator", "ada"];
        let dry = desk.ok(&[&resolve[..], &["--dry-run"]].concat());
        for part in ["stays in_review (resolution_proposed)", "none yet: a second person has to agree", "and when a second person approves:", "in_review → failed (resolved_failed)"] {
            assert!(dry.contains(part), "{part} is not in\n{dry}");
        }
        let proposed = desk.ok(&resolve);
        assert!(proposed.contains(&format!("fincore approve {name} --proposal")), "{proposed}");
        let number = world.payment(review).await.proposal.unwrap().seq.to_string();
        let approve = ["approve", &name, "--proposal", &number, "--why", "I looked too", "--operator"];
        let alone = desk.run(&[&approve[..], &["ada"]].concat());
        assert!(alone.code == REFUSED && alone.text.contains("it takes a second person"), "{}", alone.text);
        assert!(desk.ok(&["explain", &name]).contains(&format!("number {number} by ada: it failed (nothing at the PSP)")));
        assert!(desk.ok(&[&approve[..], &["grace"]].concat()).contains("approved: it is failed now"));
        assert_eq!(world.payment(review).await.state, State::Failed);

        let name = paid.to_string();
        let refund = desk.json(&["refund", &name, "--amount", "500", "--why", "charged twice", "--operator", "ada", "--json"]);
        let number = refund["results"][0]["proposal"]["number"].to_string();
        let withdrawn = desk.ok(&["withdraw", &name, "--proposal", &number, "--why", "a typo", "--operator", "grace"]);
        assert!(withdrawn.contains("withdrawn"), "{withdrawn}");
        let refund = desk.json(&["refund", &name, "--why", "charged twice", "--operator", "ada", "--json"]);
        let number = refund["results"][0]["proposal"]["number"].to_string();
        let approved = desk.json(&["approve", &name, "--proposal", &number, "--why", "indeed", "--operator", "grace", "--json"]);
        let opened: PaymentId = approved["results"][0]["refund"].as_str().unwrap().parse().unwrap();
        world.work().await;
        assert_eq!(world.payment(opened).await.state, State::Succeeded);
        assert_eq!(world.payment(paid).await.amount_refunded_minor, 1_200, "all that was left");
        world.finish().await;
    }

    async fn charges_are_inquired_about_redriven_and_canceled_many_at_a_time(database: TestDatabase) {
        let world = ahead(&database).await;
        let desk = Desk::of(&database);
        let waits = world.charge("pm_sandbox_processing", "automatic").await;
        let held = world.charge("pm_card_visa", "manual").await;
        world.work().await;
        world.sandbox.settle_processing();
        let why = ["--why", "the webhook got lost", "--operator", "ada"];
        let (waits_name, held_name) = (waits.to_string(), held.to_string());
        let both = desk.run(&[&["inquire", &waits_name, &held_name][..], &why].concat());
        assert!(both.code == REFUSED && both.text.contains("reconciling now"), "one of two: {}", both.text);
        assert!(both.text.contains("(authorized)  refused: the money is reserved"), "{}", both.text);
        assert!(desk.ok(&[&["cancel", &held_name][..], &why].concat()).contains("is canceling now"));
        world.work().await;
        assert_eq!((world.payment(waits).await.state, world.payment(held).await.state), (State::Succeeded, State::Canceled));
        let review = exhausted(&world).await;
        let redriven = desk.ok(&[&["redrive", &review.to_string()][..], &why].concat());
        assert!(redriven.contains("is reconciling now"), "{redriven}");
        world.work().await;
        assert_eq!(world.payment(review).await.state, State::Succeeded, "{}", world.ledger(review).await);
        world.finish().await;
    }

    async fn a_psp_is_paused_listed_and_resumed(database: TestDatabase) {
        let world = ahead(&database).await;
        let desk = Desk::of(&database);
        let by = ["--why", "it times out", "--operator", "ada"];
        assert!(desk.ok(&["psp", "list"]).contains("running"));
        let unknown = desk.run(&[&["psp", "pause", "nowhere"][..], &by].concat());
        assert!(unknown.code == Some(1) && unknown.complaint.contains("no PSP account nowhere"), "{}", unknown.complaint);
        let dry = desk.ok(&["psp", "pause", "sandbox", "--dry-run"]);
        assert!(dry.contains("would do this: nothing is sent there"), "{dry}");
        assert!(world.store.pauses().await.unwrap().is_empty());
        assert!(desk.ok(&[&["psp", "pause", "sandbox"][..], &by].concat()).contains("is paused"));
        assert_eq!(desk.run(&[&["psp", "pause", "sandbox"][..], &by].concat()).code, REFUSED);
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Created);
        assert!(desk.ok(&["explain", &id.to_string()]).contains("An operator: ada paused sandbox (it times out)."));
        let list = desk.json(&["psp", "list", "--json"]);
        let psps = list["psps"].as_array().unwrap();
        assert!(psps.iter().any(|psp| psp["psp"] == "sandbox" && psp["pause"]["by"] == "ada"), "{list}");
        assert!(desk.ok(&["psp", "list"]).contains("PAUSED"));
        assert!(desk.ok(&[&["psp", "resume", "sandbox"][..], &by].concat()).contains("is resumed"));
        assert_eq!(desk.run(&[&["psp", "resume", "sandbox"][..], &by].concat()).code, REFUSED);
        world.clock.skip(std::time::Duration::from_secs(1));
        world.work().await;
        assert_eq!(world.payment(id).await.state, State::Succeeded);
        let audit = desk.ok(&["audit", "--act", "pause_psp"]);
        assert!(audit.contains("sandbox") && audit.contains("refused: it is paused already"), "{audit}");
        world.finish().await;
    }
}

/// A world whose clock is an hour ahead of the machine's, by which the program goes: what the program makes due is due
/// there, and what backs off there does so for an hour of the program's time.
async fn ahead(database: &TestDatabase) -> World {
    let world = World::over(database.store().await).await;
    world.clock.skip(std::time::Duration::from_hours(1));
    world
}

/// A charge that the PSP was too busy for.
async fn backing_off(world: &World) -> PaymentId {
    world.sandbox.fail_next(Operation::Create, Fault::Throttled, 1);
    let id = world.charge("pm_card_visa", "automatic").await;
    world.work().await;
    id
}

/// A charge whose retries are exhausted. The PSP is well again.
async fn exhausted(world: &World) -> PaymentId {
    world.sandbox.fail_next(Operation::Create, Fault::Throttled, 1_000);
    let id = world.charge("pm_card_visa", "automatic").await;
    for _ in 0..40 {
        world.clock.skip(std::time::Duration::from_mins(5));
        world.work().await;
    }
    world.sandbox.fail_next(Operation::Create, Fault::Throttled, 0);
    assert_eq!(world.payment(id).await.state, State::InReview, "{}", world.ledger(id).await);
    id
}

/// The program on a database.
struct Desk(Program);

impl Desk {
    fn of(database: &TestDatabase) -> Self {
        let env = vec![("FINCORE_DATABASE_URL", database.url()), ("FINCORE_PSP", "sandbox".to_owned())];
        Self(Program { binary: env!("CARGO_BIN_EXE_fincore-under-test"), env })
    }

    fn run(&self, args: &[&str]) -> Printed {
        self.0.print(args)
    }

    fn ok(&self, args: &[&str]) -> String {
        self.0.run(args)
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }
}
