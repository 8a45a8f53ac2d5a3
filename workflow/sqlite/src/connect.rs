//! Connections: one that writes and a few that read.
//!
//! SQLite has one writer at a time. One connection for writing makes our own writers queue in the order they come,
//! instead of trying again and again for the file's lock; the lock is only for other processes on the same file. What a
//! call writes is one `begin immediate` transaction. A call that is cut off half-way (its caller was dropped, or it took
//! too long) closes the connection, and SQLite rolls the transaction back: nothing can be written into the rest of it.
//!
//! Durability: write-ahead log with `synchronous = full`. With `normal`, which is faster, the last commits may be lost
//! when the power fails, and a lost commit is a lost payment.
//!
//! Not here: statements, but for the one that asks for SQLite's version.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Sqlite;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use tokio::sync::{Semaphore, SemaphorePermit};
use workflow::instruments::connection_taken;
use workflow::port::store::StoreError;

use crate::error::{may_be_used_again, store_error};

/// Older versions can corrupt the database when a write-ahead log is reset while another connection checkpoints it
/// (<https://www.sqlite.org/wal.html#walresetbug>).
const OLDEST_SOUND_VERSION: [u32; 3] = [3, 51, 3];

/// What a call may take beyond the time it may wait for another process's lock.
const GRACE: Duration = Duration::from_secs(2);

/// Connections that read unless told otherwise: each is a thread, and they mostly wait for the disk.
const MAX_READERS: u32 = 4;

/// What a call waits for a connection unless told otherwise: longer means more callers that wait for nothing.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a call waits for another process unless told otherwise. Our transactions take milliseconds.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often opening a file is tried, and how long others are given to finish in between: a second in all.
const OPEN_TRIES: usize = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// Which file, and how much of the machine to use for it.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file. It is created when it is missing; its folder is not.
    pub path: PathBuf,
    /// Connections that read at the same time; at least one.
    pub max_readers: u32,
    /// How long a call waits for a connection before it answers that the database is unavailable.
    pub acquire_timeout: Duration,
    /// How long a call waits for another process to finish writing.
    pub statement_timeout: Duration,
    /// The file does not grow beyond this many pages of 4 KiB; what needs more is answered like a full disk.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// This file, with the limits of this crate.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            max_readers: MAX_READERS,
            acquire_timeout: ACQUIRE_TIMEOUT,
            statement_timeout: STATEMENT_TIMEOUT,
            max_pages: None,
        }
    }
}

/// Payments in a SQLite file. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writers: Lines,
    readers: Lines,
    lists: Arc<Semaphore>,
    patience: Duration,
}

impl SqliteStore {
    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be opened, or the SQLite in this program is one that may corrupt it.
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        // Two programs that open a new file at once both switch it to the write-ahead log; SQLite refuses one of them
        // without waiting, whatever its busy timeout.
        for _ in 1..OPEN_TRIES {
            match Self::open_once(&options).await {
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(OPEN_PAUSE).await,
                opened => return opened,
            }
        }
        Self::open_once(&options).await
    }

    async fn open_once(options: &SqliteOptions) -> Result<Self, StoreError> {
        let connect = SqliteConnectOptions::new()
            .filename(&options.path)
            .busy_timeout(options.statement_timeout)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full);
        let writing = connect.clone().create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let writing = match options.max_pages {
            Some(pages) => writing.pragma("max_page_count", pages.to_string()),
            None => writing,
        };
        let reading = connect.pragma("query_only", "on");
        let store = Self {
            writers: Lines::open("writer", writing, options, 1),
            readers: Lines::open("readers", reading, options, options.max_readers.max(1)),
            lists: Arc::new(Semaphore::new(lists_of(options.max_readers))),
            patience: options.acquire_timeout,
        };
        // The writer first: it creates the file.
        let mut held = store.writer().await?;
        let outcome = within(held.patience(), select_version(&mut held)).await;
        refuse_unsound(&held.settle(outcome).map_err(store_error)?)?;
        store.reader().await?.release();
        Ok(store)
    }

    pub(crate) async fn writer(&self) -> Result<Held, StoreError> {
        self.writers.hold().await
    }

    pub(crate) async fn reader(&self) -> Result<Held, StoreError> {
        self.readers.hold().await
    }

    /// How connections that read are opened.
    pub(crate) fn reading(&self) -> Arc<SqliteConnectOptions> {
        self.readers.pool.connect_options()
    }

    /// The right to read a list. Lists are what clients can make slow, so they never take all readers: the others are for
    /// what is quick, webhooks above all.
    pub(crate) async fn list_turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let turn = tokio::time::timeout(self.patience, self.lists.acquire()).await;
        let unavailable = || StoreError::Unavailable("too many lists are being read".into());
        turn.map_err(|_elapsed| unavailable())?.map_err(|_closed| unavailable())
    }
}

