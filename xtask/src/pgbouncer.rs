//! A throw-away `PgBouncer` in front of the throw-away PostgreSQL, in transaction mode: how the store is tested for RDS
//! Proxy and its like.
//!
//! Deliberately not here: finding or installing the program (`prerequisites`).

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context, Result};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use tokio::process::Command;

use crate::listening::Listening;
use crate::postgres::{SUPERUSER, Server, TEST_DATABASE};

/// What a test is told: the server's databases, through the pooler.
pub(crate) const URL_VARIABLE: &str = "FINCORE_TEST_PGBOUNCER_URL";

/// Connections to the server for each database: fewer than the clients of one test, so that they have to share.
const POOL_SIZE: u32 = 2;

/// A running pooler. Dropping it stops it.
pub(crate) struct PgBouncer {
    listening: Listening,
}

impl PgBouncer {
    /// Starts one in front of `server`.
    pub(crate) async fn start(program: &Path, server: &Server) -> Result<Self> {
        let command = |folder: &Path, port| {
            let file = folder.join("pgbouncer.ini");
            fs::write(&file, configuration(port, server.port())).context("cannot write PgBouncer's configuration")?;
            let mut command = Command::new(program);
            // It refuses to run as root, as the server does.
            if let Some(owner) = server.owner() {
                chown(folder, Some(owner.uid), Some(owner.gid)).context("cannot give its folder to PgBouncer")?;
                command.uid(owner.uid).gid(owner.gid);
            }
            command.arg(file);
            Ok(command)
        };
        Ok(Self { listening: Listening::start("PgBouncer", command, answers).await? })
    }

    /// The variable child programs find it by.
    pub(crate) fn variable(&self) -> (&'static str, String) {
        (URL_VARIABLE, url(self.listening.port))
    }
}

fn url(port: u16) -> String {
    format!("postgres://{SUPERUSER}@{}:{port}/{TEST_DATABASE}", Ipv4Addr::LOCALHOST)
}

async fn answers(port: u16) -> bool {
    let Ok(options) = url(port).parse::<PgConnectOptions>() else { return false };
    // The one setting of a session that the driver asks for and the pooler refuses.
    match options.extra_float_digits(None).connect().await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

/// Any database of the server, for anybody, by transaction.
fn configuration(port: u16, server: u16) -> String {
    let host = Ipv4Addr::LOCALHOST;
    format!(
        "[databases]\n\
         * = host={host} port={server} user={SUPERUSER}\n\
         [pgbouncer]\n\
         listen_addr = {host}\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = {POOL_SIZE}\n\
         max_client_conn = 1000\n\
         server_login_retry = 1\n"
    )
}
