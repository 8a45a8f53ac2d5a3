//! Merchants' API keys.
//!
//! Not here: the secrets. Only their hashes are stored.

use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::history::Hash;
use workflow::port::store::{ApiKey, StoreError};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use workflow::port::row::KeyRow;

pub(crate) async fn add_api_key(store: &SqliteStore, key: &ApiKey) -> Result<(), StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_key(&mut held, key)).await;
    held.settle(outcome).map_err(store_error)
}

async fn insert_key(connection: &mut SqliteConnection, key: &ApiKey) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    insert_merchant(&mut tx, key).await?;
    insert_api_key(&mut tx, key).await?;
    tx.commit().await
}

async fn insert_merchant(connection: &mut SqliteConnection, key: &ApiKey) -> sqlx::Result<()> {
    let id = key.merchant_id.uuid();
    let created_at_us = us(key.created_at);
    sqlx::query!("insert into merchants (id, created_at_us) values (?, ?) on conflict do nothing", id, created_at_us)
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_api_key(connection: &mut SqliteConnection, key: &ApiKey) -> sqlx::Result<()> {
    let id = key.id.uuid();
    let merchant_id = key.merchant_id.uuid();
    let secret_hash = &key.secret_hash.0[..];
    let created_at_us = us(key.created_at);
    let revoked_at_us = key.revoked_at.map(us);
    sqlx::query!(
        "insert into api_keys (id, merchant_id, secret_hash, created_at_us, revoked_at_us) values (?, ?, ?, ?, ?)",
        id,
        merchant_id,
        secret_hash,
        created_at_us,
        revoked_at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn api_key(store: &SqliteStore, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_api_key(&mut held, &secret_hash.0)).await;
    held.settle(outcome).map_err(store_error)?.map(ApiKey::try_from).transpose()
}

async fn select_api_key(connection: &mut SqliteConnection, secret_hash: &[u8]) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"select id as "id: Uuid", merchant_id as "merchant_id: Uuid", secret_hash, created_at_us, revoked_at_us
        from api_keys where secret_hash = ?"#,
        secret_hash
    )
    .fetch_optional(connection)
    .await
}
