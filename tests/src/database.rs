//! Databases for tests: each test gets one of its own, migrated, and gone when the test ends.
//!
//! PostgreSQL is reached by `FINCORE_TEST_POSTGRES_URL`, whose user must be allowed to create databases, and by
//! `FINCORE_TEST_PGBOUNCER_URL` through a pooler in transaction mode. Where it is not set, the tests on PostgreSQL say on
//! stderr that they did not run.
//!
//! Not here: starting a server. `cargo xtask test` does.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use workflow::port::operators::Operators;
use workflow::port::overview::Overview;
use workflow::port::store::Store;
use workflow_postgres::{Pooler, PostgresOptions, PostgresStore};
use workflow_sqlite::{SqliteOptions, SqliteStore};

use crate::written;

/// Names the server that tests create their databases on.
pub const POSTGRES_URL: &str = "FINCORE_TEST_POSTGRES_URL";

/// Names a pooler in front of that server, which hands out its connections by transaction.
pub const PGBOUNCER_URL: &str = "FINCORE_TEST_PGBOUNCER_URL";

/// Connections of one store: tests run side by side on one server.
const CONNECTIONS: u32 = 4;
/// A test that breaks the database on purpose should not wait long to be told so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A database that belongs to one test.
pub struct TestDatabase {
    place: Place,
}

enum Place {
    Postgres { server: Box<PgConnectOptions>, pooler: Option<Box<PgConnectOptions>>, name: String },
    Sqlite { folder: TempDir },
}

/// Who operates, and what they read across all merchants.
pub struct Desk {
    /// Who operates.
    pub operators: Arc<dyn Operators>,
    /// What they read.
    pub overview: Arc<dyn Overview>,
}

/// Runs each test on each database: as `postgres::…` and `sqlite::…` of the module it stands in.
#[macro_export]
macro_rules! on_each_database {
    ($(async fn $name:ident($database:ident: TestDatabase) $body:block)+) => {
        $(async fn $name($database: $crate::database::TestDatabase) $body)+

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = $crate::database::TestDatabase::postgres().await {
                        super::$name(database).await;
                    }
                }
            )+
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::database::TestDatabase::sqlite()).await;
                }
            )+
        }
    };
}

/// The same, and on PostgreSQL behind a pooler too: as `pooled::…`.
#[macro_export]
macro_rules! on_each_database_and_behind_a_pooler {
    ($(async fn $name:ident($database:ident: TestDatabase) $body:block)+) => {
        $crate::on_each_database! { $(async fn $name($database: TestDatabase) $body)+ }

        mod pooled {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = $crate::database::TestDatabase::pooled().await {
                        super::$name(database).await;
                    }
                }
            )+
        }
    };
}

impl TestDatabase {
    /// A fresh database on the PostgreSQL server of the environment, without any schema.
    ///
    /// # Panics
    /// When the server is named but cannot be used.
    pub async fn postgres() -> Option<Self> {
        written::begin();
        static TOLD: std::sync::Once = std::sync::Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Ok(url) = std::env::var(POSTGRES_URL) else {
            // Written past the test harness, which would swallow it: a run without PostgreSQL has to show.
            TOLD.call_once(|| {
                let note = format!("\nNOT RUN: the tests on PostgreSQL, because {POSTGRES_URL} is not set.\n\n");
                let _ = std::io::stderr().write_all(note.as_bytes());
            });
            return None;
        };
        let server: Box<PgConnectOptions> =
            url.parse().map(Box::new).expect("FINCORE_TEST_POSTGRES_URL is a PostgreSQL URL");
        let name = format!("fincore_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let place = Place::Postgres { server, pooler: None, name };
        place.administer("drop database if exists {} with (force)").await.expect("the server lets us");
        place.administer("create database {}").await.expect("the server lets us create databases");
        Some(Self { place })
    }

    /// A fresh database on the same server, whose stores reach it through a pooler in transaction mode.
    ///
    /// # Panics
    /// When there is a server and no pooler, or they cannot be used.
    pub async fn pooled() -> Option<Self> {
        let mut database = Self::postgres().await?;
        let url =
            std::env::var(PGBOUNCER_URL).expect("who starts PostgreSQL also starts PgBouncer: cargo xtask services");
        if let Place::Postgres { pooler, .. } = &mut database.place {
            *pooler = Some(url.parse().map(Box::new).expect("FINCORE_TEST_PGBOUNCER_URL is a PostgreSQL URL"));
        }
        Some(database)
    }

    /// Two databases on PostgreSQL, one of them behind the pooler. For what does not concern SQLite.
    pub async fn each_way_to_postgres() -> impl Iterator<Item = Self> {
        [Self::postgres().await, Self::pooled().await].into_iter().flatten()
    }

    /// A SQLite file in a folder of its own.
    ///
    /// # Panics
    /// When there is no room for temporary files.
    #[must_use]
    pub fn sqlite() -> Self {
        written::begin();
        Self { place: Place::Sqlite { folder: TempDir::new().expect("a temporary folder") } }
    }

    /// Whether this is PostgreSQL. For what one of the databases alone can do.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Postgres { .. })
    }

