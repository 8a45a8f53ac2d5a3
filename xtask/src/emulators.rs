//! Throw-away emulators of AWS: `ministack`, which runs Lambda functions behind queues, and `moto`, a second SQS.
//!
//! Deliberately not here: installing them (`tools`), and any queue or function of ours; each test makes its own.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::listening::Listening;
use crate::tools::pinned;

/// What a test is told: where each of them answers, without a trailing slash.
pub(crate) const URL_VARIABLES: [&str; 2] = ["FINCORE_TEST_MINISTACK_URL", "FINCORE_TEST_MOTO_URL"];

/// Running emulators. Dropping them stops them, and what they run, and removes their files.
pub(crate) struct Emulators {
    ministack: Listening,
    moto: Listening,
}

impl Emulators {
    /// Starts both; `programs` is the folder they are installed in.
    pub(crate) async fn start(programs: &Path) -> Result<Self> {
        let (ministack, moto) = tokio::try_join!(
            Listening::start(
                "ministack",
                |folder, port| Ok(ministack(programs, folder, port)),
                async |port| answers(port, "/_ministack/ready").await
            ),
            Listening::start(
                "moto",
                |folder, port| Ok(moto(programs, folder, port)),
                async |port| answers(port, "/moto-api/data.json").await
            )
        )?;
        Ok(Self { ministack, moto })
    }

    /// The variables child programs find them by.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let [ministack, moto] = URL_VARIABLES;
        [(ministack, url(self.ministack.port)), (moto, url(self.moto.port))]
    }
}

fn url(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Unless told otherwise it listens on all interfaces, and on a fixed port for devices as well; and its functions would
/// dial the real AWS.
fn ministack(programs: &Path, folder: &Path, port: u16) -> Command {
    let mut command = program(&programs.join("ministack"), folder);
    let host = Ipv4Addr::LOCALHOST.to_string();
    command.env("BIND_HOST", &host).env("MINISTACK_HOST", &host).env("GATEWAY_PORT", port.to_string());
    command.env("AWS_ENDPOINT_URL", url(port)).env("IOT_MTLS_ENABLED", "0");
    command
}

/// By a script of ours, which says why.
fn moto(programs: &Path, folder: &Path, port: u16) -> Command {
    let mut command = program(&programs.join("python3"), folder);
    command.arg(pinned("moto_hearing_early_answers.py"));
    let (host, port) = (Ipv4Addr::LOCALHOST.to_string(), port.to_string());
    command.args(["--host", &host, "--port", &port]).env("MOTO_PORT", &port);
    command
}

/// With nothing of a person's environment: no credentials of theirs, and functions get what a test gives them.
fn program(path: &Path, folder: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("HOME", folder).env("TMPDIR", folder);
    command
}

/// Whether `200` is the answer. A client for this one question would be the tooling's only one.
async fn answers(port: u16, path: &str) -> bool {
    let asked = async {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let question = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.write_all(question.as_bytes()).await?;
        let mut start = [0; "HTTP/1.1 200".len()];
        connection.read_exact(&mut start).await?;
        std::io::Result::Ok(start)
    };
    asked.await.is_ok_and(|start| start.starts_with(b"HTTP/1.") && start.ends_with(b" 200"))
}
