//! New payments with their first history row and the request they answer, and requests read again.
//!
//! Not here: comparing a repeated request with the first one; who asked does that.

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::{NewPayment, RequestRecord, RequestScope, Started, StoreError, metadata_entry};

use crate::SqliteStore;
use crate::columns::{json, us};
use crate::connect::within;
use crate::error::{is_about_an_element, store_error};
use crate::update::insert_fact;
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
    let mut found = Vec::with_capacity(batch.len());
    for new in batch {
        match insert_new(&mut tx, new).await {
            Ok(earlier) => found.push(earlier),
            Err(error) => {
                // On a full disk SQLite has rolled back by itself; the first error is the one that tells.
                let _ = tx.rollback().await;
                return Err(error);
            }
        }
    }
    tx.commit().await?;
    Ok(found)
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

/// Stores one element, or returns the request that used its key before.
async fn insert_new(connection: &mut SqliteConnection, new: &NewPayment) -> sqlx::Result<Option<RequestRow>> {
    if let Some(earlier) = select_request(connection, &new.request.scope).await? {
        return Ok(Some(earlier));
    }
    insert_request(connection, &new.request).await?;
    insert_payment(connection, &new.payment).await?;
    insert_fact(connection, &new.row).await?;
    insert_metadata(connection, &new.payment).await?;
    Ok(None)
}

async fn insert_metadata(connection: &mut SqliteConnection, payment: &Payment) -> sqlx::Result<()> {
    let (merchant_id, payment_id) = (payment.merchant_id.uuid(), payment.id.uuid());
    for (key, value) in &payment.metadata {
        let entry = metadata_entry(key, value);
        sqlx::query!(
            "insert into payment_metadata (merchant_id, entry, payment_id) values (?, ?, ?)",
            merchant_id,
            entry,
            payment_id
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "one statement, with one line a parameter")]
pub(crate) async fn insert_payment(connection: &mut SqliteConnection, payment: &Payment) -> sqlx::Result<()> {
    let id = payment.id.uuid();
    let merchant_id = payment.merchant_id.uuid();
    let currency = payment.currency.to_string();
    let capture_method: &str = payment.capture_method.into();
    let metadata = json(&payment.metadata)?;
    let created_at_us = us(payment.created_at);
    let state: &str = payment.state.into();
    let state_since_us = us(payment.state_since);
    let goal: &str = payment.goal.into();
    let head_hash = &payment.head_hash.0[..];
    let lease_until_us = payment.lease_until.map(us);
    let next_wake_at_us = payment.next_wake_at.map(us);
    let failure = payment.failure.as_ref().map(json).transpose()?;
    let next_action = payment.next_action.as_ref().map(json).transpose()?;
    let updated_at_us = us(payment.updated_at);
    let key_activity: Option<&str> = payment.key_use.map(|used| used.activity.into());
    let key_since_us = payment.key_use.map(|used| us(used.since));
    let doubt: Option<&str> = payment.doubt.map(Into::into);
    let route = (!payment.route.is_empty()).then(|| json(&payment.route)).transpose()?;
    let refunds = (!payment.refunds.is_empty()).then(|| json(&payment.refunds)).transpose()?;
    let refund_of = payment.refund_of.as_ref().map(|of| of.charge.uuid());
    let refund_of_reference = payment.refund_of.as_ref().map(|of| &of.psp_reference);
    let refund_reason: Option<&str> = payment.refund_of.as_ref().and_then(|of| of.reason).map(Into::into);
    sqlx::query!(
        "insert into payments (
            id, merchant_id, psp, payment_method, amount_minor, currency, capture_method, return_url, description,
            metadata, definition_version, created_at_us, state, state_since_us, goal, seq, head_hash, fence,
            lease_until_us, next_wake_at_us, attempt, claims, operation, psp_reference, amount_authorized_minor,
            amount_to_capture_minor, amount_captured_minor, amount_refunded_minor, failure, next_action,
            updated_at_us, action_result, amount_charged_back_minor, key_activity, key_since_us, doubt, route,
            refunds, amount_refund_pending_minor, refund_of, refund_of_reference, refund_reason
        ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        merchant_id,
        payment.psp,
        payment.payment_method,
        payment.amount_minor,
        currency,
        capture_method,
        payment.return_url,
        payment.description,
        metadata,
        payment.definition_version,
        created_at_us,
        state,
        state_since_us,
        goal,
        payment.seq,
        head_hash,
        payment.fence,
        lease_until_us,
        next_wake_at_us,
        payment.attempt,
        payment.claims,
        payment.operation,
        payment.psp_reference,
        payment.amount_authorized_minor,
        payment.amount_to_capture_minor,
        payment.amount_captured_minor,
        payment.amount_refunded_minor,
        failure,
        next_action,
        updated_at_us,
        payment.action_result,
        payment.amount_charged_back_minor,
        key_activity,
        key_since_us,
        doubt,
        route,
        refunds,
        payment.amount_refund_pending_minor,
        refund_of,
        refund_of_reference,
        refund_reason
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
