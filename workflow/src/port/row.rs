//! Rows as both databases read them, turned into the core's types. A value that the core does not know stops that row
//! only, and its error names the row and the column.
//!
//! Not here: reading them, and types turned into columns; the stores do, each in its own way.

#![allow(missing_docs, reason = "the fields are columns; the migrations explain them")]

pub mod archives;
pub mod desk;
pub mod execution;
pub mod operators;
pub mod outbound;

use std::fmt::Display;
use std::str::FromStr;

use crate::decide::DeadLetter;
use crate::history::{Fact, Hash, HistoryRow};
use crate::ids::{ApiKeyId, MerchantId, PaymentId};
use crate::money::Money;
use crate::payment::{KeyUse, Payment, RefundOf};
use crate::port::store::{
    ApiKey, DeadLetterRow, Due, Notice, NoticeRow, RequestRecord, RequestScope, Scopes, StoreError, WebhookEvent,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A row of `payments`.
pub struct PaymentRow {
    pub id: Uuid,
    pub merchant_id: Uuid,
    pub psp: String,
    pub payment_method: String,
    pub amount_minor: i64,
    pub currency: String,
    pub capture_method: String,
    pub return_url: Option<String>,
    pub description: Option<String>,
    pub metadata: String,
    pub definition_version: i32,
    pub created_at_us: i64,
    pub state: String,
    pub state_since_us: i64,
    pub goal: String,
    pub seq: i64,
    pub head_hash: Vec<u8>,
    pub fence: i64,
    pub lease_until_us: Option<i64>,
    pub next_wake_at_us: Option<i64>,
    pub attempt: i32,
    pub claims: i32,
    pub operation: i32,
    pub psp_reference: Option<String>,
    pub amount_authorized_minor: i64,
    pub amount_to_capture_minor: Option<i64>,
    pub amount_captured_minor: i64,
    pub amount_refunded_minor: i64,
    pub failure: Option<String>,
    pub next_action: Option<String>,
    pub action_result: Option<String>,
    pub amount_charged_back_minor: i64,
    pub key_activity: Option<String>,
    pub key_since_us: Option<i64>,
    pub doubt: Option<String>,
    pub route: Option<String>,
    pub refunds: Option<String>,
    pub amount_refund_pending_minor: i64,
    pub refund_of: Option<Uuid>,
    pub refund_of_reference: Option<String>,
    pub refund_reason: Option<String>,
    pub proposal: Option<String>,
    pub updated_at_us: i64,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = StoreError;

    fn try_from(row: PaymentRow) -> Result<Self, StoreError> {
        let id = PaymentId::from_uuid(row.id);
        let of = Place { table: "payments", row: &id };
        Ok(Self {
            id,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            psp: row.psp,
            payment_method: row.payment_method,
            amount_minor: row.amount_minor,
            currency: of.parsed("currency", &row.currency)?,
            capture_method: of.parsed("capture_method", &row.capture_method)?,
            return_url: row.return_url,
            description: row.description,
            metadata: of.json("metadata", &row.metadata)?,
            definition_version: row.definition_version,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            refund_of: of.refund_of(row.refund_of, row.refund_of_reference, row.refund_reason.as_deref())?,
            state: of.parsed("state", &row.state)?,
            state_since: of.instant("state_since_us", row.state_since_us)?,
            goal: of.parsed("goal", &row.goal)?,
            seq: row.seq,
            head_hash: of.hash("head_hash", &row.head_hash)?,
            fence: row.fence,
            lease_until: row.lease_until_us.map(|at| of.instant("lease_until_us", at)).transpose()?,
            next_wake_at: row.next_wake_at_us.map(|at| of.instant("next_wake_at_us", at)).transpose()?,
            attempt: row.attempt,
            claims: row.claims,
            operation: row.operation,
            psp_reference: row.psp_reference,
            amount_authorized_minor: row.amount_authorized_minor,
            amount_to_capture_minor: row.amount_to_capture_minor,
            amount_captured_minor: row.amount_captured_minor,
            amount_refunded_minor: row.amount_refunded_minor,
            amount_refund_pending_minor: row.amount_refund_pending_minor,
            failure: row.failure.map(|text| of.json("failure", &text)).transpose()?,
            next_action: row.next_action.map(|text| of.json("next_action", &text)).transpose()?,
            action_result: row.action_result,
            amount_charged_back_minor: row.amount_charged_back_minor,
            key_use: of.key_use(row.key_activity.as_deref(), row.key_since_us)?,
            doubt: row.doubt.map(|text| of.parsed("doubt", &text)).transpose()?,
            route: row.route.map(|text| of.json("route", &text)).transpose()?.unwrap_or_default(),
            refunds: row.refunds.map(|text| of.json("refunds", &text)).transpose()?.unwrap_or_default(),
            proposal: row.proposal.map(|text| of.json("proposal", &text)).transpose()?,
            updated_at: of.instant("updated_at_us", row.updated_at_us)?,
        })
    }
}

/// What the sweeper reads of a row of `payments`.
pub struct DueRow {
    pub id: Uuid,
    pub seq: i64,
    pub next_wake_at_us: i64,
}

impl TryFrom<DueRow> for Due {
    type Error = StoreError;

    fn try_from(row: DueRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.id);
        let of = Place { table: "payments", row: &payment_id };
        Ok(Self { since: of.instant("next_wake_at_us", row.next_wake_at_us)?, payment_id, seq: row.seq })
    }
}

