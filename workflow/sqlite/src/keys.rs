//! Merchants' API keys.
//!
//! Not here: the secrets. Only their hashes are stored.

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::history::Hash;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::store::{ApiKey, Mode, Rotation, StoreError};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use workflow::port::row::{KeyRow, Place};

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
    let mode: &str = key.mode.into();
    let created_at_us = us(key.created_at);
    sqlx::query!(
        "insert into merchants (id, mode, created_at_us) values (?, ?, ?) on conflict do nothing",
        id,
        mode,
        created_at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_api_key(connection: &mut SqliteConnection, key: &ApiKey) -> sqlx::Result<()> {
    let id = key.id.uuid();
    let merchant_id = key.merchant_id.uuid();
    let mode: &str = key.mode.into();
    let scopes = key.scopes.to_string();
    let secret_hash = &key.secret_hash.0[..];
    let created_at_us = us(key.created_at);
    let last_used_at_us = key.last_used_at.map(us);
    let revoked_at_us = key.revoked_at.map(us);
    sqlx::query!(
        "insert into api_keys
            (id, merchant_id, mode, name, scopes, secret_hash, created_at_us, last_used_at_us, revoked_at_us)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        merchant_id,
        mode,
        key.name,
        scopes,
        secret_hash,
        created_at_us,
        last_used_at_us,
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
        r#"select id as "id: Uuid", merchant_id as "merchant_id: Uuid", mode, name, scopes, secret_hash, created_at_us,
            last_used_at_us, revoked_at_us
        from api_keys where secret_hash = ?"#,
        secret_hash
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn merchant_mode(store: &SqliteStore, id: MerchantId) -> Result<Option<Mode>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_mode(&mut held, id.uuid())).await;
    let of = Place { table: "merchants", row: &id };
    held.settle(outcome).map_err(store_error)?.map(|mode| of.parsed("mode", &mode)).transpose()
}

async fn select_mode(connection: &mut SqliteConnection, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select mode from merchants where id = ?", id).fetch_optional(connection).await
}

pub(crate) async fn api_keys(
    store: &SqliteStore,
    merchant_id: Option<MerchantId>,
    after: Option<ApiKeyId>,
    limit: u32,
) -> Result<Vec<ApiKey>, StoreError> {
    let (merchant_id, after) = (merchant_id.map(MerchantId::uuid), after.map_or(Uuid::nil(), ApiKeyId::uuid));
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_api_keys(&mut held, merchant_id, after, limit.into())).await;
    held.settle(outcome).map_err(store_error)?.into_iter().map(ApiKey::try_from).collect()
}

async fn select_api_keys(
    connection: &mut SqliteConnection,
    merchant_id: Option<Uuid>,
    after: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"select id as "id: Uuid", merchant_id as "merchant_id: Uuid", mode, name, scopes, secret_hash, created_at_us,
            last_used_at_us, revoked_at_us
        from api_keys where id > ?2 and (?1 is null or merchant_id = ?1) order by id limit ?3"#,
        merchant_id,
        after,
        limit
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn revoke_api_key(
    store: &SqliteStore,
    id: ApiKeyId,
    at: Timestamp,
) -> Result<Option<ApiKey>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_revoked(&mut held, id.uuid(), us(at))).await;
    held.settle(outcome).map_err(store_error)?.map(ApiKey::try_from).transpose()
}

async fn update_revoked(connection: &mut SqliteConnection, id: Uuid, at_us: i64) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"update api_keys set revoked_at_us = min(coalesce(revoked_at_us, ?2), ?2) where id = ?1
        returning id as "id: Uuid", merchant_id as "merchant_id: Uuid", mode, name, scopes, secret_hash, created_at_us,
            last_used_at_us, revoked_at_us"#,
        id,
        at_us
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn rotate_api_key(store: &SqliteStore, rotation: Rotation) -> Result<Option<ApiKey>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), replace_api_key(&mut held, rotation)).await;
    held.settle(outcome).map_err(store_error)?.map(ApiKey::try_from).transpose()
}

async fn replace_api_key(connection: &mut SqliteConnection, rotation: Rotation) -> sqlx::Result<Option<KeyRow>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    // The new key first: it takes what it has from the old one, which is not replaced yet.
    let new = insert_successor(&mut tx, rotation).await?;
    if new.is_some() {
        update_revoked(&mut tx, rotation.old.uuid(), us(rotation.old_until)).await?;
    }
    tx.commit().await?;
    Ok(new)
}

async fn insert_successor(connection: &mut SqliteConnection, rotation: Rotation) -> sqlx::Result<Option<KeyRow>> {
    let (new, old) = (rotation.new.uuid(), rotation.old.uuid());
    let secret_hash = &rotation.secret_hash.0[..];
    let created_at_us = us(rotation.created_at);
    sqlx::query_as!(
        KeyRow,
        r#"insert into api_keys (id, merchant_id, mode, name, scopes, secret_hash, created_at_us)
        select ?, merchant_id, mode, name, scopes, ?, ? from api_keys where id = ? and revoked_at_us is null
        returning id as "id: Uuid", merchant_id as "merchant_id: Uuid", mode, name, scopes, secret_hash, created_at_us,
            last_used_at_us, revoked_at_us"#,
        new,
        secret_hash,
        created_at_us,
        old
    )
    .fetch_optional(connection)
    .await
}

pub(crate) async fn api_key_used(store: &SqliteStore, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_last_used(&mut held, id.uuid(), us(at))).await;
    held.settle(outcome).map_err(store_error)
}

async fn update_last_used(connection: &mut SqliteConnection, id: Uuid, at_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set last_used_at_us = ?2 where id = ?1 and (last_used_at_us is null or last_used_at_us < ?2)",
        id,
        at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}
