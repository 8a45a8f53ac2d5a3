//! New payments with their first history row and the request they answer, and requests read again.
//!
//! Not here: comparing a repeated request with the first one; who asked does that.

use std::collections::HashMap;

use jiff::Timestamp;
use uuid::Uuid;
use workflow::payment::Payment;
use workflow::port::store::{NewPayment, RequestRecord, RequestScope, Started, StoreError};

use crate::PostgresStore;
use crate::columns::{Entries, Facts, Requests, Standing, Terms, column, us};
use crate::error::{is_about_an_element, store_error};
use crate::session::{Held, within};
use workflow::port::row::RequestRow;

pub(crate) async fn start(store: &PostgresStore, batch: &[NewPayment]) -> Result<Vec<Started>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    // In the order of their keys: two batches that meet wait for each other in one direction only. The sort is stable,
    // so of two elements with one key the first wins.
    let mut ordered: Vec<&NewPayment> = batch.iter().collect();
    ordered.sort_by(|a, b| key(a).cmp(&key(b)));
    let stored = match insert(store, &ordered).await? {
        Ok(stored) => stored,
        Err(error) if is_about_an_element(&error) && batch.len() > 1 => one_by_one(store, batch).await?,
        Err(error) => return Err(store_error(error)),
    };
    let repeated: Vec<&NewPayment> = batch.iter().filter(|new| !stored.contains(&new.payment.id.uuid())).collect();
    let mut earlier = earlier(store, &repeated).await?;
    batch
        .iter()
        .map(|new| {
            if stored.contains(&new.payment.id.uuid()) {
                return Ok(Started::Created);
            }
            let record = earlier.get_mut(&new.request.scope).cloned();
            record.map(|record| Started::Repeated(Box::new(record))).ok_or_else(|| {
                // Somebody stored the key before us and removed it since. The client's next try starts afresh.
                StoreError::Unavailable("an earlier request with this key has just been removed".into())
            })
        })
        .collect()
}

fn key(new: &NewPayment) -> (Uuid, &str, &str) {
    let scope = &new.request.scope;
    (scope.merchant_id.uuid(), &scope.route, &scope.key)
}

/// Stores each element by itself, because one of them spoils the statement for all. Those before the spoilt one stay
/// stored when the call then fails: their clients ask again with the same key and are answered from what is stored.
async fn one_by_one(store: &PostgresStore, batch: &[NewPayment]) -> Result<Vec<Uuid>, StoreError> {
    let mut stored = Vec::with_capacity(batch.len());
    let mut spoilt = None;
    for new in batch {
        match insert(store, &[new]).await? {
            Ok(ids) => stored.extend(ids),
            Err(error) if is_about_an_element(&error) => {
                tracing::error!(payment = %new.payment.id, %error, "a new payment cannot be stored");
                spoilt = Some(error);
            }
            Err(error) => return Err(store_error(error)),
        }
    }
    spoilt.map_or(Ok(stored), |error| Err(store_error(error)))
}

async fn insert(store: &PostgresStore, batch: &[&NewPayment]) -> Result<sqlx::Result<Vec<Uuid>>, StoreError> {
    let payments: Vec<&Payment> = batch.iter().map(|new| new.payment.as_ref()).collect();
    let (terms, standing) = (Terms::of(&payments)?, Standing::of(&payments)?);
    let facts = Facts::of(&column(batch, |new| &new.row));
    let requests = Requests::of(&column(batch, |new| &new.request));
    let entries = Entries::of(&payments);
    let mut held = store.writer().await?;
    let outcome =
        within(held.patience(), insert_payments(&mut held, &terms, &standing, &facts, &requests, &entries)).await;
    Ok(held.settle(outcome))
}

