//! Payments and what is told of them, read. Each list has a limit that its caller names.
//!
//! Not here: lists for clients (`lists.rs`), the inbox (`webhooks.rs`), requests (`start.rs`) and dead letters (`letters.rs`).

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::{Due, HistoryPlace, ROWS_SINCE, StoreError, dealt};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};
use workflow::port::row::{DueRow, FactRow, PaymentRow};

/// Microseconds in an hour: what `wake_hour` counts.
const HOUR_US: i64 = 3_600_000_000;

/// Selects payments with all their columns; the list of columns is written once.
macro_rules! select_payments {
    ($($which:literal)+, $($parameter:expr),+) => {
        sqlx::query_as!(
            PaymentRow,
            "select id, merchant_id, psp, payment_method, amount_minor, currency, capture_method, return_url,
                description, metadata, definition_version, created_at_us, state, state_since_us, goal, seq, head_hash,
                fence, lease_until_us, next_wake_at_us, attempt, claims, operation, psp_reference,
                amount_authorized_minor, amount_to_capture_minor, amount_captured_minor, amount_refunded_minor,
                failure, next_action, action_result, amount_charged_back_minor, key_activity,
                key_since_us, doubt, route, refunds, amount_refund_pending_minor, refund_of, refund_of_reference,
                refund_reason, proposal, updated_at_us
            from payments " $(+ $which)+,
            $($parameter),+
        )
    };
}

pub(crate) use select_payments;

pub(crate) async fn load(store: &PostgresStore, ids: &[PaymentId]) -> Result<Vec<Option<Payment>>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_by_ids(&mut held, &uuids)).await;
    let rows = held.settle(outcome).map_err(store_error)?;
    let found: HashMap<PaymentId, Payment> = rows
        .into_iter()
        .map(|row| Payment::try_from(row).map(|payment| (payment.id, payment)))
        .collect::<Result<_, _>>()?;
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

async fn select_by_ids(held: &mut Held, ids: &[Uuid]) -> sqlx::Result<Vec<PaymentRow>> {
    // The order is for the planner: on a table that it believes to be empty only one index then costs the least.
    select_payments!("where id = any($1) order by id", ids).fetch_all(held).await
}

pub(crate) async fn refunds(
    store: &PostgresStore,
    charge: PaymentId,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<Payment>, StoreError> {
    let before = after.map_or(Uuid::max(), PaymentId::uuid);
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_refunds(&mut held, charge.uuid(), before, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Payment::try_from).collect()
}

async fn select_refunds(held: &mut Held, charge: Uuid, before: Uuid, limit: i64) -> sqlx::Result<Vec<PaymentRow>> {
    select_payments!("where refund_of = $1 and id < $2 order by id desc limit $3", charge, before, limit)
        .fetch_all(held)
        .await
}

pub(crate) async fn walk(
    store: &PostgresStore,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<Payment>, StoreError> {
    let after = after.map_or(Uuid::nil(), PaymentId::uuid);
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_after(&mut held, after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Payment::try_from).collect()
}

async fn select_after(held: &mut Held, after: Uuid, limit: i64) -> sqlx::Result<Vec<PaymentRow>> {
    select_payments!("where id > $1 order by id limit $2", after, limit).fetch_all(held).await
}

pub(crate) async fn due(
    store: &PostgresStore,
    now: Timestamp,
    after: Option<Due>,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let after = after.map_or((i64::MIN, Uuid::nil()), |after| (us(after.since), after.payment_id.uuid()));
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_due(&mut held, us(now), after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Due::try_from).collect()
}

/// By the hour first, because the index knows only hours; the migration says why. Work that would be done at a paused PSP
/// account is left out, so that it fills no sweep; deadlines and lost leases are not.
async fn select_due(
    held: &mut Held,
    now_us: i64,
    (after_us, after_id): (i64, Uuid),
    limit: i64,
) -> sqlx::Result<Vec<DueRow>> {
    sqlx::query_as!(
        DueRow,
        r#"select id, seq, next_wake_at_us as "next_wake_at_us!" from payments
        where wake_hour between $1 and $2
            and next_wake_at_us <= $3 and (next_wake_at_us, id) > ($4, $5)
            and (
                lease_until_us is not null
                or state not in ('created', 'authorizing', 'reconciling', 'finalizing', 'canceling', 'refunding')
                or psp not in (select pause.psp from psp_pauses as pause)
            )
        order by next_wake_at_us, id limit $6"#,
        hour(after_us),
        hour(now_us),
        now_us,
        after_us,
        after_id,
        limit
    )
    .fetch_all(held)
    .await
}

/// What `wake_hour` is for this instant.
fn hour(at_us: i64) -> i32 {
    i32::try_from(at_us / HOUR_US).unwrap_or(if at_us < 0 { i32::MIN } else { i32::MAX })
}

pub(crate) async fn history(store: &PostgresStore, id: PaymentId) -> Result<Vec<HistoryRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_history(&mut held, id.uuid())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(HistoryRow::try_from).collect()
}

async fn select_history(held: &mut Held, payment_id: Uuid) -> sqlx::Result<Vec<FactRow>> {
    sqlx::query_as!(
        FactRow,
        "select payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
        from payment_history where payment_id = $1 order by seq",
        payment_id
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn history_since(
    store: &PostgresStore,
    batch: &[HistoryPlace],
) -> Result<Vec<Vec<HistoryRow>>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = batch.iter().map(|place| place.payment_id.uuid()).collect();
    let seqs: Vec<i64> = batch.iter().map(|place| place.seq).collect();
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_history_since(&mut held, &ids, &seqs)).await;
    let rows = held.settle(outcome).map_err(store_error)?.into_iter().map(HistoryRow::try_from);
    Ok(dealt(batch, rows.collect::<Result<_, _>>()?))
}

async fn select_history_since(held: &mut Held, ids: &[Uuid], seqs: &[i64]) -> sqlx::Result<Vec<FactRow>> {
    sqlx::query_as!(
        FactRow,
        "select later.* from unnest($1::uuid[], $2::bigint[]) as place (payment_id, seq)
        cross join lateral (
            select payment_id, seq, at_us, event, actor, from_state, to_state, attempt, verdict, data, payload_hash, hash
            from payment_history where payment_id = place.payment_id and seq > place.seq order by seq limit $3
        ) as later",
        ids,
        seqs,
        i64::from(ROWS_SINCE)
    )
    .fetch_all(held)
    .await
}
