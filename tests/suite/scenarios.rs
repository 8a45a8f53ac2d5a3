//! Every scenario of a table, wherever work is done: in one process driven by hand, and on PostgreSQL, SQS and the Lambda
//! function. The histories are the same.
//!
//! Not here: what the API says meanwhile (`charges.rs`), and what messages do (`production.rs`).

use std::fmt::Write;

use fincore_tests::site::Webhooks;
use fincore_tests::stage::{Deployed, InProcess, Scenario, Stage, play};
use fincore_tests::world::World;

use crate::production;

mod table;

pub(crate) use table::SCENARIOS;

crate::on_each_store_and_behind_a_pooler! {
    async fn every_scenario_has_its_history_in_one_process(world: World) {
        let stage = InProcess::of(world);
        every_scenario_has_its_history(&stage).await;
        stage.world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_has_its_history_with_a_lambda_function() {
    on_a_site(async |stage| every_scenario_has_its_history(stage).await).await;
}

/// Plays on PostgreSQL, SQS and the function, where there are any. The PSP sends no webhooks by itself; those that a
/// scenario wants are delivered as it says.
pub(crate) async fn on_a_site(play: impl AsyncFnOnce(&dyn Stage)) {
    on_a_site_with(Webhooks::Lost, play).await;
}

/// The same, as far as webhooks go.
pub(crate) async fn on_a_site_with(webhooks: Webhooks, play: impl AsyncFnOnce(&dyn Stage)) {
    let Some((_database, site)) = production::site(webhooks).await else { return };
    let stage = Deployed::of(site);
    let running = stage.site.start();
    play(&stage).await;
    drop(running);
}

async fn every_scenario_has_its_history(stage: &dyn Stage) {
    let mut wrong = String::new();
    for scenario in SCENARIOS {
        let id = play(stage, scenario).await;
        stage.agree(id).await;
        let ledger = stage.ledger(id).await;
        if lines(&ledger) != lines(scenario.history) {
            writeln!(wrong, "{}:\n{ledger}", scenario.name).unwrap();
        }
    }
    assert!(wrong.is_empty(), "other histories than in the table:\n{wrong}");
}

/// The scenario of this name.
pub(crate) fn named(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|scenario| scenario.name == name).expect("it is in the table")
}

/// Compares a history with what it should be, both without the test's indentation.
#[track_caller]
pub(crate) fn pretty(ledger: &str, expected: &str) {
    assert!(lines(ledger) == lines(expected), "the history is\n{ledger}");
}

pub(crate) fn lines(ledger: &str) -> Vec<&str> {
    ledger.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}
