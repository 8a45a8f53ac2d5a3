//! Histories that were archived, and those that are not.

use async_trait::async_trait;
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::archives::{Archives, Statement};
use workflow::port::audit::AuditEntry;
use workflow::port::row::archives::StatementRow;
use workflow::port::store::{Bounds, StoreError, Updated};

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::operators::rows;
use crate::session::{Held, within};

#[async_trait]
impl Archives for PostgresStore {
    async fn unarchived(&self, between: Bounds, limit: u32) -> Result<Vec<PaymentId>, StoreError> {
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_unarchived(&mut held, between, limit.into())).await;
        Ok(held.settle(outcome).map_err(store_error)?.into_iter().map(PaymentId::from_uuid).collect())
    }

    async fn statements(&self, ids: &[PaymentId]) -> Result<Vec<Option<Statement>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let uuids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
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
        let entry = rows(std::slice::from_ref(entry));
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), insert_statements(&mut held, batch, &entry)).await;
        let kept = held.settle(outcome).map_err(store_error)?;
        let kept: std::collections::HashSet<Uuid> = kept.into_iter().collect();
        let is_kept = |statement: &Statement| kept.contains(&statement.payment_id.uuid());
        let updated = |statement| if is_kept(statement) { Updated::Applied } else { Updated::Conflict };
        Ok(batch.iter().map(updated).collect())
    }
}

/// Along the key of the history itself: what is archived has no first row there, and costs nothing to pass.
async fn select_unarchived(held: &mut Held, between: Bounds, limit: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select payment_id from payment_history where payment_id > $1 and payment_id < $2 and seq = 1
        order by payment_id limit $3",
        between.above,
        between.below,
        limit
    )
    .fetch_all(held)
    .await
}

async fn select_statements(held: &mut Held, ids: &[Uuid]) -> sqlx::Result<Vec<StatementRow>> {
    sqlx::query_as!(
        StatementRow,
        "select payment_id, seq, head_hash, told, archived_at_us, file, file_sha256
        from archived_histories where payment_id = any($1)",
        ids
    )
    .fetch_all(held)
    .await
}

/// No payment is locked: one that moves at this very moment writes a row behind those that are removed, chained to the last of
/// them, and everything agrees.
async fn insert_statements(held: &mut Held, batch: &[Statement], entry: &str) -> sqlx::Result<Vec<Uuid>> {
    let told = |statement: &Statement| serde_json::to_string(&statement.prefix.told);
    let told =
        batch.iter().map(told).collect::<Result<Vec<_>, _>>().map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query_file_scalar!(
        "queries/archive_histories.sql",
        &batch.iter().map(|statement| statement.payment_id.uuid()).collect::<Vec<_>>(),
        &batch.iter().map(|statement| statement.prefix.seq).collect::<Vec<_>>(),
        &batch.iter().map(|statement| statement.prefix.hash.0.to_vec()).collect::<Vec<_>>(),
        &told,
        &batch.iter().map(|statement| us(statement.archived_at)).collect::<Vec<_>>(),
        &batch.iter().map(|statement| statement.file.clone()).collect::<Vec<_>>(),
        &batch.iter().map(|statement| statement.file_sha256.0.to_vec()).collect::<Vec<_>>(),
        entry
    )
    .fetch_all(held)
    .await
}