    /// Where it is, as the program's settings name it, without a pooler.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.place {
            Place::Postgres { server, name, .. } => server.as_ref().clone().database(name).to_url_lossy().to_string(),
            Place::Sqlite { folder } => format!("sqlite:{}", folder.path().join("fincore.db").display()),
        }
    }

    /// The store, with its schema.
    ///
    /// # Panics
    /// When the database cannot be opened or migrated.
    pub async fn store(&self) -> Arc<dyn Store> {
        self.migrate().await;
        self.unmigrated_store().await
    }

    /// Applies the migrations.
    ///
    /// # Panics
    /// When they cannot be applied.
    pub async fn migrate(&self) {
        match &self.place {
            Place::Postgres { .. } => {
                let options = Self::options(self.url(), Pooler::None);
                PostgresStore::connect(options).await.expect("the database answers").migrate().await
            }
            Place::Sqlite { .. } => self.open_sqlite(None).await.migrate().await,
        }
        .expect("the migrations can be applied");
    }

    /// Does what a migration of a later release does, and notes it as applied; returns its number.
    ///
    /// # Panics
    /// When the database was never migrated, or refuses it.
    pub async fn migrate_further(&self, sql: &str) -> i64 {
        let number = self.number("select max(version) + 1 from _sqlx_migrations").await;
        let noted = format!(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
            select {number}, 'later', success, checksum, execution_time from _sqlx_migrations where version = 1"
        );
        for sql in [sql, &noted] {
            self.execute(sql).await.expect("a migration");
        }
        number
    }

    /// The store over the database as it is.
    ///
    /// # Panics
    /// When the database cannot be opened.
    pub async fn unmigrated_store(&self) -> Arc<dyn Store> {
        match &self.place {
            Place::Postgres { .. } => Arc::new(self.open_postgres().await),
            Place::Sqlite { .. } => Arc::new(self.open_sqlite(None).await),
        }
    }

    /// What operators' pages read, over the database as it is.
    ///
    /// # Panics
    /// When the database cannot be opened.
    pub async fn desk(&self) -> Desk {
        fn both<T: Operators + Overview + 'static>(store: Arc<T>) -> Desk {
            Desk { operators: Arc::clone(&store) as Arc<dyn Operators>, overview: store }
        }
        match &self.place {
            Place::Postgres { .. } => both(Arc::new(self.open_postgres().await)),
            Place::Sqlite { .. } => both(Arc::new(self.open_sqlite(None).await)),
        }
    }

    /// The store over a SQLite file that may not grow beyond so many pages.
    ///
    /// # Panics
    /// When the database cannot be opened.
    pub async fn bounded_sqlite_store(&self, max_pages: u32) -> Arc<dyn Store> {
        Arc::new(self.open_sqlite(Some(max_pages)).await)
    }

    /// How stores reach it.
    ///
    /// # Panics
    /// When this is a SQLite file.
    #[must_use]
    pub fn postgres_options(&self) -> PostgresOptions {
        let Place::Postgres { pooler, name, .. } = &self.place else { panic!("this is a SQLite file") };
        match pooler {
            None => Self::options(self.url(), Pooler::None),
            Some(pooler) => {
                let url = pooler.as_ref().clone().database(name).to_url_lossy();
                Self::options(url.to_string(), Pooler::Transaction)
            }
        }
    }

    fn options(url: String, pooler: Pooler) -> PostgresOptions {
        let mut options = PostgresOptions::new(url, CONNECTIONS);
        options.acquire_timeout = ACQUIRE_TIMEOUT;
        options.statement_timeout = STATEMENT_TIMEOUT;
        options.pooler = pooler;
        options
    }

    async fn open_postgres(&self) -> PostgresStore {
        PostgresStore::connect(self.postgres_options()).await.expect("the database answers")
    }

    async fn open_sqlite(&self, max_pages: Option<u32>) -> SqliteStore {
        let Place::Sqlite { folder } = &self.place else { panic!("this is not a SQLite file") };
        let mut options = SqliteOptions::new(folder.path().join("fincore.db"));
        options.acquire_timeout = ACQUIRE_TIMEOUT;
        options.max_pages = max_pages;
        SqliteStore::open(options).await.expect("the file can be opened")
    }

    /// Runs SQL past the store, as an operator at a prompt would.
    ///
    /// # Errors
    /// The database's own words.
    pub async fn execute(&self, sql: &str) -> Result<(), String> {
        let sql = AssertSqlSafe(sql.to_owned());
        let done = match &self.place {
            Place::Postgres { .. } => sqlx::raw_sql(sql).execute(&mut self.postgres_connection().await).await.map(drop),
            Place::Sqlite { .. } => sqlx::raw_sql(sql).execute(&mut self.sqlite_connection().await).await.map(drop),
        };
        done.map_err(|error| error.to_string())
    }

    /// Asks for one number past the store.
    ///
    /// # Panics
    /// When the database does not answer with one.
    pub async fn number(&self, sql: &str) -> i64 {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.place {
            Place::Postgres { .. } => sqlx::query_scalar(query).fetch_one(&mut self.postgres_connection().await).await,
            Place::Sqlite { .. } => sqlx::query_scalar(query).fetch_one(&mut self.sqlite_connection().await).await,
        }
        .expect("one number")
    }

    /// What some SQL answers in its text columns of this name, row by row: the way both databases explain a plan.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn texts(&self, sql: &str, column: &str) -> Vec<String> {
        use sqlx::Row as _;
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.place {
            Place::Postgres { .. } => {
                let rows = sqlx::raw_sql(sql).fetch_all(&mut self.postgres_connection().await).await;
                rows.expect("the database answers").iter().map(|row| row.get(column)).collect()
            }
            Place::Sqlite { .. } => {
                let rows = sqlx::raw_sql(sql).fetch_all(&mut self.sqlite_connection().await).await;
                rows.expect("the database answers").iter().map(|row| row.get(column)).collect()
            }
        }
    }

    /// Cuts all connections to a PostgreSQL database, and says whether it takes new ones from now on.
    ///
    /// # Panics
    /// When the server does not let us.
    pub async fn cut_connections(&self, after: Afterwards) {
        let allowed = after == Afterwards::Open;
        self.place.administer(&format!("alter database {{}} allow_connections {allowed}")).await.expect("a superuser");
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'";
        self.place.administer(cut).await.expect("a superuser");
    }

    /// An operator's open transaction on PostgreSQL in which this SQL has run: it holds what it locked until it is dropped.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn open_transaction(&self, sql: &str) -> PgConnection {
        let mut connection = self.postgres_connection().await;
        let sql = AssertSqlSafe(format!("begin; {sql}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("the database does it");
        connection
    }

    /// A connection past the store, to a PostgreSQL database.
    async fn postgres_connection(&self) -> PgConnection {
        let Place::Postgres { server, name, .. } = &self.place else { panic!("this is a SQLite file") };
        server.as_ref().clone().database(name).connect().await.expect("the database answers")
    }

    /// A connection past the store, to a SQLite file.
    ///
    /// # Panics
    /// When this is not one.
    pub async fn sqlite_connection(&self) -> SqliteConnection {
        let Place::Sqlite { folder } = &self.place else { panic!("this is not a SQLite file") };
        let options = SqliteConnectOptions::new().filename(folder.path().join("fincore.db"));
        options.connect().await.expect("the file can be opened")
    }
}

/// Whether a database whose connections were cut takes new ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Afterwards {
    /// It does.
    Open,
    /// It does not.
    Closed,
}

impl Place {
    /// Runs a statement about the database, from outside it; `{}` stands for its name.
    async fn administer(&self, statement: &str) -> sqlx::Result<()> {
        let Self::Postgres { server, name, .. } = self else { return Ok(()) };
        let mut connection = server.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statement.replace("{}", name))).execute(&mut connection).await?;
        connection.close().await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        written::keep_metrics();
        let Place::Postgres { server, name, .. } = &self.place else { return };
        let place = Place::Postgres { server: server.clone(), pooler: None, name: name.clone() };
        // A thread with a runtime of its own: the test's may be ending, and a drop cannot wait on it.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(place.administer("drop database if exists {} with (force)")).map_err(std::io::Error::other)
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            let _ = writeln!(std::io::stderr(), "the test database {name} could not be dropped");
        }
    }
}
