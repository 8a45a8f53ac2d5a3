//! The core's types as columns: one array per column, for statements that write a whole batch with `unnest`.
//!
//! Not here: rows turned into types (`row.rs`).

use jiff::Timestamp;
use uuid::Uuid;
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;
use workflow::notification::Notification;
use workflow::payment::Payment;
use workflow::port::store::{RequestRecord, StoreError, WebhookEvent, metadata_entry};

/// What never changes of some payments.
pub(crate) struct Terms<'a> {
    pub(crate) merchant_id: Vec<Uuid>,
    pub(crate) amount_minor: Vec<i64>,
    pub(crate) currency: Vec<String>,
    pub(crate) capture_method: Vec<&'static str>,
    pub(crate) return_url: Vec<Option<&'a str>>,
    pub(crate) description: Vec<Option<&'a str>>,
    pub(crate) metadata: Vec<String>,
    pub(crate) definition_version: Vec<i32>,
    pub(crate) created_at_us: Vec<i64>,
}

impl<'a> Terms<'a> {
    pub(crate) fn of(payments: &[&'a Payment]) -> Result<Self, StoreError> {
        Ok(Self {
            merchant_id: column(payments, |payment| payment.merchant_id.uuid()),
            amount_minor: column(payments, |payment| payment.amount_minor),
            currency: column(payments, |payment| payment.currency.to_string()),
            capture_method: column(payments, |payment| payment.capture_method.into()),
            return_url: column(payments, |payment| payment.return_url.as_deref()),
            description: column(payments, |payment| payment.description.as_deref()),
            metadata: payments.iter().map(|payment| json(&payment.metadata)).collect::<Result<_, _>>()?,
            definition_version: column(payments, |payment| payment.definition_version),
            created_at_us: column(payments, |payment| us(payment.created_at)),
        })
    }
}

/// Where some payments stand.
pub(crate) struct Standing<'a> {
    pub(crate) id: Vec<Uuid>,
    pub(crate) state: Vec<&'static str>,
    pub(crate) state_since_us: Vec<i64>,
    pub(crate) goal: Vec<&'static str>,
    pub(crate) seq: Vec<i64>,
    pub(crate) head_hash: Vec<[u8; 32]>,
    pub(crate) fence: Vec<i64>,
    pub(crate) lease_until_us: Vec<Option<i64>>,
    pub(crate) next_wake_at_us: Vec<Option<i64>>,
    pub(crate) attempt: Vec<i32>,
    pub(crate) claims: Vec<i32>,
    pub(crate) operation: Vec<i32>,
    pub(crate) psp_reference: Vec<Option<&'a str>>,
    pub(crate) amount_authorized_minor: Vec<i64>,
    pub(crate) amount_to_capture_minor: Vec<Option<i64>>,
    pub(crate) amount_captured_minor: Vec<i64>,
    pub(crate) amount_refunded_minor: Vec<i64>,
    pub(crate) failure: Vec<Option<String>>,
    pub(crate) next_action: Vec<Option<String>>,
    pub(crate) updated_at_us: Vec<i64>,
    pub(crate) psp: Vec<&'a str>,
    pub(crate) payment_method: Vec<&'a str>,
    pub(crate) action_result: Vec<Option<&'a str>>,
    pub(crate) amount_charged_back_minor: Vec<i64>,
    pub(crate) key_activity: Vec<Option<&'static str>>,
    pub(crate) key_since_us: Vec<Option<i64>>,
    pub(crate) doubt: Vec<Option<&'static str>>,
    pub(crate) route: Vec<Option<String>>,
    pub(crate) refunds: Vec<Option<String>>,
    pub(crate) amount_refund_pending_minor: Vec<i64>,
    pub(crate) proposal: Vec<Option<String>>,
}

