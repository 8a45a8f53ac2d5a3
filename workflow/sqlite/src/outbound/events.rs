//! Events that are asked for, and what is known of them and their deliveries.

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::{EndpointId, EventId, MerchantId, PaymentId};
use workflow::notification::Notification;
use workflow::port::outbound::{AttemptRow, DeliveryPage, DeliveryRow, DirectEvent, Resend};
use workflow::port::row::outbound::{AttemptColumns, DeliveryColumns};
use workflow::port::store::{StoreError, Updated};

use crate::SqliteStore;
use crate::columns::{self, us};
use crate::connect::within;
use crate::error::store_error;
use crate::start::{insert_request, select_request};

/// Writes each event that any endpoint of its merchant wants to hear of, and its way to each of those.
pub(crate) async fn announce(connection: &mut SqliteConnection, notifications: &[&Notification]) -> sqlx::Result<()> {
    if notifications.is_empty() {
        return Ok(());
    }
    let listening = select_listening(connection, notifications).await?;
    for notification in notifications {
        let endpoints = listening.iter().filter(|wanted| wanted.event_id == notification.id.uuid());
        for (number, wanted) in endpoints.enumerate() {
            if number == 0 {
                insert_event(connection, notification).await?;
            }
            insert_delivery(connection, notification, wanted.endpoint_id).await?;
        }
    }
    Ok(())
}

/// An event, and an endpoint that wants to hear of it.
struct Wanted {
    event_id: Uuid,
    endpoint_id: Uuid,
}

async fn select_listening(
    connection: &mut SqliteConnection,
    notifications: &[&Notification],
) -> sqlx::Result<Vec<Wanted>> {
    let audiences = columns::audiences(notifications)?;
    sqlx::query_as!(
        Wanted,
        r#"select unhex(told.value ->> 'event_id') as "event_id!: Uuid", listener.id as "endpoint_id!: Uuid"
        from jsonb_each(?) as told
        join webhook_endpoints as listener on listener.merchant_id = unhex(told.value ->> 'merchant_id')
        where listener.disabled_at_us is null and (
            listener.events is null
            or exists (select 1 from json_each(listener.events) as chosen where chosen.value = told.value ->> 'event_type')
        )"#,
        audiences
    )
    .fetch_all(connection)
    .await
}

async fn insert_event(connection: &mut SqliteConnection, notification: &Notification) -> sqlx::Result<()> {
    let (id, merchant_id) = (notification.id.uuid(), notification.merchant_id.uuid());
    let payment_id = notification.payment_id.map(PaymentId::uuid);
    let event_type: &str = notification.event_type.into();
    let created_at_us = us(notification.at);
    sqlx::query!(
        "insert into outbound_events (id, merchant_id, payment_id, sequence, type, created_at_us, payload)
        values (?, ?, ?, ?, ?, ?, ?)",
        id,
        merchant_id,
        payment_id,
        notification.sequence,
        event_type,
        created_at_us,
        notification.payload
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_delivery(
    connection: &mut SqliteConnection,
    notification: &Notification,
    endpoint_id: Uuid,
) -> sqlx::Result<()> {
    let event_id = notification.id.uuid();
    let at_us = us(notification.at);
    sqlx::query!(
        "insert into outbound_deliveries (
            event_id, endpoint_id, state, attempts, tries, since_us, next_attempt_at_us
        ) values (?, ?, 'pending', 0, 0, ?, ?)",
        event_id,
        endpoint_id,
        at_us,
        at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn send_directly(store: &SqliteStore, direct: &DirectEvent) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_direct(&mut held, direct)).await;
    held.settle(outcome).map_err(store_error)
}

async fn insert_direct(connection: &mut SqliteConnection, direct: &DirectEvent) -> sqlx::Result<Updated> {
    let mut tx = connection.begin_with("begin immediate").await?;
    if select_request(&mut tx, &direct.request.scope).await?.is_some() {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    insert_event(&mut tx, &direct.notification).await?;
    insert_delivery(&mut tx, &direct.notification, direct.endpoint_id.uuid()).await?;
    insert_request(&mut tx, &direct.request).await?;
    tx.commit().await?;
    Ok(Updated::Applied)
}

pub(crate) async fn resend(store: &SqliteStore, resend: &Resend) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), resend_together(&mut held, resend)).await;
    held.settle(outcome).map_err(store_error)
}

async fn resend_together(connection: &mut SqliteConnection, resend: &Resend) -> sqlx::Result<Updated> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let is_repeated = select_request(&mut tx, &resend.request.scope).await?.is_some();
    if is_repeated || update_for_resend(&mut tx, resend).await? == 0 {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    insert_request(&mut tx, &resend.request).await?;
    tx.commit().await?;
    Ok(Updated::Applied)
}

/// One that is under way is sent beside it: receivers know it by its id.
async fn update_for_resend(connection: &mut SqliteConnection, resend: &Resend) -> sqlx::Result<u64> {
    let (event_id, endpoint_id, now_us) = (resend.event_id.uuid(), resend.endpoint_id.uuid(), us(resend.now));
    let done = sqlx::query!(
        "update outbound_deliveries set state = 'pending', tries = 0, since_us = ?3, next_attempt_at_us = ?3
        where event_id = ?1 and endpoint_id = ?2",
        event_id,
        endpoint_id,
        now_us
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn event(
    store: &SqliteStore,
    merchant_id: MerchantId,
    id: EventId,
) -> Result<Option<String>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_event(&mut held, merchant_id, id)).await;
    held.settle(outcome).map_err(store_error)
}

