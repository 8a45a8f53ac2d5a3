//! Merchants' API keys.
//!
//! Not here: the secrets. Only their hashes are stored.

use workflow::history::Hash;
use workflow::port::store::{ApiKey, StoreError};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};
use workflow::port::row::KeyRow;

pub(crate) async fn add_api_key(store: &PostgresStore, key: &ApiKey) -> Result<(), StoreError> {
    let mut held = store.writer().await?;
    let outcome = within(held.patience(), insert_api_key(&mut held, key)).await;
    held.settle(outcome).map_err(store_error)
}

/// Foreign keys are looked at when the statement ends, so the merchant may be new in it.
async fn insert_api_key(held: &mut Held, key: &ApiKey) -> sqlx::Result<()> {
    sqlx::query!(
        "with merchant as (
            insert into merchants (id, created_at_us) values ($2, $4) on conflict do nothing
        )
        insert into api_keys (id, merchant_id, secret_hash, created_at_us, revoked_at_us)
        values ($1, $2, $3, $4, $5)",
        key.id.uuid(),
        key.merchant_id.uuid(),
        &key.secret_hash.0[..],
        us(key.created_at),
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
        "select id, merchant_id, secret_hash, created_at_us, revoked_at_us from api_keys where secret_hash = $1",
        secret_hash
    )
    .fetch_optional(held)
    .await
}