impl<'a> Standing<'a> {
    pub(crate) fn of(payments: &[&'a Payment]) -> Result<Self, StoreError> {
        Ok(Self {
            id: column(payments, |payment| payment.id.uuid()),
            state: column(payments, |payment| payment.state.into()),
            state_since_us: column(payments, |payment| us(payment.state_since)),
            goal: column(payments, |payment| payment.goal.into()),
            seq: column(payments, |payment| payment.seq),
            head_hash: column(payments, |payment| payment.head_hash.0),
            fence: column(payments, |payment| payment.fence),
            lease_until_us: column(payments, |payment| payment.lease_until.map(us)),
            next_wake_at_us: column(payments, |payment| payment.next_wake_at.map(us)),
            attempt: column(payments, |payment| payment.attempt),
            claims: column(payments, |payment| payment.claims),
            operation: column(payments, |payment| payment.operation),
            psp_reference: column(payments, |payment| payment.psp_reference.as_deref()),
            amount_authorized_minor: column(payments, |payment| payment.amount_authorized_minor),
            amount_to_capture_minor: column(payments, |payment| payment.amount_to_capture_minor),
            amount_captured_minor: column(payments, |payment| payment.amount_captured_minor),
            amount_refunded_minor: column(payments, |payment| payment.amount_refunded_minor),
            failure: optional_json(payments, |payment| payment.failure.as_ref())?,
            next_action: optional_json(payments, |payment| payment.next_action.as_ref())?,
            updated_at_us: column(payments, |payment| us(payment.updated_at)),
            psp: column(payments, |payment| payment.psp.as_str()),
            payment_method: column(payments, |payment| payment.payment_method.as_str()),
            action_result: column(payments, |payment| payment.action_result.as_deref()),
            amount_charged_back_minor: column(payments, |payment| payment.amount_charged_back_minor),
            key_activity: column(payments, |payment| payment.key_use.map(|used| used.activity.into())),
            key_since_us: column(payments, |payment| payment.key_use.map(|used| us(used.since))),
            doubt: column(payments, |payment| payment.doubt.map(Into::into)),
            route: optional_json(payments, |payment| (!payment.route.is_empty()).then_some(&payment.route))?,
            refunds: optional_json(payments, |payment| (!payment.refunds.is_empty()).then_some(&payment.refunds))?,
            amount_refund_pending_minor: column(payments, |payment| payment.amount_refund_pending_minor),
            proposal: optional_json(payments, |payment| payment.proposal.as_ref())?,
        })
    }
}

/// History rows. Their payments' ids join them with the payments of the same statement.
pub(crate) struct Facts<'a> {
    pub(crate) payment_id: Vec<Uuid>,
    pub(crate) seq: Vec<i64>,
    pub(crate) at_us: Vec<i64>,
    pub(crate) event: Vec<&'static str>,
    pub(crate) actor: Vec<&'a str>,
    pub(crate) from_state: Vec<Option<&'static str>>,
    pub(crate) to_state: Vec<&'static str>,
    pub(crate) attempt: Vec<i32>,
    pub(crate) verdict: Vec<&'static str>,
    pub(crate) data: Vec<String>,
    pub(crate) payload_hash: Vec<Option<[u8; 32]>>,
    pub(crate) hash: Vec<[u8; 32]>,
}

impl<'a> Facts<'a> {
    pub(crate) fn of(rows: &[&'a HistoryRow]) -> Self {
        Self {
            payment_id: column(rows, |row| row.payment_id.uuid()),
            seq: column(rows, |row| row.seq),
            at_us: column(rows, |row| us(row.fact.at)),
            event: column(rows, |row| row.fact.event.into()),
            actor: column(rows, |row| row.fact.actor.as_str()),
            from_state: column(rows, |row| row.fact.from.map(Into::into)),
            to_state: column(rows, |row| row.fact.to.into()),
            attempt: column(rows, |row| row.fact.attempt),
            verdict: column(rows, |row| row.fact.verdict.into()),
            data: column(rows, |row| row.fact.data.to_string()),
            payload_hash: column(rows, |row| row.fact.payload_hash.map(|hash| hash.0)),
            hash: column(rows, |row| row.hash.0),
        }
    }
}

/// Requests with their answers.
pub(crate) struct Requests<'a> {
    pub(crate) merchant_id: Vec<Uuid>,
    pub(crate) route: Vec<&'a str>,
    pub(crate) key: Vec<&'a str>,
    pub(crate) fingerprint: Vec<[u8; 32]>,
    pub(crate) payment_id: Vec<Option<Uuid>>,
    pub(crate) status: Vec<i32>,
    pub(crate) body: Vec<Option<&'a str>>,
    pub(crate) created_at_us: Vec<i64>,
}