/// A row of `payment_history`.
pub struct FactRow {
    pub payment_id: Uuid,
    pub seq: i64,
    pub at_us: i64,
    pub event: String,
    pub actor: String,
    pub from_state: Option<String>,
    pub to_state: String,
    pub attempt: i32,
    pub verdict: String,
    pub data: String,
    pub payload_hash: Option<Vec<u8>>,
    pub hash: Vec<u8>,
}

impl TryFrom<FactRow> for HistoryRow {
    type Error = StoreError;

    fn try_from(row: FactRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.payment_id);
        let name = format!("{payment_id} row {}", row.seq);
        let of = Place { table: "payment_history", row: &name };
        let fact = Fact {
            at: of.instant("at_us", row.at_us)?,
            event: of.parsed("event", &row.event)?,
            actor: row.actor,
            from: row.from_state.map(|state| of.parsed("from_state", &state)).transpose()?,
            to: of.parsed("to_state", &row.to_state)?,
            attempt: row.attempt,
            verdict: of.parsed("verdict", &row.verdict)?,
            data: of.json("data", &row.data)?,
            payload_hash: row.payload_hash.map(|hash| of.hash("payload_hash", &hash)).transpose()?,
        };
        Ok(Self { payment_id, seq: row.seq, fact, hash: of.hash("hash", &row.hash)? })
    }
}

/// A row of `idempotency_keys`.
pub struct RequestRow {
    pub merchant_id: Uuid,
    pub route: String,
    pub key: String,
    pub fingerprint: Vec<u8>,
    pub payment_id: Option<Uuid>,
    pub status: i32,
    pub body: Option<String>,
    pub created_at_us: i64,
}

impl TryFrom<RequestRow> for RequestRecord {
    type Error = StoreError;

    fn try_from(row: RequestRow) -> Result<Self, StoreError> {
        let merchant_id = MerchantId::from_uuid(row.merchant_id);
        let name = format!("of {merchant_id} at {}", row.route);
        let of = Place { table: "idempotency_keys", row: &name };
        Ok(Self {
            fingerprint: of.hash("fingerprint", &row.fingerprint)?,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            status: u16::try_from(row.status).map_err(|_| of.corrupt("status", row.status))?,
            body: row.body,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            scope: RequestScope { merchant_id, route: row.route, key: row.key },
        })
    }
}

/// A row of `webhook_events`.
pub struct WebhookRow {
    pub psp: String,
    pub event_id: String,
    pub event_type: String,
    pub body: Vec<u8>,
    pub received_at_us: i64,
    pub payment_id: Option<Uuid>,
    pub outcome: String,
}

impl TryFrom<WebhookRow> for WebhookEvent {
    type Error = StoreError;

    fn try_from(row: WebhookRow) -> Result<Self, StoreError> {
        let name = format!("{} {}", row.psp, row.event_id);
        let of = Place { table: "webhook_events", row: &name };
        Ok(Self {
            received_at: of.instant("received_at_us", row.received_at_us)?,
            outcome: of.parsed("outcome", &row.outcome)?,
            payment_id: row.payment_id.map(PaymentId::from_uuid),
            psp: row.psp,
            event_id: row.event_id,
            event_type: row.event_type,
            body: row.body,
        })
    }
}

/// A row of `dead_letters`, with what operators need to know of its payment.
pub struct LetterRow {
    pub payment_id: Uuid,
    pub seq: i64,
    pub at_us: i64,
    pub reason: String,
    pub last_error: String,
    pub merchant_id: Uuid,
    pub psp: String,
    pub amount_minor: i64,
    pub currency: String,
    pub state: String,
    pub goal: String,
    pub is_last: bool,
}

impl TryFrom<LetterRow> for DeadLetterRow {
    type Error = StoreError;

