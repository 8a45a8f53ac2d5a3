//! What is read when a window opens and when it closes: processor time, the database's own counters, the store's calls.

use anyhow::Context;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use tokio::sync::Mutex;

use crate::machine::{self, Usage, Used};
use crate::observed::{Counters, Counts};

/// Reads everything. Its connection is its own and holds nothing between two looks.
pub(crate) struct Gauges {
    server: Option<Mutex<PgConnection>>,
    process: Option<u32>,
}

/// Everything at one moment.
pub(crate) struct Reading {
    used: Used,
    server: Server,
    counts: Counts,
    psp_calls: u64,
}

/// Counters of the PostgreSQL server that are exact at every moment.
#[derive(Clone, Copy, Default)]
struct Server {
    /// The next transaction id: every transaction that writes takes one, and there are no subtransactions here.
    next_transaction: i64,
    /// The end of the write-ahead log in bytes.
    wal_end: i64,
}

/// What happened in a window.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Costs {
    pub(crate) usage: Usage,
    pub(crate) counts: Counts,
    /// Transactions that wrote.
    pub(crate) commits: u64,
    /// None where it is not known: SQLite's log begins again and again.
    pub(crate) wal_bytes: Option<u64>,
    pub(crate) psp_calls: u64,
}

impl Gauges {
    /// Of a PostgreSQL server, which may also run elsewhere: then its processor time is not seen.
    pub(crate) async fn of_server(url: &str) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(url).await.context("cannot reach PostgreSQL")?;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await?;
        let is_ours = |process: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
            name.is_ok_and(|name| name.starts_with("postgres"))
        };
        let backend = u32::try_from(backend).ok().filter(is_ours);
        Ok(Self { server: Some(Mutex::new(connection)), process: backend.and_then(machine::parent) })
    }

    /// Of a database inside this process.
    pub(crate) fn of_file() -> Self {
        Self { server: None, process: None }
    }

    pub(crate) async fn read(&self, counters: &Counters, psp: &sandbox::Sandbox) -> anyhow::Result<Reading> {
        let server = match &self.server {
            Some(connection) => look(&mut *connection.lock().await).await?,
            None => Server::default(),
        };
        let requests = psp.requests();
        Ok(Reading {
            used: Used::read(self.process)?,
            server,
            counts: counters.read(),
            psp_calls: requests.create + requests.confirm + requests.capture + requests.retrieve,
        })
    }

    /// What happened between two readings.
    pub(crate) fn costs(&self, before: &Reading, after: &Reading) -> Costs {
        let counts = after.counts.since(before.counts);
        let grown = |after: i64, before: i64| u64::try_from(after - before).unwrap_or_default();
        let (commits, wal_bytes) = match self.server {
            Some(_) => (
                grown(after.server.next_transaction, before.server.next_transaction),
                Some(grown(after.server.wal_end, before.server.wal_end)),
            ),
            None => (counts.writes(), None),
        };
        Costs {
            usage: after.used.since(&before.used),
            counts,
            commits,
            wal_bytes,
            psp_calls: after.psp_calls - before.psp_calls,
        }
    }
}

async fn look(connection: &mut PgConnection) -> sqlx::Result<Server> {
    let row = sqlx::query(
        "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_transaction,
                (pg_current_wal_insert_lsn() - '0/0')::bigint as wal_end",
    )
    .fetch_one(connection)
    .await?;
    Ok(Server { next_transaction: row.try_get("next_transaction")?, wal_end: row.try_get("wal_end")? })
}
