//! The inbox of webhook events, as far as it is not written together with a payment (`update.rs`).
//!
//! Not here: matching events with payments.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::store::{StoreError, WebhookEvent};

use crate::PostgresStore;
use crate::columns::{Events, us};
use crate::error::store_error;
use crate::session::{Held, within};
use workflow::port::row::WebhookRow;

pub(crate) async fn keep(store: &PostgresStore, batch: &[WebhookEvent]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    // One statement cannot write one row twice, and the first of two equal events is the one that is kept.
    let mut seen = HashSet::with_capacity(batch.len());
    let events: Vec<&WebhookEvent> = batch.iter().filter(|event| seen.insert((&event.psp, &event.event_id))).collect();
    let events = Events::of(&events);
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_webhooks(&mut held, &events)).await;
    held.settle(outcome).map_err(store_error)
}

/// An event that waits for a payment is replaced when something became of it. Nothing else is.
async fn insert_webhooks(held: &mut Held, events: &Events<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into webhook_events (psp, event_id, event_type, body, received_at_us, payment_id, outcome)
        select * from unnest(
            $1::text[], $2::text[], $3::text[], $4::bytea[], $5::bigint[], $6::uuid[], $7::text[]
        )
        on conflict (psp, event_id) do update set payment_id = excluded.payment_id, outcome = excluded.outcome
        where webhook_events.outcome = 'unmatched' and excluded.outcome <> 'unmatched'",
        &events.psp as &[&str],
        &events.event_id as &[&str],
        &events.event_type as &[&str],
        &events.body as &[&[u8]],
        &events.received_at_us,
        &events.payment_id as &[Option<uuid::Uuid>],
        &events.outcome as &[&str]
    )
    .execute(held)
    .await?;
    Ok(())
}

pub(crate) async fn webhook(
    store: &PostgresStore,
    psp: &str,
    event_id: &str,
) -> Result<Option<WebhookEvent>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_webhook(&mut held, psp, event_id)).await;
    held.settle(outcome).map_err(store_error)?.map(WebhookEvent::try_from).transpose()
}

async fn select_webhook(held: &mut Held, psp: &str, event_id: &str) -> sqlx::Result<Option<WebhookRow>> {
    sqlx::query_as!(
        WebhookRow,
        "select psp, event_id, event_type, body, received_at_us, payment_id, outcome
        from webhook_events where psp = $1 and event_id = $2",
        psp,
        event_id
    )
    .fetch_optional(held)
    .await
}

pub(crate) async fn unmatched(
    store: &PostgresStore,
    received_after: Timestamp,
    limit: u32,
) -> Result<Vec<WebhookEvent>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_unmatched(&mut held, us(received_after), i64::from(limit))).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(WebhookEvent::try_from).collect()
}

async fn select_unmatched(held: &mut Held, received_after_us: i64, limit: i64) -> sqlx::Result<Vec<WebhookRow>> {
    sqlx::query_as!(
        WebhookRow,
        "select psp, event_id, event_type, body, received_at_us, payment_id, outcome
        from webhook_events where outcome = 'unmatched' and received_at_us > $1
        order by received_at_us limit $2",
        received_after_us,
        limit
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn by_psp_reference(
    store: &PostgresStore,
    psp: &str,
    psp_reference: &str,
) -> Result<Option<PaymentId>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_by_psp_reference(&mut held, psp, psp_reference)).await;
    Ok(held.settle(outcome).map_err(store_error)?.map(PaymentId::from_uuid))
}

async fn select_by_psp_reference(held: &mut Held, psp: &str, psp_reference: &str) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "select payment_id from psp_references where psp = $1 and psp_reference = $2",
        psp,
        psp_reference
    )
    .fetch_optional(held)
    .await
}
