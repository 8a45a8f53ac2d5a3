//! Step Functions as the clock: the state machine as it is rendered, run by interpreters that are not ours, with real
//! messages, the real worker and both databases. Histories are those of the database's own times.
//!
//! Not here: what the document looks like (`workflow/tests/renderings.rs`) and its validators (`third_party`).

mod every_path;
mod outages;
mod timeouts;
mod words;

use fincore_tests::emulators::Emulator;
use fincore_tests::stage::{Act, Deployed, Stage, Timed, play};
use fincore_tests::state_machine::{StateMachine, document, impatient};
use fincore_tests::world::World;
use serde_json::Value;
use workflow::definition::EventKind;
use workflow::ids::PaymentId;
use workflow_aws::sfn::Keeping;

use crate::production;
use crate::scenarios::{SCENARIOS, lines};

/// Long enough for a test to move the engine's clock after a payment has come to rest, and short enough to wait for.
const IMPATIENCE_S: u64 = 8;

/// Who history says drove a timeout.
const BY_STEP_FUNCTIONS: &str = "clock:step_functions";
const BY_DATABASE: &str = "clock:database";

crate::on_each_store! {
    async fn every_scenario_has_its_history(world: World) {
        let Some(emulator) = Emulator::moto() else { return };
        let stage = Timed::beside(&world, emulator, &document(), Keeping::All).await;
        every_scenario_is_timed(&stage, &stage.machine).await;
        stage.close().await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_has_its_history_with_a_lambda_function() {
    let Some((_database, site)) = production::timed_site(&document()).await else { return };
    let machine = site.machine.clone().unwrap();
    let stage = Deployed::of(site);
    let running = stage.site.start();
    every_scenario_is_timed(&stage, &machine).await;
    drop(running);
}

/// Plays them all, with executions that follow each payment to its end.
async fn every_scenario_is_timed(stage: &dyn Stage, machine: &StateMachine) {
    for scenario in SCENARIOS {
        let waits = scenario.acts.iter().any(|act| matches!(act, Act::Minutes(_)));
        machine.update(&if waits { impatient(IMPATIENCE_S) } else { document() }).await;
        let id = play(stage, scenario).await;
        stage.agree(id).await;
        let ledger = stage.ledger(id).await;
        assert_eq!(lines(&ledger), lines(scenario.history), "{}", scenario.name);
        machine.until_followed(&stage.payment(id).await).await;
        for actor in who(stage, id, EventKind::DeadlinePassed).await {
            assert_eq!(actor, BY_STEP_FUNCTIONS, "{}", scenario.name);
        }
    }
}

/// Who caused events of this kind, in order.
async fn who(stage: &dyn Stage, id: PaymentId, kind: EventKind) -> Vec<String> {
    let history = stage.store().history(id).await.unwrap();
    history.into_iter().filter(|row| row.fact.event == kind).map(|row| row.fact.actor).collect()
}

/// A process of this world beside moto, with this document.
async fn timed(world: &World, document: &Value) -> Option<Timed> {
    Some(Timed::beside(world, Emulator::moto()?, document, Keeping::All).await)
}
