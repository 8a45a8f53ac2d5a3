//! The servers that the tests run against, together: started for the gate, and by `cargo xtask services` for
//! development.
//!
//! Deliberately not here: how each is started; each has a file of its own.

use std::path::PathBuf;

use anyhow::Result;

use crate::emulators::{self, Emulators};
use crate::pgbouncer::{self, PgBouncer};
use crate::postgres::{self, Server};
use crate::prerequisites::{self, Programs};
use crate::redis::{self, Redis};
use crate::tools;

/// What a test looks for to find a server, all of them.
pub(crate) const URL_VARIABLES: [&str; 5] = [
    postgres::URL_VARIABLE,
    pgbouncer::URL_VARIABLE,
    redis::URL_VARIABLE,
    emulators::URL_VARIABLES[0],
    emulators::URL_VARIABLES[1],
];

/// Where the programs of all servers are.
pub(crate) struct Installed {
    postgres: Programs,
    pgbouncer: PathBuf,
    redis: PathBuf,
    emulators: PathBuf,
}

/// Finds them, and installs what is missing.
pub(crate) async fn install() -> Result<Installed> {
    Ok(Installed {
        postgres: prerequisites::postgres().await?,
        pgbouncer: prerequisites::pgbouncer().await?,
        redis: prerequisites::redis().await?,
        emulators: tools::emulators().await?,
    })
}

/// All servers, running. Dropping them stops them.
pub(crate) struct Services {
    emulators: Emulators,
    redis: Redis,
    pgbouncer: PgBouncer,
    pub(crate) postgres: Server,
}

impl Services {
    /// Starts them.
    pub(crate) async fn start(installed: Installed) -> Result<Self> {
        let postgres = Server::start(installed.postgres).await?;
        let pgbouncer = PgBouncer::start(&installed.pgbouncer, &postgres).await?;
        let redis = Redis::start(installed.redis).await?;
        let emulators = Emulators::start(&installed.emulators).await?;
        Ok(Self { emulators, redis, pgbouncer, postgres })
    }

    /// The variables child programs find them by.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let postgres = self.postgres.variables().into_iter();
        let others = self.redis.variables().into_iter().chain(self.emulators.variables());
        postgres.chain([self.pgbouncer.variable()]).chain(others).collect()
    }
}

/// `cargo xtask services`: runs until it is interrupted.
pub(crate) async fn serve() -> Result<()> {
    let services = Services::start(install().await?).await?;
    println!("Servers for the tests are up; Ctrl-C stops them and removes their data. In another terminal:\n");
    println!("{}", exports(&services.variables()));
    std::future::pending().await
}

/// The variables as a shell takes them.
pub(crate) fn exports(variables: &[(&str, String)]) -> String {
    let exports: Vec<String> = variables.iter().map(|(name, value)| format!("export {name}={value}")).collect();
    exports.join("\n")
}
