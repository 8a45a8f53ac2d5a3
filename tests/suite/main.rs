//! The system from outside, in one binary: every test on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use fincore_tests::emulators::Emulator;
use fincore_tests::site::{Plan, Webhooks, Workers};

/// Runs each test on each database, in a world of its own.
macro_rules! on_each_store {
    ($(async fn $name:ident($world:ident: World) $body:block)+) => {
        $(async fn $name($world: World) $body)+

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = fincore_tests::database::TestDatabase::postgres().await {
                        let world = fincore_tests::world::World::over(database.store().await).await;
                        super::$name(world).await;
                    }
                }
            )+
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let database = fincore_tests::database::TestDatabase::sqlite();
                    let world = fincore_tests::world::World::over(database.store().await).await;
                    super::$name(world).await;
                }
            )+
        }
    };
}
pub(crate) use on_each_store;

/// The same, and on PostgreSQL behind a pooler too.
macro_rules! on_each_store_and_behind_a_pooler {
    ($(async fn $name:ident($world:ident: World) $body:block)+) => {
        crate::on_each_store! { $(async fn $name($world: World) $body)+ }

        mod pooled {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = fincore_tests::database::TestDatabase::pooled().await {
                        let world = fincore_tests::world::World::over(database.store().await).await;
                        super::$name(world).await;
                    }
                }
            )+
        }
    };
}
pub(crate) use on_each_store_and_behind_a_pooler;

/// FinCore as it is deployed, with the binaries of this package.
fn plan(workers: Workers, emulator: Option<Emulator>, webhooks: Webhooks) -> Plan<'static> {
    Plan {
        binary: env!("CARGO_BIN_EXE_fincore-under-test"),
        function: std::path::Path::new(env!("CARGO_BIN_EXE_lambda-under-test")),
        workers,
        emulator,
        webhooks,
        // Messages are brought back soon after a worker died; the lease decides when that helps.
        visibility_s: 12,
        state_machine: None,
        env: Vec::new(),
    }
}

mod alerts;
mod api_keys;
mod archives;
mod aws_alerts;
mod batches;
mod charges;
mod crashes;
mod deployment;
mod desk_commands;
mod dlq;
mod emulators;
mod events;
mod failover;
mod faults;
mod fuzz;
mod gateways;
mod hangups;
mod idempotency;
mod keys;
mod limits;
mod lists;
mod million;
mod mocked_psps;
mod operate;
mod operators;
mod ops;
mod outages;
mod outbound;
mod outbound_processes;
mod pooler;
mod processes;
mod production;
mod queues;
mod recoveries;
mod redis_outages;
mod redis_processes;
mod refunds;
mod requests;
mod restores;
mod rollouts;
mod routes;
mod sandbox_scenarios;
mod scenarios;
mod secrets;
mod settlements;
mod shared_conformance;
mod shared_redis;
mod step_functions;
mod store_conformance;
mod sweeps;
mod tampering;
mod third_party;
mod traces;
mod upgrades;
mod waiting;
mod webhooks;
