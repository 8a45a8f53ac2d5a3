//! What an error of the database means for whoever called: try later, call a person, or mend the program.
//!
//! Not here: errors that are answers. A lost race for a key is a conflict; the statements that can lose one say so.

use sqlx::postgres::PgDatabaseError;
use workflow::port::store::StoreError;

/// `cardinality_violation`: `on conflict do update` met a row that the same statement had just written.
const ROW_TWICE_IN_ONE_STATEMENT: &str = "21000";
/// `lock_not_available`: somebody held a row for longer than we wait.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// `read_only_sql_transaction`: the server has become a replica, or its disk is full and its operator protects it.
const READ_ONLY: &str = "25006";
/// Classes of errors that pass: connection, authorization (a password is being changed), rollback (deadlock), resources
/// (disk or memory full, too many connections), state (a database closed for maintenance), operator's
/// intervention (shutdown, a statement timed out), system.
const PASSING: [&str; 7] = ["08", "28", "40", "53", "55", "57", "58"];

/// The error as the port knows it.
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    if let sqlx::Error::Database(database) = &error {
        let code = database.code().unwrap_or_default();
        if code == LOCK_NOT_AVAILABLE {
            return StoreError::Held(error.into());
        }
        let passes = PASSING.iter().any(|class| code.starts_with(class)) || code == READ_ONLY;
        return if passes { StoreError::Unavailable(error.into()) } else { StoreError::Refused(error.into()) };
    }
    if matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    ) {
        return StoreError::Unavailable(error.into());
    }
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return StoreError::Corrupt(error.to_string());
    }
    StoreError::Refused(error.into())
}

/// Whether a connection is as good as before after this error: the statement was refused for what it carried, or gave up
/// waiting for a row.
pub(crate) fn may_be_used_again(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    is_about_an_element(error) || code.is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// Whether the error may be the doing of one element, so that the rest of its batch deserves another try without it:
/// a value that cannot be stored, a constraint, the same row twice, or a deadlock with another batch.
pub(crate) fn is_about_an_element(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| {
        code.starts_with("22") || code.starts_with("23") || code.starts_with("40") || code == ROW_TWICE_IN_ONE_STATEMENT
    })
}

/// Whether the error says that what caused an update was handled by somebody else in the meantime: its idempotency key
/// was taken, or its webhook event is no longer waiting (the statement then sets the event's outcome to null).
pub(crate) fn is_lost_race(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return false;
    };
    error.constraint() == Some("idempotency_keys_pkey")
        || (error.table() == Some("webhook_events") && error.column() == Some("outcome") && error.code() == "23502")
}
