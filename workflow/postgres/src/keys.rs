//! Merchants' API keys.
//!
//! Not here: the secrets. Only their hashes are stored.

use jiff::Timestamp;
use uuid::Uuid;
use workflow::history::Hash;
use workflow::ids::{ApiKeyId, MerchantId};
use workflow::port::store::{ApiKey, Mode, Rotation, StoreError};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};
use workflow::port::row::{KeyRow, Place};

pub(crate) async fn add_api_key(store: &PostgresStore, key: &ApiKey) -> Result<(), StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_api_key(&mut held, key)).await;
    held.settle(outcome).map_err(store_error)
}

/// Foreign keys are looked at when the statement ends, so the merchant may be new in it.
async fn insert_api_key(held: &mut Held, key: &ApiKey) -> sqlx::Result<()> {
    sqlx::query!(
        "with merchant as (
            insert into merchants (id, mode, created_at_us) values ($2, $3, $7) on conflict do nothing
        )
        insert into api_keys
            (id, merchant_id, mode, name, scopes, secret_hash, created_at_us, last_used_at_us, revoked_at_us)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        key.id.uuid(),
        key.merchant_id.uuid(),
        <&str>::from(key.mode),
        key.name,
        key.scopes.to_string(),
        &key.secret_hash.0[..],
        us(key.created_at),
        key.last_used_at.map(us),
        key.revoked_at.map(us)
    )
    .execute(held)
    .await?;
    Ok(())
}

pub(crate) async fn api_key(store: &PostgresStore, secret_hash: Hash) -> Result<Option<ApiKey>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_api_key(&mut held, &secret_hash.0)).await;
    held.settle(outcome).map_err(store_error)?.map(ApiKey::try_from).transpose()
}

async fn select_api_key(held: &mut Held, secret_hash: &[u8]) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        "select id, merchant_id, mode, name, scopes, secret_hash, created_at_us, last_used_at_us, revoked_at_us
        from api_keys where secret_hash = $1",
        secret_hash
    )
    .fetch_optional(held)
    .await
}

pub(crate) async fn merchant_mode(store: &PostgresStore, id: MerchantId) -> Result<Option<Mode>, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_mode(&mut held, id.uuid())).await;
    let of = Place { table: "merchants", row: &id };
    held.settle(outcome).map_err(store_error)?.map(|mode| of.parsed("mode", &mode)).transpose()
}

async fn select_mode(held: &mut Held, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select mode from merchants where id = $1", id).fetch_optional(held).await
}

pub(crate) async fn api_keys(
    store: &PostgresStore,
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
    held: &mut Held,
    merchant_id: Option<Uuid>,
    after: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        "select id, merchant_id, mode, name, scopes, secret_hash, created_at_us, last_used_at_us, revoked_at_us
        from api_keys where id > $2 and ($1::uuid is null or merchant_id = $1) order by id limit $3",
        merchant_id,
        after,
        limit
    )
    .fetch_all(held)
    .await
}

pub(crate) async fn revoke_api_key(
    store: &PostgresStore,
    id: ApiKeyId,
    at: Timestamp,
) -> Result<Option<ApiKey>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_revoked(&mut held, id.uuid(), us(at))).await;
    held.settle(outcome).map_err(store_error)?.map(ApiKey::try_from).transpose()
}

async fn update_revoked(held: &mut Held, id: Uuid, at_us: i64) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        "update api_keys set revoked_at_us = least(revoked_at_us, $2) where id = $1
        returning id, merchant_id, mode, name, scopes, secret_hash, created_at_us, last_used_at_us, revoked_at_us",
        id,
        at_us
    )
    .fetch_optional(held)
    .await
}

pub(crate) async fn rotate_api_key(store: &PostgresStore, rotation: Rotation) -> Result<Option<ApiKey>, StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), replace_api_key(&mut held, rotation)).await;
    held.settle(outcome).map_err(store_error)?.map(ApiKey::try_from).transpose()
}

async fn replace_api_key(held: &mut Held, rotation: Rotation) -> sqlx::Result<Option<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        "with old as (
            update api_keys set revoked_at_us = $2 where id = $1 and revoked_at_us is null
            returning merchant_id, mode, name, scopes
        )
        insert into api_keys (id, merchant_id, mode, name, scopes, secret_hash, created_at_us)
        select $3, merchant_id, mode, name, scopes, $4, $5 from old
        returning id, merchant_id, mode, name, scopes, secret_hash, created_at_us, last_used_at_us, revoked_at_us",
        rotation.old.uuid(),
        us(rotation.old_until),
        rotation.new.uuid(),
        &rotation.secret_hash.0[..],
        us(rotation.created_at)
    )
    .fetch_optional(held)
    .await
}

pub(crate) async fn api_key_used(store: &PostgresStore, id: ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), update_last_used(&mut held, id.uuid(), us(at))).await;
    held.settle(outcome).map_err(store_error)
}

async fn update_last_used(held: &mut Held, id: Uuid, at_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set last_used_at_us = $2 where id = $1 and (last_used_at_us is null or last_used_at_us < $2)",
        id,
        at_us
    )
    .execute(held)
    .await?;
    Ok(())
}