/// How many of so many readers may read lists.
fn lists_of(readers: u32) -> usize {
    (readers / 2).max(1) as usize
}

async fn select_version(connection: &mut SqliteConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(r#"select sqlite_version() as "version!: String""#).fetch_one(connection).await
}

fn refuse_unsound(version: &str) -> Result<(), StoreError> {
    let numbers = version.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
    if numbers.is_ok_and(|numbers| numbers.as_slice() >= OLDEST_SOUND_VERSION.as_slice()) {
        return Ok(());
    }
    let [major, minor, patch] = OLDEST_SOUND_VERSION;
    Err(StoreError::Refused(
        format!("SQLite {version} may corrupt a database; this program needs {major}.{minor}.{patch} or later").into(),
    ))
}

/// A pool, and how long a call may take on it.
#[derive(Clone, Debug)]
struct Lines {
    name: &'static str,
    pool: SqlitePool,
    patience: Duration,
}

impl Lines {
    fn open(name: &'static str, connect: SqliteConnectOptions, options: &SqliteOptions, max_connections: u32) -> Self {
        let pool = PoolOptions::<Sqlite>::new()
            .max_connections(max_connections)
            .acquire_timeout(options.acquire_timeout)
            // A file does not hang up, and an open connection costs next to nothing.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(connect);
        Self { name, pool, patience: options.statement_timeout + GRACE }
    }

    async fn hold(&self) -> Result<Held, StoreError> {
        let began = Instant::now();
        let connection = self.pool.acquire().await.map_err(store_error)?;
        connection_taken(self.name, began.elapsed(), self.pool.size(), self.pool.num_idle());
        Ok(Held { connection, patience: self.patience, ended: false })
    }
}

/// A connection taken from a pool for one call. It goes back when the call has come to its end. If it has not, nobody
/// knows what is under way on it: it is closed.
pub(crate) struct Held {
    connection: PoolConnection<Sqlite>,
    patience: Duration,
    ended: bool,
}

impl Held {
    /// How long the call may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Gives the connection back unused.
    pub(crate) fn release(mut self) {
        self.ended = true;
    }

    /// Takes in how the call ended, and gives the connection back if it may be used again.
    pub(crate) fn settle<T>(mut self, outcome: Outcome<T>) -> sqlx::Result<T> {
        let result = outcome.unwrap_or_else(|_elapsed| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        self.ended = result.as_ref().err().is_none_or(may_be_used_again);
        result
    }
}

/// How a call ended within its time, if it did.
pub(crate) type Outcome<T> = Result<sqlx::Result<T>, tokio::time::error::Elapsed>;

/// Lets a call take its time, but no more.
pub(crate) async fn within<T>(patience: Duration, call: impl Future<Output = sqlx::Result<T>>) -> Outcome<T> {
    tokio::time::timeout(patience, call).await
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
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

#[cfg(test)]
mod tests {
    use super::{SqliteOptions, SqliteStore, refuse_unsound};

    #[tokio::test]
    async fn a_commit_survives_a_power_cut_and_readers_cannot_write() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = SqliteStore::open(SqliteOptions::new(folder.path().join("fincore.db"))).await.unwrap();
        let (mut writer, mut reader) = (store.writer().await.unwrap(), store.reader().await.unwrap());
        let full: i64 = sqlx::query_scalar("pragma synchronous").fetch_one(&mut *writer).await.unwrap();
        let log: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut *writer).await.unwrap();
        let foreign_keys: i64 = sqlx::query_scalar("pragma foreign_keys").fetch_one(&mut *writer).await.unwrap();
        assert_eq!((full, log.as_str(), foreign_keys), (2, "wal", 1));
        assert!(sqlx::query("create table t (a integer)").execute(&mut *reader).await.is_err());
    }

    #[test]
    fn versions_that_may_corrupt_a_database_are_refused() {
        for sound in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(refuse_unsound(sound).is_ok(), "{sound} was refused");
        }
        for unsound in ["3.51.2", "3.50.9", "2.99.99", "", "3.x"] {
            assert!(refuse_unsound(unsound).is_err(), "{unsound} was accepted");
        }
    }
}
