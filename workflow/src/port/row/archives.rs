//! Rows of statements of archive, turned into the core's type.

#![allow(missing_docs, reason = "the fields are columns; the migrations explain them")]

use uuid::Uuid;

use super::Place;
use crate::history::Prefix;
use crate::ids::PaymentId;
use crate::port::archives::Statement;
use crate::port::store::StoreError;

/// A row of `archived_histories`.
pub struct StatementRow {
    pub payment_id: Uuid,
    pub seq: i64,
    pub head_hash: Vec<u8>,
    pub told: String,
    pub archived_at_us: i64,
    pub file: String,
    pub file_sha256: Vec<u8>,
}

impl TryFrom<StatementRow> for Statement {
    type Error = StoreError;

    fn try_from(row: StatementRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.payment_id);
        let of = Place { table: "archived_histories", row: &payment_id };
        Ok(Self {
            payment_id,
            prefix: Prefix {
                seq: row.seq,
                hash: of.hash("head_hash", &row.head_hash)?,
                told: of.json("told", &row.told)?,
            },
            archived_at: of.instant("archived_at_us", row.archived_at_us)?,
            file: row.file,
            file_sha256: of.hash("file_sha256", &row.file_sha256)?,
        })
    }
}
