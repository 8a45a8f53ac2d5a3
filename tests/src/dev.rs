//! `fincore dev` as a process of its own, as somebody who tries FinCore has it: API, worker, SQLite file and sandbox PSP.

use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Program, Running, free_port};
use crate::world::http_client;

/// How long it may take to answer: it makes its database first, on machines that do other things as well.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Looks for a file that is about to be written; each takes as long as starting the program.
const TRIES: usize = 50;

/// A limit that nothing here reaches, so that answers tell what is left of it.
const REQUESTS_PER_SECOND: &str = "10000";

/// A running `fincore dev`. Dropping it kills it.
pub struct Dev {
    /// Where, without a trailing slash.
    pub url: String,
    /// An API key.
    pub key: String,
    program: Program,
    data: TempDir,
    _running: Running,
}

impl Dev {
    /// Starts this binary and waits until it takes requests.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(binary: &'static str) -> Self {
        let data = tempfile::tempdir().expect("there is room for a folder");
        let (listen, folder) = (format!("127.0.0.1:{}", free_port()), data.path().display().to_string());
        let env =
            vec![("FINCORE_LISTEN", listen.clone()), ("FINCORE_RATE_LIMIT_PER_SECOND", REQUESTS_PER_SECOND.to_owned())];
        let program = Program { binary, env };
        let running = program.start(&["dev", "--data", &folder]);
        let (url, secret) = (format!("http://{listen}"), data.path().join("api-key"));
        let key = async {
            loop {
                let ready = http_client().get(format!("{url}/readyz")).send().await;
                let is_ready = ready.is_ok_and(|answer| answer.status().is_success());
                // A file that is being written is empty for a moment.
                let key = std::fs::read_to_string(&secret).ok().filter(|key| !key.is_empty());
                if let Some(key) = key.filter(|_| is_ready) {
                    return key;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let key = tokio::time::timeout(START, key).await.expect("it starts in time; its words are above");
        Self { url, key, program, data, _running: running }
    }

    /// The password of the operator `dev`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn operator_password(&self) -> String {
        let file = self.data.path().join("operator-password");
        // It is made after the API key, which takes a moment.
        for _ in 0..TRIES {
            if let Ok(password) = std::fs::read_to_string(&file)
                && !password.is_empty()
            {
                return password;
            }
            drop(self.program.print(&["operators", "list", "--database-url", &self.database()]));
        }
        panic!("dev has no operator");
    }

    /// Makes somebody an operator who may act, as the command line does; returns their password.
    ///
    /// # Panics
    /// When that is refused.
    #[must_use]
    pub fn add_operator(&self, name: &str) -> String {
        let added = ["operators", "add", name, "--role", "operator", "--database-url", &self.database()];
        let printed = self.program.run(&added);
        let password = printed.lines().find_map(|line| line.strip_prefix("password")).expect("they have one");
        password.trim().to_owned()
    }

    fn database(&self) -> String {
        format!("sqlite:{}", self.data.path().join("dev.db").display())
    }

    /// The OpenAPI document that it serves.
    ///
    /// # Panics
    /// When it serves none.
    pub async fn document(&self) -> String {
        let answer = http_client().get(format!("{}/openapi.json", self.url)).send().await.expect("it is up");
        answer.error_for_status().expect("it has one").text().await.expect("it is text")
    }
}
