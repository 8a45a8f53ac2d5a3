//! Rows of executions, turned into the core's type.

#![allow(missing_docs, reason = "the fields are columns; the migrations explain them")]

use uuid::Uuid;

use super::Place;
use crate::ids::PaymentId;
use crate::port::executions::Execution;
use crate::port::store::StoreError;

/// A row of `executions`, without when to look at it.
pub struct ExecutionRow {
    pub payment_id: Uuid,
    pub task_token: Option<String>,
    pub state: String,
    pub since_us: i64,
    pub seq: i64,
}

impl TryFrom<ExecutionRow> for Execution {
    type Error = StoreError;

    fn try_from(row: ExecutionRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.payment_id);
        let of = Place { table: "executions", row: &payment_id };
        Ok(Self {
            payment_id,
            token: row.task_token,
            state: of.parsed("state", &row.state)?,
            since: of.instant("since_us", row.since_us)?,
            seq: row.seq,
        })
    }
}
