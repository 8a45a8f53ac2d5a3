//! A throw-away Redis, which keeps nothing on disk.
//!
//! Deliberately not here: finding or installing the program (`prerequisites`). Tests that kill a server start their own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::listening::Listening;
use crate::prerequisites::REDIS_VARIABLE;

/// What a test is told: where the server answers.
pub(crate) const URL_VARIABLE: &str = "FINCORE_TEST_REDIS_URL";

/// A running server. Dropping it stops it.
pub(crate) struct Redis {
    program: PathBuf,
    listening: Listening,
}

impl Redis {
    /// Starts one.
    pub(crate) async fn start(program: PathBuf) -> Result<Self> {
        let command = |folder: &Path, port: u16| {
            let mut command = Command::new(&program);
            command.args(["--bind", &Ipv4Addr::LOCALHOST.to_string(), "--port", &port.to_string()]);
            command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder);
            Ok(command)
        };
        let listening = Listening::start("Redis", command, answers).await?;
        Ok(Self { program, listening })
    }

    /// The variables child programs find the server, and its program, by.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let url = format!("redis://{}:{}", Ipv4Addr::LOCALHOST, self.listening.port);
        [(URL_VARIABLE, url), (REDIS_VARIABLE, self.program.display().to_string())]
    }
}

/// A client for this one question would be the tooling's only one.
async fn answers(port: u16) -> bool {
    let asked = async {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        connection.write_all(b"PING\r\n").await?;
        let mut answer = [0; b"+PONG\r\n".len()];
        connection.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    asked.await.is_ok_and(|answer| answer == *b"+PONG\r\n")
}
