//! What an error of the database means for whoever called: try later, call a person, or mend the program.
//!
//! Not here: errors that are answers. There is one writer, so nobody loses a race for a key here: the statements look
//! before they write.

use workflow::port::store::StoreError;

/// Primary result codes that pass: another process writes (5 busy, 6 locked, 15 protocol), or the machine has a problem
/// that somebody will solve (7 memory, 8 read-only, 10 input/output, 13 disk full, 14 cannot open).
const PASSING: [u32; 8] = [5, 6, 7, 8, 10, 13, 14, 15];
/// The file is damaged, or is no database.
const DAMAGED: [u32; 2] = [11, 26];
/// A value that cannot be stored: 18 too big, 19 constraint, 20 wrong type.
const UNFIT: [u32; 3] = [18, 19, 20];

/// The error as the port knows it.
pub(crate) fn store_error(error: sqlx::Error) -> StoreError {
    if let Some(code) = primary_code(&error) {
        return if PASSING.contains(&code) {
            StoreError::Unavailable(error.into())
        } else if DAMAGED.contains(&code) {
            StoreError::Corrupt(format!("the file is damaged: {error}"))
        } else {
            StoreError::Refused(error.into())
        };
    }
    if matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed
    ) {
        return StoreError::Unavailable(error.into());
    }
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return StoreError::Corrupt(error.to_string());
    }
    StoreError::Refused(error.into())
}

/// Whether a connection is as good as before after this error: the statement was refused for what it carried, and its
/// transaction was rolled back.
pub(crate) fn may_be_used_again(error: &sqlx::Error) -> bool {
    is_about_an_element(error)
}

/// Whether the error is the doing of one element, so that the rest of its batch deserves another try without it.
pub(crate) fn is_about_an_element(error: &sqlx::Error) -> bool {
    primary_code(error).is_some_and(|code| UNFIT.contains(&code))
}

/// The last eight bits of the extended code (<https://www.sqlite.org/rescode.html>).
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}
