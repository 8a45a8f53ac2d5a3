//! The core's types as rows in JSON, for statements that write a whole batch with `jsonb_each`: one statement is one visit to
//! the thread that SQLite runs on, and visits cost more than what is done there.
//!
//! Bytes are hexadecimal in them; statements turn them back with `unhex`. Not here: rows turned into types (`row.rs`).

use jiff::Timestamp;
use serde::Serialize;
use uuid::fmt::Simple;
use workflow::history::HistoryRow;
use workflow::notification::Notification;
use workflow::payment::Payment;
use workflow::port::store::{RequestRecord, Update, metadata_entry};

/// What never changes of a payment.
#[derive(Serialize)]
pub(crate) struct Terms<'a> {
    merchant_id: Simple,
    amount_minor: i64,
    currency: String,
    capture_method: &'static str,
    return_url: Option<&'a str>,
    description: Option<&'a str>,
    metadata: String,
    definition_version: i32,
    created_at_us: i64,
    refund_of: Option<Simple>,
    refund_of_reference: Option<&'a str>,
    refund_reason: Option<&'static str>,
}

impl<'a> Terms<'a> {
    fn of(payment: &'a Payment) -> sqlx::Result<Self> {
        let refund_of = payment.refund_of.as_ref();
        Ok(Self {
            merchant_id: payment.merchant_id.uuid().simple(),
            amount_minor: payment.amount_minor,
            currency: payment.currency.to_string(),
            capture_method: payment.capture_method.into(),
            return_url: payment.return_url.as_deref(),
            description: payment.description.as_deref(),
            metadata: json(&payment.metadata)?,
            definition_version: payment.definition_version,
            created_at_us: us(payment.created_at),
            refund_of: refund_of.map(|of| of.charge.uuid().simple()),
            refund_of_reference: refund_of.map(|of| of.psp_reference.as_str()),
            refund_reason: refund_of.and_then(|of| of.reason).map(Into::into),
        })
    }
}

/// Where a payment stands.
#[derive(Serialize)]
pub(crate) struct Standing<'a> {
    id: Simple,
    state: &'static str,
    state_since_us: i64,
    goal: &'static str,
    seq: i64,
    head_hash: String,
    fence: i64,
    lease_until_us: Option<i64>,
    next_wake_at_us: Option<i64>,
    attempt: i32,
    claims: i32,
    operation: i32,
    psp_reference: Option<&'a str>,
    amount_authorized_minor: i64,
    amount_to_capture_minor: Option<i64>,
    amount_captured_minor: i64,
    amount_refunded_minor: i64,
    failure: Option<String>,
    next_action: Option<String>,
    updated_at_us: i64,
    psp: &'a str,
    payment_method: &'a str,
    action_result: Option<&'a str>,
    amount_charged_back_minor: i64,
    key_activity: Option<&'static str>,
    key_since_us: Option<i64>,
    doubt: Option<&'static str>,
    route: Option<String>,
    refunds: Option<String>,
    amount_refund_pending_minor: i64,
    proposal: Option<String>,
}

impl<'a> Standing<'a> {
    fn of(payment: &'a Payment) -> sqlx::Result<Self> {
        Ok(Self {
            id: payment.id.uuid().simple(),
            state: payment.state.into(),
            state_since_us: us(payment.state_since),
            goal: payment.goal.into(),
            seq: payment.seq,
            head_hash: payment.head_hash.to_string(),
            fence: payment.fence,
            lease_until_us: payment.lease_until.map(us),
            next_wake_at_us: payment.next_wake_at.map(us),
            attempt: payment.attempt,
            claims: payment.claims,
            operation: payment.operation,
            psp_reference: payment.psp_reference.as_deref(),
            amount_authorized_minor: payment.amount_authorized_minor,
            amount_to_capture_minor: payment.amount_to_capture_minor,
            amount_captured_minor: payment.amount_captured_minor,
            amount_refunded_minor: payment.amount_refunded_minor,
            failure: payment.failure.as_ref().map(json).transpose()?,
            next_action: payment.next_action.as_ref().map(json).transpose()?,
            updated_at_us: us(payment.updated_at),
            psp: &payment.psp,
            payment_method: &payment.payment_method,
            action_result: payment.action_result.as_deref(),
            amount_charged_back_minor: payment.amount_charged_back_minor,
            key_activity: payment.key_use.map(|used| used.activity.into()),
            key_since_us: payment.key_use.map(|used| us(used.since)),
            doubt: payment.doubt.map(Into::into),
            route: (!payment.route.is_empty()).then(|| json(&payment.route)).transpose()?,
            refunds: (!payment.refunds.is_empty()).then(|| json(&payment.refunds)).transpose()?,
            amount_refund_pending_minor: payment.amount_refund_pending_minor,
            proposal: payment.proposal.as_ref().map(json).transpose()?,
        })
    }
}

/// A payment from end to end.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    terms: Terms<'a>,
    #[serde(flatten)]
    standing: Standing<'a>,
}

