//! Where merchants want to be told of events.

use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::{EndpointId, MerchantId};
use workflow::port::outbound::{Endpoint, EndpointWrite, MAX_ENDPOINTS};
use workflow::port::row::outbound::{EndpointColumns, events_column};
use workflow::port::store::{StoreError, Updated};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use crate::start::{insert_request, select_request};

/// Endpoints that are read at a time: two requests at once may each add the last one that is allowed.
const READ_LIMIT: i64 = 2 * MAX_ENDPOINTS as i64;

/// Selects endpoints with all their columns; the list of columns is written once.
macro_rules! select_endpoints {
    ($which:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            EndpointColumns,
            r#"select id as "id: Uuid", merchant_id as "merchant_id: Uuid", url, description, events, secret,
                former_secret, former_secret_expires_at_us, disabled_at_us, disabled_reason, failing_since_us,
                created_at_us, updated_at_us, version
            from webhook_endpoints "# + $which,
            $($parameter),+
        )
    };
}

pub(crate) async fn write_endpoint(store: &SqliteStore, write: &EndpointWrite) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), write_together(&mut held, write)).await;
    held.settle(outcome).map_err(store_error)
}

async fn write_together(connection: &mut SqliteConnection, write: &EndpointWrite) -> sqlx::Result<Updated> {
    let mut tx = connection.begin_with("begin immediate").await?;
    if select_request(&mut tx, &write.request.scope).await?.is_some() {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    let changed = match write.expected_version {
        None => insert_endpoint(&mut tx, &write.endpoint).await?,
        Some(version) => update_endpoint(&mut tx, &write.endpoint, version).await?,
    };
    if changed == 0 {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    insert_request(&mut tx, &write.request).await?;
    tx.commit().await?;
    Ok(Updated::Applied)
}

/// Returns how many were stored: one.
async fn insert_endpoint(connection: &mut SqliteConnection, endpoint: &Endpoint) -> sqlx::Result<u64> {
    let (id, merchant_id) = (endpoint.id.uuid(), endpoint.merchant_id.uuid());
    let events = events_column(&endpoint.events);
    let secret = endpoint.secret.expose();
    let former_secret = endpoint.former_secret.as_ref().map(|former| former.secret.expose());
    let former_secret_expires_at_us = endpoint.former_secret.as_ref().map(|former| us(former.expires_at));
    let disabled_at_us = endpoint.disabled.map(|disabled| us(disabled.at));
    let disabled_reason: Option<&str> = endpoint.disabled.map(|disabled| disabled.reason.into());
    let failing_since_us = endpoint.failing_since.map(us);
    let (created_at_us, updated_at_us) = (us(endpoint.created_at), us(endpoint.updated_at));
    let done = sqlx::query!(
        "insert into webhook_endpoints (
            id, merchant_id, url, description, events, secret, former_secret, former_secret_expires_at_us,
            disabled_at_us, disabled_reason, failing_since_us, created_at_us, updated_at_us, version
        ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        merchant_id,
        endpoint.url,
        endpoint.description,
        events,
        secret,
        former_secret,
        former_secret_expires_at_us,
        disabled_at_us,
        disabled_reason,
        failing_since_us,
        created_at_us,
        updated_at_us,
        endpoint.version
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Returns how many were changed: one, or none when it has changed since. Whether it fails is the deliverers' to say; a
/// change by its merchant only forgets it.
async fn update_endpoint(connection: &mut SqliteConnection, endpoint: &Endpoint, version: i64) -> sqlx::Result<u64> {
    let (id, merchant_id) = (endpoint.id.uuid(), endpoint.merchant_id.uuid());
    let events = events_column(&endpoint.events);
    let secret = endpoint.secret.expose();
    let former_secret = endpoint.former_secret.as_ref().map(|former| former.secret.expose());
    let former_secret_expires_at_us = endpoint.former_secret.as_ref().map(|former| us(former.expires_at));
    let disabled_at_us = endpoint.disabled.map(|disabled| us(disabled.at));
    let disabled_reason: Option<&str> = endpoint.disabled.map(|disabled| disabled.reason.into());
    let failing_since_us = endpoint.failing_since.map(us);
    let updated_at_us = us(endpoint.updated_at);
    let done = sqlx::query!(
        "update webhook_endpoints set
            url = ?, description = ?, events = ?, secret = ?, former_secret = ?, former_secret_expires_at_us = ?,
            disabled_at_us = ?, disabled_reason = ?, failing_since_us = ?, rests_until_us = null, updated_at_us = ?,
            version = ?
        where id = ? and merchant_id = ? and version = ?",
        endpoint.url,
        endpoint.description,
        events,
        secret,
        former_secret,
        former_secret_expires_at_us,
        disabled_at_us,
        disabled_reason,
        failing_since_us,
        updated_at_us,
        endpoint.version,
        id,
        merchant_id,
        version
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

pub(crate) async fn delete_endpoint(
    store: &SqliteStore,
    merchant_id: MerchantId,
    id: EndpointId,
) -> Result<Updated, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), delete_with_deliveries(&mut held, merchant_id, id)).await;
    held.settle(outcome).map_err(store_error)
}

/// Its events stay: other endpoints may have them too. Those that nobody has are forgotten with the others of their time.
async fn delete_with_deliveries(
    connection: &mut SqliteConnection,
    merchant_id: MerchantId,
    id: EndpointId,
) -> sqlx::Result<Updated> {
    let (id, merchant_id) = (id.uuid(), merchant_id.uuid());
    let mut tx = connection.begin_with("begin immediate").await?;
    let deleted = sqlx::query!("delete from webhook_endpoints where id = ? and merchant_id = ?", id, merchant_id)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if deleted == 0 {
        tx.rollback().await?;
        return Ok(Updated::Conflict);
    }
    sqlx::query!(
        "delete from outbound_attempts where endpoint_id = ?1
            and event_id in (select event_id from outbound_deliveries where endpoint_id = ?1)",
        id
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from outbound_deliveries where endpoint_id = ?", id).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(Updated::Applied)
}

pub(crate) async fn endpoints(store: &SqliteStore, merchant_id: MerchantId) -> Result<Vec<Endpoint>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_endpoints(&mut held, merchant_id)).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(Endpoint::try_from).collect()
}

async fn select_endpoints(
    connection: &mut SqliteConnection,
    merchant_id: MerchantId,
) -> sqlx::Result<Vec<EndpointColumns>> {
    let merchant_id = merchant_id.uuid();
    select_endpoints!("where merchant_id = ? order by id desc limit ?", merchant_id, READ_LIMIT)
        .fetch_all(connection)
        .await
}

pub(crate) async fn endpoint(
    store: &SqliteStore,
    merchant_id: MerchantId,
    id: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_endpoint(&mut held, merchant_id, id)).await;
    held.settle(outcome).map_err(store_error)?.map(Endpoint::try_from).transpose()
}

async fn select_endpoint(
    connection: &mut SqliteConnection,
    merchant_id: MerchantId,
    id: EndpointId,
) -> sqlx::Result<Option<EndpointColumns>> {
    let (id, merchant_id) = (id.uuid(), merchant_id.uuid());
    select_endpoints!("where id = ? and merchant_id = ?", id, merchant_id).fetch_optional(connection).await
}
