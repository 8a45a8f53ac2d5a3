//! Connections: two bounded pools, and the rule that a connection whose statement was cut off is never used again.
//!
//! Writers and readers are separate pools, so that an operator who walks over a million payments takes no connection
//! from those who commit. Every statement commits by itself, and a caller that goes away in the middle leaves no
//! transaction open for the next one to write into.
//!
//! Not here: how a statement is run (`session.rs`), and waiting for a database that is down. Calls answer that it is,
//! and work again when it does.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{Connection, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};
use workflow::instruments::connection_taken;
use workflow::port::store::StoreError;

use crate::error::store_error;
use crate::session::{Frame, Held, Pooler};

/// What the client waits longer than the server's own time limit, so that the server's answer, which says more, comes
/// first. Only a server that has fallen silent makes the client give up.
const GRACE: Duration = Duration::from_secs(2);

/// A connection that was idle for longer is asked whether it still lives before it is used: a server that was restarted
/// or a firewall that forgot it then costs a round trip, not a failed call. On the hot path none is idle so long.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Unused connections are closed after this, so that a burst does not occupy the server for ever.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Connections are renewed after this: a failover behind a name shows, and the server's memory per connection is freed.
const MAX_LIFETIME: Duration = Duration::from_secs(1_800);

/// What a call waits for a connection unless told otherwise: longer means more callers that wait for nothing.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a statement may take unless told otherwise. On the hot path they take milliseconds; a list over a cold table
/// may take a second.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The lock under which migrations are applied would stay behind on a connection that others use.
const BEHIND_A_POOLER: &str =
    "migrations need a session of the server: apply them through its own address, without a pooler";

/// How to reach the database, and how much of it to use.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Connections at most, writers and readers together; at least two are used. Batches make few do much.
    pub max_connections: u32,
    /// How long a call waits for a connection before it answers that the database is unavailable.
    pub acquire_timeout: Duration,
    /// How long a statement may take before the server gives it up.
    pub statement_timeout: Duration,
    /// What stands between this program and the server.
    pub pooler: Pooler,
}

impl PostgresOptions {
    /// This database with so many connections, nothing in between, and the timeouts of this crate.
    #[must_use]
    pub fn new(url: String, max_connections: u32) -> Self {
        let (acquire_timeout, statement_timeout) = (ACQUIRE_TIMEOUT, STATEMENT_TIMEOUT);
        Self { url, max_connections, acquire_timeout, statement_timeout, pooler: Pooler::None }
    }
}

impl fmt::Debug for PostgresOptions {
    /// Leaves out the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

/// Payments in PostgreSQL. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    writers: Lines,
    readers: Lines,
    lists: Arc<Semaphore>,
    patience: Duration,
    options: PgConnectOptions,
    pooler: Pooler,
}

impl PostgresStore {
    /// Connects. A database that cannot be reached now is an error now, so that a wrong URL shows at start.
    ///
    /// # Errors
    /// The URL cannot be read, or the database does not answer.
    pub async fn connect(options: PostgresOptions) -> Result<Self, StoreError> {
        let connect: PgConnectOptions = options.url.parse().map_err(store_error)?;
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("fincore"),
        };
        let connect = match options.pooler {
            Pooler::None => connect,
            // A setting of the session, which a pooler refuses. We have no floating point numbers.
            Pooler::Transaction => connect.extra_float_digits(None),
        };
        let writers = options.max_connections.div_ceil(2).max(1);
        let readers = options.max_connections.saturating_sub(writers).max(1);
        let store = Self {
            writers: Lines::open("writers", &connect, &options, writers),
            readers: Lines::open("readers", &connect, &options, readers),
            lists: Arc::new(Semaphore::new(lists_of(readers))),
            patience: options.acquire_timeout,
            options: connect,
            pooler: options.pooler,
        };
        store.reader().await?.release();
        Ok(store)
    }

    pub(crate) async fn writer(&self) -> Result<Held, StoreError> {
        self.writers.hold().await
    }

    pub(crate) async fn reader(&self) -> Result<Held, StoreError> {
        self.readers.hold().await
    }

    /// The right to read a list. Lists are what clients can make slow, so they never take all readers: the others are for
    /// what is quick, webhooks above all.
    pub(crate) async fn list_turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let turn = tokio::time::timeout(self.patience, self.lists.acquire()).await;
        let unavailable = || StoreError::Unavailable("too many lists are being read".into());
        turn.map_err(|_elapsed| unavailable())?.map_err(|_closed| unavailable())
    }

    /// A connection outside the pools, for migrations: those do open transactions, and take their time.
    pub(crate) async fn apart(&self) -> Result<PgConnection, StoreError> {
        match self.pooler {
            Pooler::None => PgConnection::connect_with(&self.options).await.map_err(store_error),
            Pooler::Transaction => Err(StoreError::Refused(BEHIND_A_POOLER.into())),
        }
    }
}

/// How many of so many readers may read lists.
fn lists_of(readers: u32) -> usize {
    (readers / 2).max(1) as usize
}

/// A pool, and how statements are run on it.
#[derive(Clone, Debug)]
struct Lines {
    name: &'static str,
    pool: PgPool,
    frame: Frame,
    patience: Duration,
}

impl Lines {
    fn open(name: &'static str, connect: &PgConnectOptions, options: &PostgresOptions, max_connections: u32) -> Self {
        let statement_timeout = options.statement_timeout;
        let frame = Frame::new(options.pooler, statement_timeout);
        let new = frame.clone();
        let pool = PoolOptions::<Postgres>::new()
            .max_connections(max_connections)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            // It would cost a round trip for each statement; `before_acquire` asks only when there is a doubt.
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| {
                Box::pin(async move {
                    if metadata.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let new = new.clone();
                Box::pin(async move { new.prepare(connection, statement_timeout).await })
            })
            .connect_lazy_with(connect.clone());
        Self { name, pool, frame, patience: statement_timeout + GRACE }
    }

    async fn hold(&self) -> Result<Held, StoreError> {
        let began = Instant::now();
        let connection = self.pool.acquire().await.map_err(store_error)?;
        connection_taken(self.name, began.elapsed(), self.pool.size(), self.pool.num_idle());
        Ok(Held::new(connection, self.frame.clone(), self.patience))
    }
}
