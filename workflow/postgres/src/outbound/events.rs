//! Events that are asked for, and what is known of them and their deliveries.

use jiff::Timestamp;
use uuid::Uuid;
use workflow::ids::{EndpointId, EventId, MerchantId, PaymentId};
use workflow::port::outbound::{AttemptRow, DeliveryPage, DeliveryRow, DirectEvent, Resend};
use workflow::port::row::outbound::{AttemptColumns, DeliveryColumns};
use workflow::port::store::{StoreError, Updated};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::{is_lost_race, store_error};
use crate::session::{Held, within};

/// What a statement that changes one thing came to, by how many it changed.
pub(super) fn applied(changed: sqlx::Result<u64>) -> Result<Updated, StoreError> {
    match changed {
        Ok(0) => Ok(Updated::Conflict),
        Ok(_) => Ok(Updated::Applied),
        Err(error) if is_lost_race(&error) => Ok(Updated::Conflict),
        Err(error) => Err(store_error(error)),
    }
}

pub(crate) async fn send_directly(store: &PostgresStore, direct: &DirectEvent) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_direct(&mut held, direct)).await;
    applied(held.settle(outcome))
}

async fn insert_direct(held: &mut Held, direct: &DirectEvent) -> sqlx::Result<u64> {
    let DirectEvent { notification, endpoint_id, request } = direct;
    let event_type: &str = notification.event_type.into();
    let done = sqlx::query!(
        "with answered as (
            insert into idempotency_keys
                (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
            values ($3, $9, $10, $11, $12, $13, $14, $15)
            on conflict do nothing
            returning merchant_id
        ), announced as (
            insert into outbound_events (id, merchant_id, payment_id, sequence, type, created_at_us, payload)
            select $1::uuid, $3, $4::uuid, $5::bigint, $6::text, $7::bigint, $8::text from answered
        )
        insert into outbound_deliveries (
            event_id, endpoint_id, state, attempts, tries, since_us, next_attempt_at_us
        )
        select $1, $2::uuid, 'pending', 0, 0, $7, $7 from answered",
        notification.id.uuid(),
        endpoint_id.uuid(),
        notification.merchant_id.uuid(),
        notification.payment_id.map(PaymentId::uuid),
        notification.sequence,
        event_type,
        us(notification.at),
        notification.payload,
        request.scope.route,
        request.scope.key,
        &request.fingerprint.0[..],
        request.payment_id.map(PaymentId::uuid),
        i32::from(request.status),
        request.body,
        us(request.created_at)
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn resend(store: &PostgresStore, resend: &Resend) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_for_resend(&mut held, resend)).await;
    applied(held.settle(outcome))
}

/// One that is under way is sent beside it: receivers know it by its id.
async fn update_for_resend(held: &mut Held, resend: &Resend) -> sqlx::Result<u64> {
    let request = &resend.request;
    let done = sqlx::query!(
        "with asked as (
            update outbound_deliveries set
                state = 'pending', tries = 0, since_us = $3, next_attempt_at_us = $3
            where event_id = $1 and endpoint_id = $2
                and not exists (
                    select from idempotency_keys where merchant_id = $4 and route = $5 and key = $6
                )
            returning event_id
        )
        insert into idempotency_keys (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
        select $4, $5, $6, $7::bytea, $8::uuid, $9::integer, $10::text, $11::bigint from asked",
        resend.event_id.uuid(),
        resend.endpoint_id.uuid(),
        us(resend.now),
        request.scope.merchant_id.uuid(),
        request.scope.route,
        request.scope.key,
        &request.fingerprint.0[..],
        request.payment_id.map(PaymentId::uuid),
        i32::from(request.status),
        request.body,
        us(request.created_at)
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn event(
    store: &PostgresStore,
    merchant_id: MerchantId,
    id: EventId,
) -> Result<Option<String>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_event(&mut held, merchant_id, id)).await;
    held.settle(outcome).map_err(store_error)
}