impl<'a> Requests<'a> {
    pub(crate) fn of(records: &[&'a RequestRecord]) -> Self {
        Self {
            merchant_id: column(records, |record| record.scope.merchant_id.uuid()),
            route: column(records, |record| record.scope.route.as_str()),
            key: column(records, |record| record.scope.key.as_str()),
            fingerprint: column(records, |record| record.fingerprint.0),
            payment_id: column(records, |record| record.payment_id.map(PaymentId::uuid)),
            status: column(records, |record| i32::from(record.status)),
            body: column(records, |record| record.body.as_deref()),
            created_at_us: column(records, |record| us(record.created_at)),
        }
    }
}

/// Entries of metadata, as lists find them.
pub(crate) struct Entries {
    pub(crate) merchant_id: Vec<Uuid>,
    pub(crate) entry: Vec<Uuid>,
    pub(crate) payment_id: Vec<Uuid>,
}

impl Entries {
    pub(crate) fn of(payments: &[&Payment]) -> Self {
        let (mut merchant_id, mut entry, mut payment_id) = (Vec::new(), Vec::new(), Vec::new());
        for payment in payments {
            for (key, value) in &payment.metadata {
                merchant_id.push(payment.merchant_id.uuid());
                entry.push(metadata_entry(key, value));
                payment_id.push(payment.id.uuid());
            }
        }
        Self { merchant_id, entry, payment_id }
    }
}

/// Webhook events.
pub(crate) struct Events<'a> {
    pub(crate) psp: Vec<&'a str>,
    pub(crate) event_id: Vec<&'a str>,
    pub(crate) event_type: Vec<&'a str>,
    pub(crate) body: Vec<&'a [u8]>,
    pub(crate) received_at_us: Vec<i64>,
    pub(crate) payment_id: Vec<Option<Uuid>>,
    pub(crate) outcome: Vec<&'static str>,
}

impl<'a> Events<'a> {
    pub(crate) fn of(events: &[&'a WebhookEvent]) -> Self {
        Self {
            psp: column(events, |event| event.psp.as_str()),
            event_id: column(events, |event| event.event_id.as_str()),
            event_type: column(events, |event| event.event_type.as_str()),
            body: column(events, |event| event.body.as_slice()),
            received_at_us: column(events, |event| us(event.received_at)),
            payment_id: column(events, |event| event.payment_id.map(PaymentId::uuid)),
            outcome: column(events, |event| event.outcome.into()),
        }
    }
}

/// Events for merchants.
pub(crate) struct Notifications<'a> {
    pub(crate) id: Vec<Uuid>,
    pub(crate) payment_id: Vec<Option<Uuid>>,
    pub(crate) sequence: Vec<Option<i64>>,
    pub(crate) event_type: Vec<&'static str>,
    pub(crate) at_us: Vec<i64>,
    pub(crate) payload: Vec<&'a str>,
}

impl<'a> Notifications<'a> {
    pub(crate) fn of(notifications: &[&'a Notification]) -> Self {
        Self {
            id: column(notifications, |told| told.id.uuid()),
            payment_id: column(notifications, |told| told.payment_id.map(PaymentId::uuid)),
            sequence: column(notifications, |told| told.sequence),
            event_type: column(notifications, |told| told.event_type.into()),
            at_us: column(notifications, |told| us(told.at)),
            payload: column(notifications, |told| told.payload.as_str()),
        }
    }
}

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn us(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// One column of some rows.
pub(crate) fn column<'a, T, V>(rows: &[&'a T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(|row| value(row)).collect()
}

fn optional_json<'a, T, J: serde::Serialize + 'a>(
    rows: &[&'a T],
    value: impl Fn(&'a T) -> Option<&'a J>,
) -> Result<Vec<Option<String>>, StoreError> {
    rows.iter().map(|row| value(row).map(json).transpose()).collect()
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.into()))
}
