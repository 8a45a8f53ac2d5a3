//! Rows of operators and of what they read, turned into the core's types.

#![allow(missing_docs, reason = "the fields are columns; the migrations explain them")]

use uuid::Uuid;

use super::Place;
use crate::definition::Kind;
use crate::ids::{EndpointId, MerchantId, OperatorId, PaymentId};
use crate::port::operators::{Operator, PasswordHash, Session};
use crate::port::outbound::Disabled;
use crate::port::overview::{EndpointRow, InboxRow, OpenPayments, RecentPayment, Standing, WorkerRow};
use crate::port::store::StoreError;

/// A row of `operators`.
pub struct OperatorRow {
    pub id: Uuid,
    pub name: String,
    pub role: String,
    pub password_hash: Option<String>,
    pub created_at_us: i64,
    pub disabled_at_us: Option<i64>,
}

impl TryFrom<OperatorRow> for Operator {
    type Error = StoreError;

    fn try_from(row: OperatorRow) -> Result<Self, StoreError> {
        let id = OperatorId::from_uuid(row.id);
        let of = Place { table: "operators", row: &id };
        Ok(Self {
            id,
            role: of.parsed("role", &row.role)?,
            password_hash: row.password_hash.map(PasswordHash::stored),
            created_at: of.instant("created_at_us", row.created_at_us)?,
            disabled_at: row.disabled_at_us.map(|at| of.instant("disabled_at_us", at)).transpose()?,
            name: row.name,
        })
    }
}

/// A row of `operator_sessions` with its operator.
pub struct SessionRow {
    pub token_hash: Vec<u8>,
    pub session_created_at_us: i64,
    pub seen_at_us: i64,
    pub id: Uuid,
    pub name: String,
    pub role: String,
    pub password_hash: Option<String>,
    pub created_at_us: i64,
    pub disabled_at_us: Option<i64>,
}

impl TryFrom<SessionRow> for (Session, Operator) {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let operator_id = OperatorId::from_uuid(row.id);
        let of = Place { table: "operator_sessions", row: &operator_id };
        let session = Session {
            token_hash: of.hash("token_hash", &row.token_hash)?,
            operator_id,
            created_at: of.instant("created_at_us", row.session_created_at_us)?,
            seen_at: of.instant("seen_at_us", row.seen_at_us)?,
        };
        let operator = OperatorRow {
            id: row.id,
            name: row.name,
            role: row.role,
            password_hash: row.password_hash,
            created_at_us: row.created_at_us,
            disabled_at_us: row.disabled_at_us,
        };
        Ok((session, operator.try_into()?))
    }
}

/// A group of open payments.
pub struct StandingRow {
    pub is_refund: bool,
    pub definition_version: i32,
    pub state: String,
    pub count: i64,
    pub oldest_since_us: i64,
    pub due: i64,
    pub due_since_us: Option<i64>,
    pub overdue: i64,
}

/// All groups together.
///
/// # Errors
/// A row cannot be read.
pub fn open_payments(rows: Vec<StandingRow>) -> Result<OpenPayments, StoreError> {
    let of = Place { table: "payments", row: &"in some row" };
    let mut open = OpenPayments::default();
    for row in rows {
        open.due += row.due;
        let due_since = row.due_since_us.map(|at| of.instant("next_wake_at_us", at)).transpose()?;
        open.due_since = [open.due_since, due_since].into_iter().flatten().min();
        open.standings.push(Standing {
            kind: if row.is_refund { Kind::Refund } else { Kind::Charge },
            definition_version: row.definition_version,
            state: of.parsed("state", &row.state)?,
            count: row.count,
            oldest_since: of.instant("state_since_us", row.oldest_since_us)?,
            overdue: row.overdue,
        });
    }
    Ok(open)
}

/// What charts need of a row of `payments`.
pub struct RecentRow {
    pub id: Uuid,
    pub psp: String,
    pub state: String,
    pub definition_version: i32,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

impl TryFrom<RecentRow> for RecentPayment {
    type Error = StoreError;

    fn try_from(row: RecentRow) -> Result<Self, StoreError> {
        let id = PaymentId::from_uuid(row.id);
        let of = Place { table: "payments", row: &id };
        Ok(Self {
            id,
            state: of.parsed("state", &row.state)?,
            definition_version: row.definition_version,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            updated_at: of.instant("updated_at_us", row.updated_at_us)?,
            psp: row.psp,
        })
    }
}

/// What a worker wrote into `payment_history`, with the PSP account.
pub struct WorkedRow {
    pub payment_id: Uuid,
    pub psp: String,
    pub event: String,
    pub at_us: i64,
}

impl TryFrom<WorkedRow> for WorkerRow {
    type Error = StoreError;

    fn try_from(row: WorkedRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.payment_id);
        let of = Place { table: "payment_history", row: &payment_id };
        let (event, at) = (of.parsed("event", &row.event)?, of.instant("at_us", row.at_us)?);
        Ok(Self { payment_id, psp: row.psp, event, at })
    }
}

/// A row of `webhook_events` without its body.
pub struct InboxColumns {
    pub psp: String,
    pub event_id: String,
    pub event_type: String,
    pub received_at_us: i64,
    pub payment_id: Option<Uuid>,
    pub outcome: String,
}

impl TryFrom<InboxColumns> for InboxRow {
    type Error = StoreError;

    fn try_from(row: InboxColumns) -> Result<Self, StoreError> {
        let of = Place { table: "webhook_events", row: &row.event_id };
        Ok(Self {
            received_at: of.instant("received_at_us", row.received_at_us)?,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            outcome: of.parsed("outcome", &row.outcome)?,
            psp: row.psp,
            event_type: row.event_type,
            event_id: row.event_id,
        })
    }
}

/// A row of `webhook_endpoints` without its secrets, with what is on its way.
pub struct TroubledRow {
    pub id: Uuid,
    pub merchant_id: Uuid,
    pub url: String,
    pub disabled_at_us: Option<i64>,
    pub disabled_reason: Option<String>,
    pub failing_since_us: Option<i64>,
    pub pending: i64,
    pub pending_since_us: Option<i64>,
}

impl TryFrom<TroubledRow> for EndpointRow {
    type Error = StoreError;

    fn try_from(row: TroubledRow) -> Result<Self, StoreError> {
        let id = EndpointId::from_uuid(row.id);
        let of = Place { table: "webhook_endpoints", row: &id };
        let disabled = row.disabled_at_us.zip(row.disabled_reason).map(|(at, reason)| {
            Ok::<_, StoreError>(Disabled {
                at: of.instant("disabled_at_us", at)?,
                reason: of.parsed("disabled_reason", &reason)?,
            })
        });
        Ok(Self {
            id,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            url: row.url,
            disabled: disabled.transpose()?,
            failing_since: row.failing_since_us.map(|at| of.instant("failing_since_us", at)).transpose()?,
            pending: row.pending,
            pending_since: row.pending_since_us.map(|at| of.instant("since_us", at)).transpose()?,
        })
    }
}
