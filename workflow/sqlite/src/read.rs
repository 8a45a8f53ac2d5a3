//! Payments and what is told of them, read. Each list has a limit that its caller names.
//!
//! Not here: lists for clients (`lists.rs`), the inbox (`webhooks.rs`), requests (`start.rs`) and dead letters (`letters.rs`).

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::{Due, HistoryPlace, ROWS_SINCE, StoreError, dealt};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use workflow::port::row::{DueRow, FactRow, PaymentRow};

/// Selects payments with all their columns; the list of columns is written once.
macro_rules! select_payments {
    ($($which:literal)+, $($parameter:expr),+) => {
        sqlx::query_as!(
            PaymentRow,
            r#"select id as "id: Uuid", merchant_id as "merchant_id: Uuid", psp, payment_method, amount_minor, currency,
                capture_method, return_url, description, metadata, definition_version as "definition_version: i32",
                created_at_us, state, state_since_us, goal, seq, head_hash, fence, lease_until_us, next_wake_at_us,
                attempt as "attempt: i32", claims as "claims: i32", operation as "operation: i32", psp_reference,
                amount_authorized_minor, amount_to_capture_minor, amount_captured_minor, amount_refunded_minor,
                failure, next_action, action_result, amount_charged_back_minor, key_activity,
                key_since_us, doubt, route, refunds, amount_refund_pending_minor, refund_of as "refund_of: Uuid",
                refund_of_reference, refund_reason, proposal, updated_at_us
            from payments "# $(+ $which)+,
            $($parameter),+
        )
    };
}

pub(crate) use select_payments;

pub(crate) async fn load(store: &SqliteStore, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let uuids: Vec<String> = ids.iter().map(|id| id.uuid().simple().to_string()).collect();
    let uuids = serde_json::json!(uuids).to_string();
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_by_ids(&mut held, &uuids)).await;
    let rows = held.settle(outcome).map_err(store_error)?;
    let found: HashMap<PaymentId, Payment> = rows
        .into_iter()
        .map(|row| Payment::try_from(row).map(|payment| (payment.id, payment)))
        .collect::<Result<_, _>>()?;
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

/// SQLite has no arrays: the ids come as a JSON array of their hexadecimal forms.
async fn select_by_ids(connection: &mut SqliteConnection, ids: &str) -> sqlx::Result<Vec<PaymentRow>> {
    select_payments!("where id in (select unhex(value) from json_each(?))", ids).fetch_all(connection).await
}

pub(crate) async fn refunds(
    store: &SqliteStore,
    charge: PaymentId,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<Payment>, StoreError> {
    let before = after.map_or(Uuid::max(), PaymentId::uuid);
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_refunds(&mut held, charge.uuid(), before, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Payment::try_from).collect()
}

async fn select_refunds(
    connection: &mut SqliteConnection,
    charge: Uuid,
    before: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<PaymentRow>> {
    select_payments!("where refund_of = ? and id < ? order by id desc limit ?", charge, before, limit)
        .fetch_all(connection)
        .await
}

pub(crate) async fn walk(
    store: &SqliteStore,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<Payment>, StoreError> {
    let after = after.map_or(Uuid::nil(), PaymentId::uuid);
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_after(&mut held, after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Payment::try_from).collect()
}

async fn select_after(connection: &mut SqliteConnection, after: Uuid, limit: i64) -> sqlx::Result<Vec<PaymentRow>> {
    select_payments!("where id > ? order by id limit ?", after, limit).fetch_all(connection).await
}

pub(crate) async fn due(
    store: &SqliteStore,
    now: Timestamp,
    after: Option<Due>,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let after = after.map_or((i64::MIN, Uuid::nil()), |after| (us(after.since), after.payment_id.uuid()));
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_due(&mut held, us(now), after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Due::try_from).collect()
}

/// By the instant itself: SQLite has no use for the hour that the PostgreSQL schema keeps. Work that would be done at a
/// paused PSP account is left out, so that it fills no sweep; deadlines and lost leases are not.
async fn select_due(
    connection: &mut SqliteConnection,
    now_us: i64,
    (after_us, after_id): (i64, Uuid),
    limit: i64,
) -> sqlx::Result<Vec<DueRow>> {
    sqlx::query_as!(
        DueRow,
        r#"select id as "id: Uuid", seq, next_wake_at_us as "next_wake_at_us!" from payments
        where next_wake_at_us <= ? and (next_wake_at_us, id) > (?, ?)
            and (
                lease_until_us is not null
                or state not in ('created', 'authorizing', 'reconciling', 'finalizing', 'canceling', 'refunding')
                or psp not in (select pause.psp from psp_pauses as pause)
            )
        order by next_wake_at_us, id limit ?"#,
        now_us,
        after_us,
        after_id,
        limit
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn history(store: &SqliteStore, id: PaymentId) -> Result<Vec<HistoryRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_history(&mut held, id.uuid())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(HistoryRow::try_from).collect()
}

async fn select_history(connection: &mut SqliteConnection, payment_id: Uuid) -> sqlx::Result<Vec<FactRow>> {
    sqlx::query_as!(
        FactRow,
        r#"select payment_id as "payment_id: Uuid", seq, at_us, event, actor, from_state, to_state,
            attempt as "attempt: i32", verdict, data, payload_hash, hash
        from payment_history where payment_id = ? order by seq"#,
        payment_id
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn history_since(
    store: &SqliteStore,
    batch: &[HistoryPlace],
) -> Result<Vec<Vec<HistoryRow>>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<_> = batch
        .iter()
        .map(|place| serde_json::json!({"id": place.payment_id.uuid().simple().to_string(), "seq": place.seq}))
        .collect();
    let places = serde_json::json!(places).to_string();
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_history_since(&mut held, &places)).await;
    let rows = held.settle(outcome).map_err(store_error)?.into_iter().map(HistoryRow::try_from);
    Ok(dealt(batch, rows.collect::<Result<_, _>>()?))
}

/// SQLite has no arrays: the places come as a JSON array.
async fn select_history_since(connection: &mut SqliteConnection, places: &str) -> sqlx::Result<Vec<FactRow>> {
    let rows = i64::from(ROWS_SINCE);
    sqlx::query_as!(
        FactRow,
        r#"select payment_id as "payment_id!: Uuid", seq as "seq!", at_us as "at_us!", event as "event!",
            actor as "actor!", from_state, to_state as "to_state!", attempt as "attempt!: i32", verdict as "verdict!",
            data as "data!", payload_hash, hash as "hash!"
        from json_each(?) as place
        join payment_history on payment_id = unhex(place.value ->> 'id')
            and seq > place.value ->> 'seq' and seq <= (place.value ->> 'seq') + ?
        order by payment_id, seq"#,
        places,
        rows
    )
    .fetch_all(connection)
    .await
}
