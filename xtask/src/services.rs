//! The servers that the tests run against, together: started for the gate, and by `cargo xtask services` for
//! development.
//!
//! Deliberately not here: how each is started; each has a file of its own.

use anyhow::Result;

use crate::emulators::{self, Emulators};
use crate::postgres::{self, Server};
use crate::prerequisites::{self, Programs};
use crate::tools;

/// What a test looks for to find a server, all of them.
pub(crate) const URL_VARIABLES: [&str; 3] =
    [postgres::URL_VARIABLE, emulators::URL_VARIABLES[0], emulators::URL_VARIABLES[1]];

/// All servers, running. Dropping them stops them.
pub(crate) struct Services {
    pub(crate) postgres: Server,
    emulators: Emulators,
}

impl Services {
    /// Starts them, and installs what can be installed and is missing.
    pub(crate) async fn start(postgres: Programs) -> Result<Self> {
        let emulators = tools::emulators().await?;
        Ok(Self { postgres: Server::start(postgres).await?, emulators: Emulators::start(&emulators).await? })
    }

    /// The variables child programs find them by.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        self.postgres.variables().into_iter().chain(self.emulators.variables()).collect()
    }
}

/// `cargo xtask services`: runs until it is interrupted.
pub(crate) async fn serve() -> Result<()> {
    let services = Services::start(prerequisites::postgres().await?).await?;
    println!("Servers for the tests are up; Ctrl-C stops them and removes their data. In another terminal:\n");
    println!("{}", exports(&services.variables()));
    std::future::pending().await
}

/// The variables as a shell takes them.
pub(crate) fn exports(variables: &[(&str, String)]) -> String {
    let exports: Vec<String> = variables.iter().map(|(name, value)| format!("export {name}={value}")).collect();
    exports.join("\n")
}