/// Returns the payments that were stored: those whose key was free. The rest of the statement joins with them.
async fn insert_payments(
    held: &mut Held,
    terms: &Terms<'_>,
    standing: &Standing<'_>,
    facts: &Facts<'_>,
    requests: &Requests<'_>,
    entries: &Entries,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_file_scalar!(
        "queries/insert_payments.sql",
        &requests.merchant_id,
        &requests.route as &[&str],
        &requests.key as &[&str],
        &requests.fingerprint as &[[u8; 32]],
        &requests.payment_id as &[Option<Uuid>],
        &requests.status,
        &requests.body as &[Option<&str>],
        &requests.created_at_us,
        &standing.id,
        &terms.merchant_id,
        &standing.psp as &[&str],
        &standing.payment_method as &[&str],
        &terms.amount_minor,
        &terms.currency,
        &terms.capture_method as &[&str],
        &terms.return_url as &[Option<&str>],
        &terms.description as &[Option<&str>],
        &terms.metadata,
        &terms.definition_version,
        &terms.created_at_us,
        &standing.state as &[&str],
        &standing.state_since_us,
        &standing.goal as &[&str],
        &standing.seq,
        &standing.head_hash as &[[u8; 32]],
        &standing.fence,
        &standing.lease_until_us as &[Option<i64>],
        &standing.next_wake_at_us as &[Option<i64>],
        &standing.attempt,
        &standing.claims,
        &standing.operation,
        &standing.psp_reference as &[Option<&str>],
        &standing.amount_authorized_minor,
        &standing.amount_to_capture_minor as &[Option<i64>],
        &standing.amount_captured_minor,
        &standing.amount_refunded_minor,
        &standing.failure as &[Option<String>],
        &standing.next_action as &[Option<String>],
        &standing.updated_at_us,
        &standing.action_result as &[Option<&str>],
        &standing.amount_charged_back_minor,
        &standing.key_activity as &[Option<&str>],
        &standing.key_since_us as &[Option<i64>],
        &standing.doubt as &[Option<&str>],
        &standing.route as &[Option<String>],
        &facts.payment_id,
        &facts.seq,
        &facts.at_us,
        &facts.event as &[&str],
        &facts.actor as &[&str],
        &facts.from_state as &[Option<&str>],
        &facts.to_state as &[&str],
        &facts.attempt,
        &facts.verdict as &[&str],
        &facts.data,
        &facts.payload_hash as &[Option<[u8; 32]>],
        &facts.hash as &[[u8; 32]],
        &standing.refunds as &[Option<String>],
        &entries.merchant_id,
        &entries.entry,
        &entries.payment_id
    )
    .fetch_all(held)
    .await
}

/// The requests that were there before. A statement of its own, on the writers' connections: who stored a key while we
/// waited for it is invisible to the statement that waited.
async fn earlier(
    store: &PostgresStore,
    repeated: &[&NewPayment],
) -> Result<HashMap<RequestScope, RequestRecord>, StoreError> {
    if repeated.is_empty() {
        return Ok(HashMap::new());
    }
    let requests = Requests::of(&column(repeated, |new| &new.request));
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), select_requests(&mut held, &requests)).await;
    let rows = held.settle(outcome).map_err(store_error)?;
    rows.into_iter().map(|row| RequestRecord::try_from(row).map(|record| (record.scope.clone(), record))).collect()
}

async fn select_requests(held: &mut Held, requests: &Requests<'_>) -> sqlx::Result<Vec<RequestRow>> {
    sqlx::query_as!(
        RequestRow,
        "select earlier.*
        from unnest($1::uuid[], $2::text[], $3::text[]) as asked (merchant_id, route, key)
        cross join lateral (
            select merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us
            from idempotency_keys
            where merchant_id = asked.merchant_id and route = asked.route and key = asked.key
            limit 1
        ) as earlier",
        &requests.merchant_id,
        &requests.route as &[&str],
        &requests.key as &[&str]
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn drop_answers(store: &PostgresStore, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_bodies(&mut held, us(before), limit.into())).await;
    held.settle(outcome).map_err(store_error)
}

/// By their places in the table, so that no plan looks for them a second time. What another sweeper has in hand is left
/// to it.
async fn update_bodies(held: &mut Held, before_us: i64, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update idempotency_keys set body = null where ctid = any (array(
            select ctid from idempotency_keys where body is not null and created_at_us < $1
            order by created_at_us limit $2 for update skip locked
        ))",
        before_us,
        limit
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn request(store: &PostgresStore, scope: &RequestScope) -> Result<Option<RequestRecord>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_request(&mut held, scope)).await;
    held.settle(outcome).map_err(store_error)?.map(RequestRecord::try_from).transpose()
}

async fn select_request(held: &mut Held, scope: &RequestScope) -> sqlx::Result<Option<RequestRow>> {
    sqlx::query_as!(
        RequestRow,
        "select merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us
        from idempotency_keys where merchant_id = $1 and route = $2 and key = $3",
        scope.merchant_id.uuid(),
        scope.route,
        scope.key
    )
    .fetch_optional(held)
    .await
}