pub(crate) fn payments<'a>(payments: impl IntoIterator<Item = &'a Payment>) -> sqlx::Result<String> {
    rows(payments, |payment| Ok(Whole { terms: Terms::of(payment)?, standing: Standing::of(payment)? }))
}

/// A payment's next standing, and where it has to stand for that.
#[derive(Serialize)]
struct Move<'a> {
    expected_seq: i64,
    expected_fence: i64,
    #[serde(flatten)]
    standing: Standing<'a>,
}

pub(crate) fn moves(updates: &[&Update]) -> sqlx::Result<String> {
    rows(updates.iter().copied(), |update| {
        Ok(Move {
            expected_seq: update.expected_seq,
            expected_fence: update.expected_fence,
            standing: Standing::of(&update.payment)?,
        })
    })
}

#[derive(Serialize)]
struct FactRow<'a> {
    payment_id: Simple,
    seq: i64,
    at_us: i64,
    event: &'static str,
    actor: &'a str,
    from_state: Option<&'static str>,
    to_state: &'static str,
    attempt: i32,
    verdict: &'static str,
    data: String,
    payload_hash: Option<String>,
    hash: String,
}

pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = &'a HistoryRow>) -> sqlx::Result<String> {
    rows(facts, |row| {
        Ok(FactRow {
            payment_id: row.payment_id.uuid().simple(),
            seq: row.seq,
            at_us: us(row.fact.at),
            event: row.fact.event.into(),
            actor: &row.fact.actor,
            from_state: row.fact.from.map(Into::into),
            to_state: row.fact.to.into(),
            attempt: row.fact.attempt,
            verdict: row.fact.verdict.into(),
            data: row.fact.data.to_string(),
            payload_hash: row.fact.payload_hash.map(|hash| hash.to_string()),
            hash: row.hash.to_string(),
        })
    })
}

#[derive(Serialize)]
struct RequestColumns<'a> {
    merchant_id: Simple,
    route: &'a str,
    key: &'a str,
    fingerprint: String,
    payment_id: Option<Simple>,
    status: u16,
    body: Option<&'a str>,
    created_at_us: i64,
}

pub(crate) fn requests<'a>(records: impl IntoIterator<Item = &'a RequestRecord>) -> sqlx::Result<String> {
    rows(records, |record| {
        Ok(RequestColumns {
            merchant_id: record.scope.merchant_id.uuid().simple(),
            route: &record.scope.route,
            key: &record.scope.key,
            fingerprint: record.fingerprint.to_string(),
            payment_id: record.payment_id.map(|id| id.uuid().simple()),
            status: record.status,
            body: record.body.as_deref(),
            created_at_us: us(record.created_at),
        })
    })
}

#[derive(Serialize)]
struct Entry {
    merchant_id: Simple,
    entry: Simple,
    payment_id: Simple,
}

/// Entries of metadata, as lists find them; nothing when there are none.
pub(crate) fn entries<'a>(payments: impl IntoIterator<Item = &'a Payment>) -> sqlx::Result<Option<String>> {
    let entries = payments.into_iter().flat_map(|payment| {
        payment.metadata.iter().map(|(key, value)| Entry {
            merchant_id: payment.merchant_id.uuid().simple(),
            entry: metadata_entry(key, value).simple(),
            payment_id: payment.id.uuid().simple(),
        })
    });
    let entries: Vec<Entry> = entries.collect();
    (!entries.is_empty()).then(|| json(&entries)).transpose()
}

#[derive(Serialize)]
struct Name<'a> {
    psp: &'a str,
    psp_reference: &'a str,
    payment_id: Simple,
}

/// The names that payments have just got from their PSPs; nothing when there are none.
pub(crate) fn names(updates: &[&Update]) -> sqlx::Result<Option<String>> {
    let named = updates.iter().filter_map(|update| {
        let payment = &update.payment;
        update.learned_reference.as_deref().map(|psp_reference| Name {
            psp: &payment.psp,
            psp_reference,
            payment_id: payment.id.uuid().simple(),
        })
    });
    let named: Vec<Name<'_>> = named.collect();
    (!named.is_empty()).then(|| json(&named)).transpose()
}

#[derive(Serialize)]
struct Audience {
    event_id: Simple,
    merchant_id: Simple,
    event_type: &'static str,
}

/// Whose endpoints may want to hear of events.
pub(crate) fn audiences(notifications: &[&Notification]) -> sqlx::Result<String> {
    rows(notifications.iter().copied(), |told| {
        Ok(Audience {
            event_id: told.id.uuid().simple(),
            merchant_id: told.merchant_id.uuid().simple(),
            event_type: told.event_type.into(),
        })
    })
}

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn us(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(crate) fn json(value: &impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn rows<'a, T: 'a, R: Serialize>(
    elements: impl IntoIterator<Item = &'a T>,
    row: impl Fn(&'a T) -> sqlx::Result<R>,
) -> sqlx::Result<String> {
    json(&elements.into_iter().map(row).collect::<sqlx::Result<Vec<R>>>()?)
}
