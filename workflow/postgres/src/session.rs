//! A connection taken from a pool for one statement, and what surrounds the statement on it: nothing on a connection
//! that is ours alone, a transaction of its own where a pooler hands out the server's connections by transaction.
//!
//! Such a pooler gives the server's connection to somebody else whenever no transaction is open, even between the
//! preparing of a statement and its execution, which are two messages here: somebody else's statement could then meet
//! our arguments. Inside of a transaction that cannot be, and neither are names of statements needed, of which such a
//! pooler knows nothing. The settings are made for the transaction alone, so that no stranger's session has them.
//!
//! Not here: where connections come from (`connect.rs`).

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{AssertSqlSafe, Describe, Either, Execute, Executor, Postgres, SqlSafeStr, SqlStr};

use crate::error::may_be_used_again;

/// What a statement waits for a row that somebody else holds. Our own statements hold theirs for milliseconds, and what
/// is held longer (an operator's open transaction) must not hold up the rest of its batch.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Each statement of this crate has an index made for it and is planned once per connection, for all sizes of its
/// arrays. Without these settings a plan that is made while tables are empty reads them from end to end, and is kept
/// while they grow to millions of rows.
const PLANNER: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// What stands between this program and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pooler {
    /// Nothing, or what gives each client connection a server connection of its own.
    #[default]
    None,
    /// A pooler that hands out the server's connections by transaction, such as RDS Proxy or `PgBouncer`. Each statement
    /// then costs four round trips instead of one.
    Transaction,
}

/// How statements are surrounded.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    /// By nothing: the session was given its settings when it began.
    Session,
    /// By a transaction that begins like this.
    Transaction { begin: SqlStr },
}

impl Frame {
    pub(crate) fn new(pooler: Pooler, statement_timeout: Duration) -> Self {
        match pooler {
            Pooler::None => Self::Session,
            Pooler::Transaction => {
                let mut begin = "begin".to_owned();
                for (name, value) in settings(statement_timeout) {
                    begin += &format!("; set local {name} = '{value}'");
                }
                // A client that falls silent in here, as a frozen Lambda does, keeps no rows for longer than this.
                begin +=
                    &format!("; set local idle_in_transaction_session_timeout = '{}'", statement_timeout.as_millis());
                Self::Transaction { begin: AssertSqlSafe(begin).into_sql_str() }
            }
        }
    }

    /// Gives a new session what its statements need.
    pub(crate) async fn prepare(&self, connection: &mut PgConnection, statement_timeout: Duration) -> sqlx::Result<()> {
        match self {
            Self::Session => {
                let set = settings(statement_timeout).map(|(name, value)| format!("set {name} = '{value}'"));
                sqlx::raw_sql(AssertSqlSafe(set.join("; "))).execute(connection).await.map(drop)
            }
            Self::Transaction { .. } => Ok(()),
        }
    }
}

fn settings(statement_timeout: Duration) -> [(&'static str, String); 7] {
    let [a, b, c, d, e] = PLANNER.map(|(name, value)| (name, value.to_owned()));
    let statement = ("statement_timeout", statement_timeout.as_millis().to_string());
    [statement, ("lock_timeout", LOCK_TIMEOUT.as_millis().to_string()), a, b, c, d, e]
}

/// A connection taken from a pool for one statement. It goes back when the statement has come to its end. If it has
/// not, because the caller was dropped or the server fell silent, nobody knows what is under way on it: it is closed.
#[derive(Debug)]
pub(crate) struct Held {
    connection: PoolConnection<Postgres>,
    frame: Frame,
    patience: Duration,
    ended: bool,
}

impl Held {
    pub(crate) fn new(connection: PoolConnection<Postgres>, frame: Frame, patience: Duration) -> Self {
        Self { connection, frame, patience, ended: false }
    }

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

impl Drop for Held {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// What a statement answers with, piece by piece.
type Answer = Either<PgQueryResult, PgRow>;

/// Runs a statement in a transaction of its own. Where this is cut off, the connection is closed, and whoever stands in
/// between rolls back.
async fn alone<'q, E>(connection: &mut PgConnection, begin: SqlStr, statement: E) -> sqlx::Result<Vec<Answer>>
where
    E: 'q + Execute<'q, Postgres>,
{
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    let outcome: sqlx::Result<Vec<Answer>> = connection.fetch_many(Unnamed(statement)).try_collect().await;
    let end = if outcome.is_ok() { "commit" } else { "rollback" };
    sqlx::raw_sql(end).execute(connection).await?;
    outcome
}

/// A statement that gets no name on the server.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut Held {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Answer>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.frame.clone() {
            Frame::Session => self.connection.fetch_many(query),
            Frame::Transaction { begin } => {
                let answers = alone(&mut self.connection, begin, query);
                stream::once(answers).map_ok(|answers| stream::iter(answers).map(Ok)).try_flatten().boxed()
            }
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move { Ok(self.fetch_all(query).await?.into_iter().next()) })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        self.connection.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        self.connection.describe(sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_a_transaction_end_with_it() {
        let Frame::Transaction { begin } = Frame::new(Pooler::Transaction, Duration::from_secs(5)) else {
            panic!("a pooler needs transactions")
        };
        let mut statements = begin.as_str().split("; ");
        assert_eq!(statements.next(), Some("begin"));
        assert_eq!(statements.next(), Some("set local statement_timeout = '5000'"));
        assert!(statements.all(|statement| statement.starts_with("set local ")));
    }
}
