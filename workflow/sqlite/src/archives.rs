//! Histories that were archived, and those that are not.

use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::archives::{Archives, Statement};
use workflow::port::audit::AuditEntry;
use workflow::port::row::archives::StatementRow;
use workflow::port::store::{Bounds, StoreError, Updated};

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;
use crate::operators::insert_entry;

#[async_trait]
impl Archives for SqliteStore {
    async fn unarchived(&self, between: Bounds, limit: u32) -> Result<Vec<PaymentId>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_unarchived(&mut held, between, limit.into())).await;
        Ok(held.settle(outcome).map_err(store_error)?.into_iter().map(PaymentId::from_uuid).collect())
    }

    async fn statements(&self, ids: &[PaymentId]) -> Result<Vec<Option<Statement>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let uuids: Vec<String> = ids.iter().map(|id| id.uuid().simple().to_string()).collect();
        let uuids = serde_json::json!(uuids).to_string();
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_statements(&mut held, &uuids)).await;
        let found = held.settle(outcome).map_err(store_error)?.into_iter().map(Statement::try_from);
        let found: Vec<Statement> = found.collect::<Result<_, _>>()?;
        Ok(ids.iter().map(|id| found.iter().find(|statement| statement.payment_id == *id).cloned()).collect())
    }

    async fn archive(&self, batch: &[Statement], entry: &AuditEntry) -> Result<Vec<Updated>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), archive_together(&mut held, batch, entry)).await;
        held.settle(outcome).map_err(store_error)
    }
}

/// Along the key of the history itself: what is archived has no first row there, and costs nothing to pass.
async fn select_unarchived(connection: &mut SqliteConnection, between: Bounds, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"select payment_id as "payment_id: Uuid" from payment_history
        where payment_id > ? and payment_id < ? and seq = 1 order by payment_id limit ?"#,
        between.above,
        between.below,
        limit
    )
    .fetch_all(connection)
    .await
}

/// SQLite has no arrays: the ids come as a JSON array of their hexadecimal forms.
async fn select_statements(connection: &mut SqliteConnection, ids: &str) -> sqlx::Result<Vec<StatementRow>> {
    sqlx::query_as!(
        StatementRow,
        r#"select payment_id as "payment_id: Uuid", seq, head_hash, told, archived_at_us, file, file_sha256
        from archived_histories where payment_id in (select unhex(value) from json_each(?))"#,
        ids
    )
    .fetch_all(connection)
    .await
}

async fn archive_together(
    connection: &mut SqliteConnection,
    batch: &[Statement],
    entry: &AuditEntry,
) -> sqlx::Result<Vec<Updated>> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let mut results = Vec::with_capacity(batch.len());
    for statement in batch {
        let is_kept = insert_statement(&mut tx, statement).await? == 1;
        if is_kept {
            delete_history(&mut tx, statement).await?;
        }
        results.push(if is_kept { Updated::Applied } else { Updated::Conflict });
    }
    if results.contains(&Updated::Applied) {
        insert_entry(&mut tx, entry).await?;
    }
    tx.commit().await?;
    Ok(results)
}

/// Returns how many were kept: one, or none when the payment does not stand where its statement ends, or has one already.
async fn insert_statement(connection: &mut SqliteConnection, statement: &Statement) -> sqlx::Result<u64> {
    let (payment_id, seq, head_hash) =
        (statement.payment_id.uuid(), statement.prefix.seq, &statement.prefix.hash.0[..]);
    let told = serde_json::to_string(&statement.prefix.told).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (archived_at_us, file_sha256) = (us(statement.archived_at), &statement.file_sha256.0[..]);
    // Not by `on conflict`: the trigger that guards against `insert or replace` comes first.
    let done = sqlx::query!(
        "insert into archived_histories (payment_id, seq, head_hash, told, archived_at_us, file, file_sha256)
        select id, seq, head_hash, ?4, ?5, ?6, ?7 from payments
        where id = ?1 and seq = ?2 and head_hash = ?3 and next_wake_at_us is null
            and not exists (select 1 from archived_histories where payment_id = ?1)",
        payment_id,
        seq,
        head_hash,
        told,
        archived_at_us,
        statement.file,
        file_sha256
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

async fn delete_history(connection: &mut SqliteConnection, statement: &Statement) -> sqlx::Result<()> {
    let (payment_id, seq) = (statement.payment_id.uuid(), statement.prefix.seq);
    sqlx::query!("delete from payment_history where payment_id = ? and seq <= ?", payment_id, seq)
        .execute(connection)
        .await?;
    Ok(())
}
