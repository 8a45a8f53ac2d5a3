//! Connections: two bounded pools, and the rule that a connection whose statement was cut off is never used again.
//!
//! Writers and readers are separate pools, so that an operator who walks over a million payments takes no connection
//! from those who commit. No `begin` is ever sent on either: every statement commits by itself, and a caller that goes
//! away in the middle leaves no transaction open for the next one to write into.
//!
//! Not here: waiting for a database that is down. Calls answer that it is, and work again when it does.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{Connection, Postgres};
use workflow::port::store::StoreError;

use crate::error::{may_be_used_again, store_error};

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

/// What a statement waits for a row that somebody else holds. Our own statements hold theirs for milliseconds, and what
/// is held longer (an operator's open transaction) must not hold up the rest of its batch.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

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
}

impl PostgresOptions {
    /// This database with so many connections, and the timeouts of this crate.
    #[must_use]
    pub fn new(url: String, max_connections: u32) -> Self {
        Self { url, max_connections, acquire_timeout: ACQUIRE_TIMEOUT, statement_timeout: STATEMENT_TIMEOUT }
    }
}

impl fmt::Debug for PostgresOptions {
    /// Leaves out the URL: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

/// Payments in PostgreSQL. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    writers: Lines,
    readers: Lines,
    options: PgConnectOptions,
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
        let writers = options.max_connections.div_ceil(2).max(1);
        let readers = options.max_connections.saturating_sub(writers).max(1);
        let store = Self {
            writers: Lines::open(&connect, &options, writers),
            readers: Lines::open(&connect, &options, readers),
            options: connect,
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

    /// A connection outside the pools, for migrations: those do open transactions, and take their time.
    pub(crate) async fn apart(&self) -> Result<PgConnection, StoreError> {
        PgConnection::connect_with(&self.options).await.map_err(store_error)
    }
}

/// A pool, and how long a statement may take on it.
#[derive(Clone, Debug)]
struct Lines {
    pool: PgPool,
    patience: Duration,
}

impl Lines {
    fn open(connect: &PgConnectOptions, options: &PostgresOptions, max_connections: u32) -> Self {
        let statement_timeout = options.statement_timeout;
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
            .after_connect(move |connection, _| Box::pin(settings(connection, statement_timeout)))
            .connect_lazy_with(connect.clone());
        Self { pool, patience: statement_timeout + GRACE }
    }

    async fn hold(&self) -> Result<Held, StoreError> {
        let connection = self.pool.acquire().await.map_err(store_error)?;
        Ok(Held { connection, patience: self.patience, ended: false })
    }
}

/// Settings of a session.
///
/// Each statement of this crate has an index made for it and is planned once per connection, for all sizes of its
/// arrays. Without these settings a plan that is made while tables are empty reads them from end to end, and is kept
/// while they grow to millions of rows. Behind a pooler that hands out connections by transaction some of these settings
/// may miss their connection: that costs speed or patience, nothing else.
async fn settings(connection: &mut PgConnection, statement_timeout: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('statement_timeout', $1, false) as statement_timeout,
                set_config('lock_timeout', $2, false) as lock_timeout,
                set_config('plan_cache_mode', 'force_generic_plan', false) as plan_cache_mode,
                set_config('enable_seqscan', 'off', false) as enable_seqscan,
                set_config('enable_bitmapscan', 'off', false) as enable_bitmapscan,
                set_config('enable_mergejoin', 'off', false) as enable_mergejoin,
                set_config('jit', 'off', false) as jit",
        statement_timeout.as_millis().to_string(),
        LOCK_TIMEOUT.as_millis().to_string()
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// A connection taken from a pool for one statement. It goes back when the statement has come to its end. If it has
/// not, because the caller was dropped or the server fell silent, nobody knows what is under way on it: it is closed.
pub(crate) struct Held {
    connection: PoolConnection<Postgres>,
    patience: Duration,
    ended: bool,
}

impl Held {
    /// How long a statement may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Gives the connection back unused.
    pub(crate) fn release(mut self) {
        self.ended = true;
    }

    /// Takes in how the statement ended, and gives the connection back if it may be used again.
    pub(crate) fn settle<T>(mut self, outcome: Outcome<T>) -> sqlx::Result<T> {
        let result = outcome.unwrap_or_else(|_elapsed| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        self.ended = result.as_ref().err().is_none_or(may_be_used_again);
        result
    }
}

/// How a statement ended within its time, if it did.
pub(crate) type Outcome<T> = Result<sqlx::Result<T>, tokio::time::error::Elapsed>;

/// Lets a statement take its time, but no more.
pub(crate) async fn within<T>(patience: Duration, statement: impl Future<Output = sqlx::Result<T>>) -> Outcome<T> {
    tokio::time::timeout(patience, statement).await
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}
