//! Rows as they are read, turned into the core's types. A value that the core does not know stops that row only, and
//! its error names the row and the column.
//!
//! Not here: types turned into columns (`columns.rs`).

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use workflow::decide::DeadLetter;
use workflow::history::{Fact, Hash, HistoryRow};
use workflow::ids::{ApiKeyId, MerchantId, PaymentId};
use workflow::payment::Payment;
use workflow::port::store::{ApiKey, DeadLetterRow, RequestRecord, RequestScope, StoreError, WebhookEvent};

/// A row of `payments`.
pub(crate) struct PaymentRow {
    pub(crate) id: Uuid,
    pub(crate) merchant_id: Uuid,
    pub(crate) psp: String,
    pub(crate) payment_method: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) capture_method: String,
    pub(crate) return_url: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: String,
    pub(crate) definition_version: i32,
    pub(crate) created_at_us: i64,
    pub(crate) state: String,
    pub(crate) state_since_us: i64,
    pub(crate) goal: String,
    pub(crate) seq: i64,
    pub(crate) head_hash: Vec<u8>,
    pub(crate) fence: i64,
    pub(crate) lease_until_us: Option<i64>,
    pub(crate) next_wake_at_us: Option<i64>,
    pub(crate) attempt: i32,
    pub(crate) claims: i32,
    pub(crate) operation: i32,
    pub(crate) psp_reference: Option<String>,
    pub(crate) amount_authorized_minor: i64,
    pub(crate) amount_to_capture_minor: Option<i64>,
    pub(crate) amount_captured_minor: i64,
    pub(crate) amount_refunded_minor: i64,
    pub(crate) failure: Option<String>,
    pub(crate) next_action: Option<String>,
    pub(crate) updated_at_us: i64,
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
            failure: row.failure.map(|text| of.json("failure", &text)).transpose()?,
            next_action: row.next_action.map(|text| of.json("next_action", &text)).transpose()?,
            updated_at: of.instant("updated_at_us", row.updated_at_us)?,
        })
    }
}

/// A row of `payment_history`.
pub(crate) struct FactRow {
    pub(crate) payment_id: Uuid,
    pub(crate) seq: i64,
    pub(crate) at_us: i64,
    pub(crate) event: String,
    pub(crate) actor: String,
    pub(crate) from_state: Option<String>,
    pub(crate) to_state: String,
    pub(crate) attempt: i32,
    pub(crate) verdict: String,
    pub(crate) data: String,
    pub(crate) payload_hash: Option<Vec<u8>>,
    pub(crate) hash: Vec<u8>,
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
pub(crate) struct RequestRow {
    pub(crate) merchant_id: Uuid,
    pub(crate) route: String,
    pub(crate) key: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) payment_id: Uuid,
    pub(crate) status: i32,
    pub(crate) body: String,
    pub(crate) created_at_us: i64,
}

impl TryFrom<RequestRow> for RequestRecord {
    type Error = StoreError;

    fn try_from(row: RequestRow) -> Result<Self, StoreError> {
        let payment_id = PaymentId::from_uuid(row.payment_id);
        let name = format!("for {payment_id}");
        let of = Place { table: "idempotency_keys", row: &name };
        Ok(Self {
            fingerprint: of.hash("fingerprint", &row.fingerprint)?,
            payment_id,
            status: u16::try_from(row.status).map_err(|_| of.corrupt("status", row.status))?,
            body: row.body,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            scope: RequestScope { merchant_id: MerchantId::from_uuid(row.merchant_id), route: row.route, key: row.key },
        })
    }
}

/// A row of `webhook_events`.
pub(crate) struct WebhookRow {
    pub(crate) psp: String,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) body: Vec<u8>,
    pub(crate) received_at_us: i64,
    pub(crate) payment_id: Option<Uuid>,
    pub(crate) outcome: String,
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

/// A row of `dead_letters`.
pub(crate) struct LetterRow {
    pub(crate) payment_id: Uuid,
    pub(crate) seq: i64,
    pub(crate) at_us: i64,
    pub(crate) reason: String,
    pub(crate) last_error: String,
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
        })
    }
}

/// A row of `api_keys`.
pub(crate) struct KeyRow {
    pub(crate) id: Uuid,
    pub(crate) merchant_id: Uuid,
    pub(crate) secret_hash: Vec<u8>,
    pub(crate) created_at_us: i64,
    pub(crate) revoked_at_us: Option<i64>,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let id = ApiKeyId::from_uuid(row.id);
        let of = Place { table: "api_keys", row: &id };
        Ok(Self {
            id,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            secret_hash: of.hash("secret_hash", &row.secret_hash)?,
            created_at: of.instant("created_at_us", row.created_at_us)?,
            revoked_at: row.revoked_at_us.map(|at| of.instant("revoked_at_us", at)).transpose()?,
        })
    }
}

/// Where a value stands, for the error that says it cannot be read.
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a dyn Display,
}

impl Place<'_> {
    pub(crate) fn parsed<T: FromStr>(&self, column: &str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|_| self.corrupt(column, text))
    }

    fn json<T: DeserializeOwned>(&self, column: &str, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(column, error))
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