async fn select_event(held: &mut Held, merchant_id: MerchantId, id: EventId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select payload from outbound_events where id = $1 and merchant_id = $2",
        id.uuid(),
        merchant_id.uuid()
    )
    .fetch_optional(held)
    .await
}

/// Selects deliveries with their events' types and their last attempts; the list of columns is written once.
macro_rules! select_deliveries {
    ($which:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            DeliveryColumns,
            r#"select delivery.event_id, delivery.endpoint_id, event.type as event_type, delivery.state,
                delivery.attempts, delivery.next_attempt_at_us, event.created_at_us,
                last.attempt as "attempt?", last.at_us as "at_us?", last.duration_ms as "duration_ms?",
                last.status, last.response, last.error
            from outbound_deliveries as delivery
            join outbound_events as event on event.id = delivery.event_id
            left join lateral (
                select attempt, at_us, duration_ms, status, response, error from outbound_attempts
                where event_id = delivery.event_id and endpoint_id = delivery.endpoint_id
                order by attempt desc limit 1
            ) as last on true "# + $which,
            $($parameter),+
        )
    };
}

pub(crate) async fn deliveries(store: &PostgresStore, page: DeliveryPage) -> Result<Vec<DeliveryRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_deliveries(&mut held, page)).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(DeliveryRow::try_from).collect()
}

async fn select_deliveries(held: &mut Held, page: DeliveryPage) -> sqlx::Result<Vec<DeliveryColumns>> {
    let state: Option<&str> = page.state.map(Into::into);
    select_deliveries!(
        "where delivery.endpoint_id = $1 and delivery.event_id < $2 and ($3::text is null or delivery.state = $3)
        order by delivery.event_id desc limit $4",
        page.endpoint_id.uuid(),
        page.after.map_or(Uuid::max(), EventId::uuid),
        state,
        i64::from(page.limit)
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn delivery(
    store: &PostgresStore,
    endpoint_id: EndpointId,
    event_id: EventId,
) -> Result<Option<DeliveryRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_delivery(&mut held, endpoint_id, event_id)).await;
    held.settle(outcome).map_err(store_error)?.map(DeliveryRow::try_from).transpose()
}

async fn select_delivery(
    held: &mut Held,
    endpoint_id: EndpointId,
    event_id: EventId,
) -> sqlx::Result<Option<DeliveryColumns>> {
    select_deliveries!(
        "where delivery.event_id = $1 and delivery.endpoint_id = $2",
        event_id.uuid(),
        endpoint_id.uuid()
    )
    .fetch_optional(held)
    .await
}

pub(crate) async fn attempts(
    store: &PostgresStore,
    endpoint_id: EndpointId,
    event_id: EventId,
    limit: u32,
) -> Result<Vec<AttemptRow>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_attempts(&mut held, endpoint_id, event_id, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(AttemptRow::try_from).collect()
}

async fn select_attempts(
    held: &mut Held,
    endpoint_id: EndpointId,
    event_id: EventId,
    limit: i64,
) -> sqlx::Result<Vec<AttemptColumns>> {
    sqlx::query_as!(
        AttemptColumns,
        "select event_id, attempt, at_us, duration_ms, status, response, error from outbound_attempts
        where event_id = $1 and endpoint_id = $2 order by attempt desc limit $3",
        event_id.uuid(),
        endpoint_id.uuid(),
        limit
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn prune_events(store: &PostgresStore, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), delete_events(&mut held, before, limit.into())).await;
    held.settle(outcome).map_err(store_error)
}

/// Ids sort by time: those below the first one of that instant are older.
async fn delete_events(held: &mut Held, before: Timestamp, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "with old as materialized (
            select id from outbound_events where id < $1 order by id limit $2
        ), attempts as (
            delete from outbound_attempts using old where event_id = old.id
        ), deliveries as (
            delete from outbound_deliveries using old where event_id = old.id
        )
        delete from outbound_events as event using old where event.id = old.id",
        EventId::first_of(before).uuid(),
        limit
    )
    .execute(held)
    .await?;
    Ok(done.rows_affected())
}
