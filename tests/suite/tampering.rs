//! Somebody changes the database behind our back, with all the rights there are: `fincore verify` notices.

use fincore_tests::build;
use fincore_tests::world::World;
use workflow::engine::operator::{Act, Performed};
use workflow::history::{self, BrokenChain};
use workflow::payment::Proposed;

/// What is done to a finished charge of 12.00 EUR, and where it shows.
const ACTS: [(&str, &str); 7] = [
    ("update payments set amount_captured_minor = 1100", "amount_captured"),
    ("update payments set amount_minor = 1300", "amount_minor"),
    ("update payments set psp_reference = 'pi_mine'", "psp_reference"),
    ("update payments set payment_method = 'pm_other'", "payment_method"),
    ("update payments set state = 'failed'", "in state failed"),
    ("delete from payment_history where seq = 4", "row 4 is missing"),
    ("update payment_history set actor = 'operator:nobody' where seq = 3", "row 3 was changed"),
];

fincore_tests::on_each_database! {
    async fn whatever_is_changed_behind_our_back_shows(database: TestDatabase) {
        for (act, expected) in ACTS {
            let world = World::over(database.store().await).await;
            let id = world.charge("pm_card_visa", "automatic").await;
            world.work().await;
            assert_eq!(verdict(&world, id).await, Ok(()));
            let refused = database.execute("delete from payment_history").await.unwrap_err();
            assert!(refused.contains("append-only"), "{refused}");
            disarm(&database).await;
            database.execute(act).await.unwrap();
            let broken = verdict(&world, id).await.unwrap_err().to_string();
            assert!(broken.contains(expected), "{act}: {broken}");
            arm(&database).await;
            database.execute("delete from idempotency_keys").await.unwrap();
        }
    }

    async fn what_nobody_has_proposed_is_not_approved(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let id = world.charge("pm_card_visa", "automatic").await;
        world.work().await;
        let refund = Act::Propose(Proposed::Refund { amount_minor: 500, refund_reason: None });
        let Performed::Done(done) = world.engine.perform(id, &refund, &build::by("ada")).await.unwrap() else { panic!() };
        let approve = Act::Approve { proposal: done.payment.seq };
        for (from, to) in [("\"ada\"", "\"eve\""), (":500", ":900"), ("is back", "is gone"), ("\"expires_at\":\"20", "\"expires_at\":\"21")] {
            let change = |from: &str, to: &str| format!("update payments set proposal = replace(proposal, '{from}', '{to}')");
            database.execute(&change(from, to)).await.unwrap();
            let broken = verdict(&world, id).await.unwrap_err().to_string();
            assert!(broken.contains("proposal"), "{from}: {broken}");
            for operator in ["ada", "grace"] {
                let performed = world.engine.perform(id, &approve, &build::by(operator)).await.unwrap();
                let Performed::Refused(refusal) = performed else { panic!("{operator} approved what was changed") };
                assert!(refusal.why.contains("not what its history says"), "{}", refusal.why);
            }
            database.execute(&change(to, from)).await.unwrap();
        }
        assert!(matches!(world.engine.perform(id, &approve, &build::by("grace")).await.unwrap(), Performed::Done(_)));
        world.work().await;
        world.finish().await;
    }
}

async fn verdict(world: &World, id: workflow::ids::PaymentId) -> Result<(), BrokenChain> {
    let rows = world.store.history(id).await.unwrap();
    history::verify(&world.payment(id).await, &rows)
}

/// What an intruder with all rights does first.
async fn disarm(database: &fincore_tests::database::TestDatabase) {
    if database.is_postgres() {
        database.execute("alter table payment_history disable trigger user").await.unwrap();
    } else {
        for act in ["update", "delete"] {
            database.execute(&format!("drop trigger payment_history_append_only_{act}")).await.unwrap();
        }
    }
}

/// Puts the guards back and removes the broken payment, for the next act.
async fn arm(database: &fincore_tests::database::TestDatabase) {
    if database.is_postgres() {
        database.execute("delete from payment_history; delete from payments").await.unwrap();
        database.execute("alter table payment_history enable trigger user").await.unwrap();
    } else {
        database.execute("delete from payment_history; delete from payments").await.unwrap();
        for act in ["update", "delete"] {
            let trigger = format!(
                "create trigger payment_history_append_only_{act} before {act} on payment_history
                begin select raise(abort, 'payment_history is append-only'); end"
            );
            database.execute(&trigger).await.unwrap();
        }
    }
}