    fn try_from(row: LetterRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.payment_id);
        let of = Place { table: "dead_letters", row: &payment_id };
        Ok(Self {
            payment_id,
            seq: row.seq,
            at: of.instant("at_us", row.at_us)?,
            letter: DeadLetter {
                reason: of.parsed("reason", &row.reason)?,
                last_error: of.json("last_error", &row.last_error)?,
            },
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            psp: row.psp,
            money: Money { amount_minor: row.amount_minor, currency: of.parsed("currency", &row.currency)? },
            state: of.parsed("state", &row.state)?,
            goal: of.parsed("goal", &row.goal)?,
            is_last: row.is_last,
        })
    }
}

/// A claimed row of `dead_letter_notices` with its letter; none when the letter cannot be read, which is logged. Others
/// must not wait for that one.
#[must_use]
pub fn notice(letter: LetterRow, attempt: i32) -> Option<Notice> {
    match DeadLetterRow::try_from(letter) {
        Ok(letter) => Some(Notice { letter, attempt }),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "nobody can be told of a dead letter");
            None
        }
    }
}

/// A row of `dead_letter_notices`.
pub struct NoticeColumns {
    pub payment_id: Uuid,
    pub seq: i64,
    pub adapter: String,
    pub attempts: i32,
    pub next_at_us: i64,
    pub told_at_us: Option<i64>,
}

impl TryFrom<NoticeColumns> for NoticeRow {
    type Error = StoreError;

    fn try_from(row: NoticeColumns) -> Result<Self, StoreError> {
        let of = Place { table: "dead_letter_notices", row: &PaymentId::from_uuid(row.payment_id) };
        Ok(Self {
            seq: row.seq,
            attempts: row.attempts,
            next_at: of.instant("next_at_us", row.next_at_us)?,
            told_at: row.told_at_us.map(|at| of.instant("told_at_us", at)).transpose()?,
            adapter: row.adapter,
        })
    }
}

/// A row of `api_keys`.
pub struct KeyRow {
    pub id: Uuid,
    pub merchant_id: Uuid,
    pub mode: String,
    pub name: String,
    pub scopes: String,
    pub secret_hash: Vec<u8>,
    pub created_at_us: i64,
    pub last_used_at_us: Option<i64>,
    pub revoked_at_us: Option<i64>,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let id = ApiKeyId::from_uuid(row.id);
        let of = Place { table: "api_keys", row: &id };
        Ok(Self {
            id,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            mode: of.parsed("mode", &row.mode)?,
            name: row.name,
            scopes: Scopes::known_in(&row.scopes),
            secret_hash: of.hash("secret_hash", &row.secret_hash)?,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            last_used_at: row.last_used_at_us.map(|at| of.instant("last_used_at_us", at)).transpose()?,
            revoked_at: row.revoked_at_us.map(|at| of.instant("revoked_at_us", at)).transpose()?,
        })
    }
}

/// Where a value stands, for the error that says it cannot be read.
pub struct Place<'a> {
    pub table: &'static str,
    pub row: &'a dyn Display,
}

impl Place<'_> {
    pub fn parsed<T: FromStr>(&self, column: &str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|_| self.corrupt(column, text))
    }

    fn json<T: DeserializeOwned>(&self, column: &str, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
    }

    fn key_use(&self, activity: Option<&str>, since_us: Option<i64>) -> Result<Option<KeyUse>, StoreError> {
        let (Some(activity), Some(since_us)) = (activity, since_us) else { return Ok(None) };
        let activity = self.parsed("key_activity", activity)?;
        Ok(Some(KeyUse { activity, since: self.instant("key_since_us", since_us)? }))
    }

    fn refund_of(
        &self,
        charge: Option<Uuid>,
        psp_reference: Option<String>,
        reason: Option<&str>,
    ) -> Result<Option<RefundOf>, StoreError> {
        let (Some(charge), Some(psp_reference)) = (charge, psp_reference) else { return Ok(None) };
        let reason = reason.map(|word| self.parsed("refund_reason", word)).transpose()?;
        Ok(Some(RefundOf { charge: PaymentId::from_uuid(charge), psp_reference, reason }))
    }

    fn instant(&self, column: &str, us: i64) -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(us).map_err(|_| self.corrupt(column, us))
    }

    fn hash(&self, column: &str, bytes: &[u8]) -> Result<Hash, StoreError> {
        Hash::try_from(bytes).map_err(|error| self.corrupt(column, error))
    }

    fn corrupt(&self, column: &str, found: impl Display) -> StoreError {
        StoreError::Corrupt(format!("{} {}: {column} cannot be read: {found}", self.table, self.row))
    }
}