async fn select_event(
    connection: &mut SqliteConnection,
    merchant_id: MerchantId,
    id: EventId,
) -> sqlx::Result<Option<String>> {
    let (id, merchant_id) = (id.uuid(), merchant_id.uuid());
    sqlx::query_scalar!("select payload from outbound_events where id = ? and merchant_id = ?", id, merchant_id)
        .fetch_optional(connection)
        .await
}

/// Selects deliveries with their events' types and their last attempts; the list of columns is written once.
macro_rules! select_deliveries {
    ($which:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            DeliveryColumns,
            r#"select delivery.event_id as "event_id!: Uuid", delivery.endpoint_id as "endpoint_id!: Uuid",
                event.type as "event_type!", delivery.state as "state!", delivery.attempts as "attempts!: i32",
                delivery.next_attempt_at_us, event.created_at_us as "created_at_us!",
                last.attempt as "attempt?: i32", last.at_us as "at_us?", last.duration_ms as "duration_ms?",
                last.status as "status?: i32", last.response as "response?", last.error as "error?"
            from outbound_deliveries as delivery
            cross join outbound_events as event on event.id = delivery.event_id
            left join outbound_attempts as last
                on last.event_id = delivery.event_id and last.endpoint_id = delivery.endpoint_id
                and last.attempt = (
                    select max(attempt) from outbound_attempts
                    where event_id = delivery.event_id and endpoint_id = delivery.endpoint_id
                ) "# + $which,
            $($parameter),+
        )
    };
}

pub(crate) async fn deliveries(store: &SqliteStore, page: DeliveryPage) -> Result<Vec<DeliveryRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_deliveries(&mut held, page)).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(DeliveryRow::try_from).collect()
}

async fn select_deliveries(
    connection: &mut SqliteConnection,
    page: DeliveryPage,
) -> sqlx::Result<Vec<DeliveryColumns>> {
    let endpoint_id = page.endpoint_id.uuid();
    let after = page.after.map_or(Uuid::max(), EventId::uuid);
    let state: Option<&str> = page.state.map(Into::into);
    let limit = i64::from(page.limit);
    select_deliveries!(
        "where delivery.endpoint_id = ?1 and delivery.event_id < ?2 and (?3 is null or delivery.state = ?3)
        order by delivery.event_id desc limit ?4",
        endpoint_id,
        after,
        state,
        limit
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn delivery(
    store: &SqliteStore,
    endpoint_id: EndpointId,
    event_id: EventId,
) -> Result<Option<DeliveryRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_delivery(&mut held, endpoint_id, event_id)).await;
    held.settle(outcome).map_err(store_error)?.map(DeliveryRow::try_from).transpose()
}

async fn select_delivery(
    connection: &mut SqliteConnection,
    endpoint_id: EndpointId,
    event_id: EventId,
) -> sqlx::Result<Option<DeliveryColumns>> {
    let (event_id, endpoint_id) = (event_id.uuid(), endpoint_id.uuid());
    select_deliveries!("where delivery.event_id = ? and delivery.endpoint_id = ?", event_id, endpoint_id)
        .fetch_optional(connection)
        .await
}

pub(crate) async fn attempts(
    store: &SqliteStore,
    endpoint_id: EndpointId,
    event_id: EventId,
    limit: u32,
) -> Result<Vec<AttemptRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_attempts(&mut held, endpoint_id, event_id, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(AttemptRow::try_from).collect()
}

async fn select_attempts(
    connection: &mut SqliteConnection,
    endpoint_id: EndpointId,
    event_id: EventId,
    limit: i64,
) -> sqlx::Result<Vec<AttemptColumns>> {
    let (event_id, endpoint_id) = (event_id.uuid(), endpoint_id.uuid());
    sqlx::query_as!(
        AttemptColumns,
        r#"select event_id as "event_id: Uuid", attempt as "attempt: i32", at_us, duration_ms,
            status as "status: i32", response, error
        from outbound_attempts where event_id = ? and endpoint_id = ? order by attempt desc limit ?"#,
        event_id,
        endpoint_id,
        limit
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn prune_events(store: &SqliteStore, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), delete_events(&mut held, before, limit.into())).await;
    held.settle(outcome).map_err(store_error)
}

/// Ids sort by time: those below the first one of that instant are older.
async fn delete_events(connection: &mut SqliteConnection, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let before = EventId::first_of(before).uuid();
    let mut tx = connection.begin_with("begin immediate").await?;
    let old = sqlx::query_scalar!(
        r#"select id as "id: Uuid" from outbound_events where id < ? order by id limit ?"#,
        before,
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    for id in &old {
        sqlx::query!("delete from outbound_attempts where event_id = ?", id).execute(&mut *tx).await?;
        sqlx::query!("delete from outbound_deliveries where event_id = ?", id).execute(&mut *tx).await?;
        sqlx::query!("delete from outbound_events where id = ?", id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(old.len() as u64)
}
