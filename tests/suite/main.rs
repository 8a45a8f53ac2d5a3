//! The system from outside, in one binary: every test on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

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

mod charges;
mod crashes;
mod emulators;
mod failover;
mod faults;
mod fuzz;
mod gateways;
mod hangups;
mod keys;
mod mocked_psps;
mod outages;
mod pooler;
mod processes;
mod queues;
mod requests;
mod sandbox_scenarios;
mod store_conformance;
mod sweeps;
mod tampering;
mod third_party;
mod webhooks;
