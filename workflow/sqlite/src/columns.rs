//! The core's types as the values of columns.
//!
//! Not here: rows turned into types (`row.rs`).

use jiff::Timestamp;

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn us(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn json(value: &impl serde::Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
