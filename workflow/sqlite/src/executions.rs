//! What Step Functions is still to be told.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::executions::{Execution, Executions, FIRST_LOOK_US, GROWTHS};
use workflow::port::row::execution::ExecutionRow;
use workflow::port::store::StoreError;

use crate::SqliteStore;
use crate::columns::us;
use crate::connect::within;
use crate::error::store_error;

#[async_trait]
impl Executions for SqliteStore {
    async fn executions(&self, ids: &[PaymentId]) -> Result<Vec<Execution>, StoreError> {
        let ids: Vec<String> = ids.iter().map(|id| id.uuid().simple().to_string()).collect();
        let ids = serde_json::json!(ids).to_string();
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_executions(&mut held, &ids)).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Execution::try_from).collect()
    }

    async fn keep_executions(&self, batch: &[Execution], look_at: Timestamp) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), keep_together(&mut held, batch, us(look_at))).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn forget_executions(&self, batch: &[Execution]) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), forget_together(&mut held, batch)).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn watch_executions(&self, now: Timestamp, limit: u32) -> Result<Vec<Execution>, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), update_looks(&mut held, us(now), limit.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Execution::try_from).collect()
    }
}

async fn select_executions(connection: &mut SqliteConnection, ids: &str) -> sqlx::Result<Vec<ExecutionRow>> {
    sqlx::query_as!(
        ExecutionRow,
        r#"select payment_id as "payment_id: Uuid", task_token, state, since_us, seq from executions
        where payment_id in (select unhex(value) from json_each(?))"#,
        ids
    )
    .fetch_all(connection)
    .await
}

async fn keep_together(connection: &mut SqliteConnection, batch: &[Execution], look_at_us: i64) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    for execution in batch {
        upsert_execution(&mut tx, execution, look_at_us).await?;
    }
    tx.commit().await
}

/// A task that began earlier than the one that is kept is over.
async fn upsert_execution(
    connection: &mut SqliteConnection,
    execution: &Execution,
    look_at_us: i64,
) -> sqlx::Result<()> {
    let (payment_id, state, since_us) =
        (execution.payment_id.uuid(), <&str>::from(execution.state), us(execution.since));
    sqlx::query!(
        "insert into executions (payment_id, task_token, state, since_us, seq, look_at_us, looks)
        values (?, ?, ?, ?, ?, ?, 0)
        on conflict (payment_id) do update
            set task_token = excluded.task_token, state = excluded.state, since_us = excluded.since_us,
                seq = excluded.seq, look_at_us = excluded.look_at_us, looks = excluded.looks
            where seq <= excluded.seq",
        payment_id,
        execution.token,
        state,
        since_us,
        execution.seq,
        look_at_us
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget_together(connection: &mut SqliteConnection, batch: &[Execution]) -> sqlx::Result<()> {
    let mut tx = connection.begin_with("begin immediate").await?;
    for execution in batch {
        delete_execution(&mut tx, execution).await?;
    }
    tx.commit().await
}

async fn delete_execution(connection: &mut SqliteConnection, execution: &Execution) -> sqlx::Result<()> {
    let payment_id = execution.payment_id.uuid();
    sqlx::query!("delete from executions where payment_id = ? and task_token is ?", payment_id, execution.token)
        .execute(connection)
        .await?;
    Ok(())
}

/// One statement, so nobody else writes between looking and putting off.
async fn update_looks(connection: &mut SqliteConnection, now_us: i64, limit: i64) -> sqlx::Result<Vec<ExecutionRow>> {
    sqlx::query_as!(
        ExecutionRow,
        r#"update executions set look_at_us = ?1 + (?3 << (2 * min(looks, ?4))), looks = looks + 1
        where payment_id in (
            select payment_id from executions where look_at_us <= ?1 order by look_at_us limit ?2
        )
        returning payment_id as "payment_id: Uuid", task_token, state, since_us, seq"#,
        now_us,
        limit,
        FIRST_LOOK_US,
        GROWTHS
    )
    .fetch_all(connection)
    .await
}
