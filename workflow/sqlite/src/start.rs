//! New payments with their first history row and the request they answer, and requests read again.
//!
//! Not here: comparing a repeated request with the first one; who asked does that.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::{NewPayment, RequestRecord, RequestScope, Started, StoreError};

use crate::SqliteStore;
use crate::columns::{self, us};
use crate::connect::within;
use crate::error::{is_about_an_element, store_error};
use crate::update::insert_facts;
use workflow::port::row::RequestRow;

pub(crate) async fn start(store: &SqliteStore, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), together(&mut held, batch)).await;
    let found = match held.settle(outcome) {
        Err(error) if is_about_an_element(&error) && batch.len() > 1 => one_by_one(store, batch).await?,
        result => result.map_err(store_error)?,
    };
    found
        .into_iter()
        .map(|earlier| match earlier {
            None => Ok(Started::Created),
            Some(row) => RequestRecord::try_from(row).map(|record| Started::Repeated(Box::new(record))),
        })
        .collect()
}

async fn together(connection: &mut SqliteConnection, batch: &[NewPayment]) -> sqlx::Result<Vec<Option<RequestRow>>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    match insert_new(&mut tx, batch).await {
        Ok(found) => {
            tx.commit().await?;
            Ok(found)
        }
        Err(error) => {
            // On a full disk SQLite has rolled back by itself; the first error is the one that tells.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

/// Stores each element in a transaction of its own, because one of them spoils the one for all. Those before the spoilt
/// one stay stored when the call then fails: their clients ask again with the same key and are answered from what is
/// stored.
async fn one_by_one(store: &SqliteStore, batch: &[NewPayment]) -> Result<Vec<Option<RequestRow>>, StoreError> {
    let mut found = Vec::with_capacity(batch.len());
    let mut spoilt = None;
    for new in batch {
        let mut held = store.writer().await?;
        let outcome = within(held.patience(), together(&mut held, std::slice::from_ref(new))).await;
        match held.settle(outcome) {
            Ok(earlier) => found.extend(earlier),
            Err(error) if is_about_an_element(&error) => {
                tracing::error!(payment = %new.payment.id, %error, "a new payment cannot be stored");
                spoilt = Some(error);
            }
            Err(error) => return Err(store_error(error)),
        }
    }
    spoilt.map_or(Ok(found), |error| Err(store_error(error)))
}

/// Stores the elements whose keys are free, the first of each key; for the others, returns the request that used it
/// before.
async fn insert_new(connection: &mut SqliteConnection, batch: &[NewPayment]) -> sqlx::Result<Vec<Option<RequestRow>>> {
    let keyed: HashSet<Uuid> = insert_requests(connection, batch).await?.into_iter().collect();
    let is_new = |new: &NewPayment| keyed.contains(&new.payment.id.uuid());
    let fresh: Vec<&NewPayment> = batch.iter().filter(|new| is_new(new)).collect();
    if !fresh.is_empty() {
        insert_payments(connection, fresh.iter().map(|new| new.payment.as_ref())).await?;
        insert_facts(connection, fresh.iter().map(|new| &new.row)).await?;
        insert_metadata(connection, &fresh).await?;
    }
    let mut found = Vec::with_capacity(batch.len());
    for new in batch {
        found.push(if is_new(new) { None } else { select_request(connection, &new.request.scope).await? });
    }
    Ok(found)
}

/// Returns the payments whose keys were free.
async fn insert_requests(connection: &mut SqliteConnection, batch: &[NewPayment]) -> sqlx::Result<Vec<Uuid>> {
    let requests = columns::requests(batch.iter().map(|new| &new.request))?;
    sqlx::query_scalar!(
        r#"insert into idempotency_keys (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
        select
            unhex(value ->> 'merchant_id'), value ->> 'route', value ->> 'key', unhex(value ->> 'fingerprint'),
            unhex(value ->> 'payment_id'), value ->> 'status', value ->> 'body', value ->> 'created_at_us'
        from jsonb_each(?)
        where true
        on conflict (merchant_id, route, key) do nothing
        returning payment_id as "payment_id!: Uuid""#,
        requests
    )
    .fetch_all(connection)
    .await
}

async fn insert_metadata(connection: &mut SqliteConnection, fresh: &[&NewPayment]) -> sqlx::Result<()> {
    let Some(entries) = columns::entries(fresh.iter().map(|new| new.payment.as_ref()))? else { return Ok(()) };
    sqlx::query!(
        "insert into payment_metadata (merchant_id, entry, payment_id)
        select unhex(value ->> 'merchant_id'), unhex(value ->> 'entry'), unhex(value ->> 'payment_id')
        from jsonb_each(?)",
        entries
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn insert_payments<'a>(
    connection: &mut SqliteConnection,
    payments: impl IntoIterator<Item = &'a Payment>,
) -> sqlx::Result<()> {
    let payments = columns::payments(payments)?;
    sqlx::query!(
        "insert into payments (
            id, merchant_id, psp, payment_method, amount_minor, currency, capture_method, return_url, description,
            metadata, definition_version, created_at_us, state, state_since_us, goal, seq, head_hash, fence,
            lease_until_us, next_wake_at_us, attempt, claims, operation, psp_reference, amount_authorized_minor,
            amount_to_capture_minor, amount_captured_minor, amount_refunded_minor, failure, next_action,
            updated_at_us, action_result, amount_charged_back_minor, key_activity, key_since_us, doubt, route,
            refunds, amount_refund_pending_minor, refund_of, refund_of_reference, refund_reason
        )
        select
            unhex(value ->> 'id'), unhex(value ->> 'merchant_id'), value ->> 'psp', value ->> 'payment_method',
            value ->> 'amount_minor', value ->> 'currency', value ->> 'capture_method', value ->> 'return_url',
            value ->> 'description', value ->> 'metadata', value ->> 'definition_version', value ->> 'created_at_us',
            value ->> 'state', value ->> 'state_since_us', value ->> 'goal', value ->> 'seq',
            unhex(value ->> 'head_hash'), value ->> 'fence', value ->> 'lease_until_us', value ->> 'next_wake_at_us',
            value ->> 'attempt', value ->> 'claims', value ->> 'operation', value ->> 'psp_reference',
            value ->> 'amount_authorized_minor', value ->> 'amount_to_capture_minor',
            value ->> 'amount_captured_minor', value ->> 'amount_refunded_minor', value ->> 'failure',
            value ->> 'next_action', value ->> 'updated_at_us', value ->> 'action_result',
            value ->> 'amount_charged_back_minor', value ->> 'key_activity', value ->> 'key_since_us',
            value ->> 'doubt', value ->> 'route', value ->> 'refunds', value ->> 'amount_refund_pending_minor',
            unhex(value ->> 'refund_of'), value ->> 'refund_of_reference', value ->> 'refund_reason'
        from jsonb_each(?)",
        payments
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn insert_request(connection: &mut SqliteConnection, record: &RequestRecord) -> sqlx::Result<()> {
    let merchant_id = record.scope.merchant_id.uuid();
    let fingerprint = &record.fingerprint.0[..];
    let payment_id = record.payment_id.map(PaymentId::uuid);
    let status = i64::from(record.status);
    let created_at_us = us(record.created_at);
    sqlx::query!(
        "insert into idempotency_keys (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
        values (?, ?, ?, ?, ?, ?, ?, ?)",
        merchant_id,
        record.scope.route,
        record.scope.key,
        fingerprint,
        payment_id,
        status,
        record.body,
        created_at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn drop_answers(store: &SqliteStore, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_bodies(&mut held, us(before), limit.into())).await;
    held.settle(outcome).map_err(store_error)
}

async fn update_bodies(connection: &mut SqliteConnection, before_us: i64, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update idempotency_keys set body = null where rowid in (
            select rowid from idempotency_keys where body is not null and created_at_us < ?
            order by created_at_us limit ?
        )",
        before_us,
        limit
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn request(store: &SqliteStore, scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_request(&mut held, scope)).await;
    held.settle(outcome).map_err(store_error)?.map(RequestRecord::try_from).transpose()
}

pub(crate) async fn select_request(
    connection: &mut SqliteConnection,
    scope: &RequestScope,
) -> sqlx::Result<Option<RequestRow>> {
    let merchant_id: Uuid = scope.merchant_id.uuid();
    sqlx::query_as!(
        RequestRow,
        r#"select merchant_id as "merchant_id: Uuid", route, key, fingerprint, payment_id as "payment_id: Uuid",
            status as "status: i32", body, created_at_us
        from idempotency_keys where merchant_id = ? and route = ? and key = ?"#,
        merchant_id,
        scope.route,
        scope.key
    )
    .fetch_optional(connection)
    .await
}
