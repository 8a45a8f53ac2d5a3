//! `fincore dev` as a process of its own, as somebody who tries FinCore has it: API, worker, SQLite file and sandbox PSP.

use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Program, Running, free_port};
use crate::world::http_client;

/// How long it may take to answer: it makes its database first, on machines that do other things as well.
const START: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A limit that nothing here reaches, so that answers tell what is left of it.
const REQUESTS_PER_SECOND: &str = "10000";

/// A running `fincore dev`. Dropping it kills it.
pub struct Dev {
    /// Where, without a trailing slash.
    pub url: String,
    /// An API key.
    pub key: String,
    _running: Running,
    _data: TempDir,
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
        let running = Program { binary, env }.start(&["dev", "--data", &folder]);
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
        Self { url, key, _running: running, _data: data }
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
