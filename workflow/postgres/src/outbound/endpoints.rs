//! Where merchants want to be told of events.

use workflow::ids::{EndpointId, MerchantId, PaymentId};
use workflow::port::outbound::{Endpoint, EndpointWrite, MAX_ENDPOINTS};
use workflow::port::row::outbound::{EndpointColumns, events_column};
use workflow::port::store::{StoreError, Updated};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};

/// Endpoints that are read at a time: two requests at once may each add the last one that is allowed.
const READ_LIMIT: i64 = 2 * MAX_ENDPOINTS as i64;

/// Selects endpoints with all their columns; the list of columns is written once.
macro_rules! select_endpoints {
    ($which:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            EndpointColumns,
            "select id, merchant_id, url, description, events, secret, former_secret, former_secret_expires_at_us,
                disabled_at_us, disabled_reason, failing_since_us, created_at_us, updated_at_us, version
            from webhook_endpoints " + $which,
            $($parameter),+
        )
    };
}

pub(crate) async fn write_endpoint(store: &PostgresStore, write: &EndpointWrite) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = match write.expected_version {
        None => within(held.patience(), insert_endpoint(&mut held, write)).await,
        Some(version) => within(held.patience(), update_endpoint(&mut held, write, version)).await,
    };
    super::events::applied(held.settle(outcome))
}

/// Returns how many were stored: one, or none when the request's key is taken.
async fn insert_endpoint(held: &mut Held, write: &EndpointWrite) -> sqlx::Result<u64> {
    let EndpointWrite { endpoint, request, .. } = write;
    let former = endpoint.former_secret.as_ref();
    let disabled_reason: Option<&str> = endpoint.disabled.map(|disabled| disabled.reason.into());
    let done = sqlx::query!(
        "with answered as (
            insert into idempotency_keys
                (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
            values ($2, $15, $16, $17, $18, $19, $20, $21)
            on conflict do nothing
            returning merchant_id
        )
        insert into webhook_endpoints (
            id, merchant_id, url, description, events, secret, former_secret, former_secret_expires_at_us,
            disabled_at_us, disabled_reason, failing_since_us, created_at_us, updated_at_us, version
        )
        select $1::uuid, $2, $3::text, $4::text, $5::text, $6::text, $7::text, $8::bigint, $9::bigint, $10::text,
            $11::bigint, $12::bigint, $13::bigint, $14::bigint
        from answered",
        endpoint.id.uuid(),
        endpoint.merchant_id.uuid(),
        endpoint.url,
        endpoint.description.as_deref(),
        events_column(&endpoint.events),
        endpoint.secret.expose(),
        former.map(|former| former.secret.expose()),
        former.map(|former| us(former.expires_at)),
        endpoint.disabled.map(|disabled| us(disabled.at)),
        disabled_reason,
        endpoint.failing_since.map(us),
        us(endpoint.created_at),
        us(endpoint.updated_at),
        endpoint.version,
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

/// Returns how many were changed: one, or none when it has changed since or the request's key is taken. Whether it fails
/// is the deliverers' to say; a change by its merchant only forgets it.
async fn update_endpoint(held: &mut Held, write: &EndpointWrite, version: i64) -> sqlx::Result<u64> {
    let EndpointWrite { endpoint, request, .. } = write;
    let former = endpoint.former_secret.as_ref();
    let disabled_reason: Option<&str> = endpoint.disabled.map(|disabled| disabled.reason.into());
    let done = sqlx::query!(
        "with changed as (
            update webhook_endpoints set
                url = $4, description = $5, events = $6, secret = $7, former_secret = $8,
                former_secret_expires_at_us = $9, disabled_at_us = $10, disabled_reason = $11,
                failing_since_us = $12, rests_until_us = null, updated_at_us = $13, version = $14
            where id = $1 and merchant_id = $2 and version = $3
                and not exists (
                    select from idempotency_keys where merchant_id = $2 and route = $15 and key = $16
                )
            returning id
        )
        insert into idempotency_keys (merchant_id, route, key, fingerprint, payment_id, status, body, created_at_us)
        select $2, $15, $16, $17::bytea, $18::uuid, $19::integer, $20::text, $21::bigint from changed",
        endpoint.id.uuid(),
        endpoint.merchant_id.uuid(),
        version,
        endpoint.url,
        endpoint.description.as_deref(),
        events_column(&endpoint.events),
        endpoint.secret.expose(),
        former.map(|former| former.secret.expose()),
        former.map(|former| us(former.expires_at)),
        endpoint.disabled.map(|disabled| us(disabled.at)),
        disabled_reason,
        endpoint.failing_since.map(us),
        us(endpoint.updated_at),
        endpoint.version,
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

pub(crate) async fn delete_endpoint(
    store: &PostgresStore,
    merchant_id: MerchantId,
    id: EndpointId,
) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), delete_with_deliveries(&mut held, merchant_id, id)).await;
    super::events::applied(held.settle(outcome))
}

/// Its events stay: other endpoints may have them too. Those that nobody has are forgotten with the others of their time.
async fn delete_with_deliveries(held: &mut Held, merchant_id: MerchantId, id: EndpointId) -> sqlx::Result<u64> {
    let deleted = sqlx::query_scalar!(
        r#"with deleted as (
            delete from webhook_endpoints where id = $1 and merchant_id = $2 returning id
        ), deliveries as (
            delete from outbound_deliveries using deleted where endpoint_id = deleted.id
            returning event_id, endpoint_id
        ), attempts as (
            delete from outbound_attempts as attempt using deliveries
            where attempt.event_id = deliveries.event_id and attempt.endpoint_id = deliveries.endpoint_id
        )
        select count(*) as "deleted!" from deleted"#,
        id.uuid(),
        merchant_id.uuid()
    )
    .fetch_all(held)
    .await?;
    Ok(deleted.into_iter().sum::<i64>().unsigned_abs())
}

pub(crate) async fn endpoints(store: &PostgresStore, merchant_id: MerchantId) -> Result<Vec<Endpoint>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_endpoints(&mut held, merchant_id)).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Endpoint::try_from).collect()
}

async fn select_endpoints(held: &mut Held, merchant_id: MerchantId) -> sqlx::Result<Vec<EndpointColumns>> {
    select_endpoints!("where merchant_id = $1 order by id desc limit $2", merchant_id.uuid(), READ_LIMIT)
        .fetch_all(held)
        .await
}

pub(crate) async fn endpoint(
    store: &PostgresStore,
    merchant_id: MerchantId,
    id: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_endpoint(&mut held, merchant_id, id)).await;
    held.settle(outcome).map_err(store_error)?.map(Endpoint::try_from).transpose()
}

async fn select_endpoint(
    held: &mut Held,
    merchant_id: MerchantId,
    id: EndpointId,
) -> sqlx::Result<Option<EndpointColumns>> {
    select_endpoints!("where id = $1 and merchant_id = $2", id.uuid(), merchant_id.uuid()).fetch_optional(held).await
}
