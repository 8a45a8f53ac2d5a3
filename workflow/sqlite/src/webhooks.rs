//! The inbox of webhook events, as far as it is not written together with a payment (`update.rs`).
//!
//! Not here: matching events with payments.

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::store::{StoreError, WebhookEvent};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use workflow::port::row::WebhookRow;

pub(crate) async fn keep(store: &SqliteStore, batch: &[WebhookEvent]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_webhooks(&mut held, batch)).await;
    held.settle(outcome).map_err(store_error)
}

async fn insert_webhooks(connection: &mut SqliteConnection, events: &[WebhookEvent]) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    for event in events {
        insert_webhook(&mut tx, event).await?;
    }
    tx.commit().await
}

/// An event that waits for a payment is replaced when something became of it. Nothing else is.
async fn insert_webhook(connection: &mut SqliteConnection, event: &WebhookEvent) -> sqlx::Result<()> {
    let received_at_us = us(event.received_at);
    let payment_id = event.payment_id.map(PaymentId::uuid);
    let outcome: &str = event.outcome.into();
    sqlx::query!(
        "insert into webhook_events (psp, event_id, event_type, body, received_at_us, payment_id, outcome)
        values (?, ?, ?, ?, ?, ?, ?)
        on conflict (psp, event_id) do update set payment_id = excluded.payment_id, outcome = excluded.outcome
        where webhook_events.outcome = 'unmatched' and excluded.outcome <> 'unmatched'",
        event.psp,
        event.event_id,
        event.event_type,
        event.body,
        received_at_us,
        payment_id,
        outcome
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the event that moves a payment, in place of its row that waited. Who calls this has looked that the event was
/// not handled before.
pub(crate) async fn replace_webhook(connection: &mut SqliteConnection, event: &WebhookEvent) -> sqlx::Result<()> {
    let received_at_us = us(event.received_at);
    let payment_id = event.payment_id.map(PaymentId::uuid);
    let outcome: &str = event.outcome.into();
    sqlx::query!(
        "insert into webhook_events (psp, event_id, event_type, body, received_at_us, payment_id, outcome)
        values (?, ?, ?, ?, ?, ?, ?)
        on conflict (psp, event_id) do update set
            event_type = excluded.event_type,
            body = excluded.body,
            received_at_us = excluded.received_at_us,
            payment_id = excluded.payment_id,
            outcome = excluded.outcome",
        event.psp,
        event.event_id,
        event.event_type,
        event.body,
        received_at_us,
        payment_id,
        outcome
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the event is in the inbox and waits no longer.
pub(crate) async fn webhook_is_handled(connection: &mut SqliteConnection, event: &WebhookEvent) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
            select 1 from webhook_events where psp = ? and event_id = ? and outcome <> 'unmatched'
        ) as "handled!: bool""#,
        event.psp,
        event.event_id
    )
    .fetch_one(connection)
    .await
}

pub(crate) async fn webhook(
    store: &SqliteStore,
    psp: &str,
    event_id: &str,
) -> Result<Option<WebhookEvent>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_webhook(&mut held, psp, event_id)).await;
    held.settle(outcome).map_err(store_error)?.map(WebhookEvent::try_from).transpose()
}

async fn select_webhook(
    connection: &mut SqliteConnection,
    psp: &str,
    event_id: &str,
) -> sqlx::Result<Option<WebhookRow>> {
    sqlx::query_as!(
        WebhookRow,
        r#"select psp, event_id, event_type, body, received_at_us, payment_id as "payment_id: Uuid", outcome
        from webhook_events where psp = ? and event_id = ?"#,
        psp,
        event_id
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn unmatched(
    store: &SqliteStore,
    received_after: Timestamp,
    limit: u32,
) -> Result<Vec<WebhookEvent>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_unmatched(&mut held, us(received_after), i64::from(limit))).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(WebhookEvent::try_from).collect()
}

async fn select_unmatched(
    connection: &mut SqliteConnection,
    received_after_us: i64,
    limit: i64,
) -> sqlx::Result<Vec<WebhookRow>> {
    sqlx::query_as!(
        WebhookRow,
        r#"select psp, event_id, event_type, body, received_at_us, payment_id as "payment_id: Uuid", outcome
        from webhook_events where outcome = 'unmatched' and received_at_us > ?
        order by received_at_us limit ?"#,
        received_after_us,
        limit
    )
    .fetch_all(connection)
    .await
}

/// Keeps the PSPs' names for payments, where they are new.
pub(crate) async fn insert_psp_references(connection: &mut SqliteConnection, names: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into psp_references (psp, psp_reference, payment_id)
        select value ->> 'psp', value ->> 'psp_reference', unhex(value ->> 'payment_id')
        from jsonb_each(?)
        where true
        on conflict do nothing",
        names
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn by_psp_reference(
    store: &SqliteStore,
    psp: &str,
    psp_reference: &str,
) -> Result<Option<PaymentId>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_by_psp_reference(&mut held, psp, psp_reference)).await;
    Ok(held.settle(outcome).map_err(store_error)?.map(PaymentId::from_uuid))
}

async fn select_by_psp_reference(
    connection: &mut SqliteConnection,
    psp: &str,
    psp_reference: &str,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        r#"select payment_id as "payment_id: Uuid" from psp_references where psp = ? and psp_reference = ?"#,
        psp,
        psp_reference
    )
    .fetch_optional(connection)
    .await
}
