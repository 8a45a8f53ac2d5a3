//! What Step Functions is still to be told.

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;
use workflow::ids::PaymentId;
use workflow::port::executions::{Execution, Executions, FIRST_LOOK_US, GROWTHS};
use workflow::port::row::execution::ExecutionRow;
use workflow::port::store::StoreError;

use crate::PostgresStore;
use crate::columns::us;
use crate::error::store_error;
use crate::session::{Held, within};

#[async_trait]
impl Executions for PostgresStore {
    async fn executions(&self, ids: &[PaymentId]) -> Result<Vec<Execution>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let mut held = self.reader().await?;
        let outcome = within(held.patience(), select_executions(&mut held, &ids)).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Execution::try_from).collect()
    }

    async fn keep_executions(&self, batch: &[Execution], look_at: Timestamp) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), upsert_executions(&mut held, batch, us(look_at))).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn forget_executions(&self, batch: &[Execution]) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), delete_executions(&mut held, batch)).await;
        held.settle(outcome).map_err(store_error)
    }

    async fn watch_executions(&self, now: Timestamp, limit: u32) -> Result<Vec<Execution>, StoreError> {
        let mut held = self.writer().await?;
        let outcome = within(held.patience(), update_looks(&mut held, us(now), limit.into())).await;
        held.settle(outcome).map_err(store_error)?.into_iter().map(Execution::try_from).collect()
    }
}

async fn select_executions(held: &mut Held, ids: &[Uuid]) -> sqlx::Result<Vec<ExecutionRow>> {
    sqlx::query_as!(
        ExecutionRow,
        "select payment_id, task_token, state, since_us, seq from executions where payment_id = any($1)",
        ids
    )
    .fetch_all(held)
    .await
}

/// A task that began earlier than the one that is kept is over.
async fn upsert_executions(held: &mut Held, batch: &[Execution], look_at_us: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into executions as known (payment_id, task_token, state, since_us, seq, look_at_us, looks)
        select distinct on (payment_id) payment_id, task_token, state, since_us, seq, $6, 0
        from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
            as input (payment_id, task_token, state, since_us, seq)
        order by payment_id, seq desc
        on conflict (payment_id) do update
            set task_token = excluded.task_token, state = excluded.state, since_us = excluded.since_us,
                seq = excluded.seq, look_at_us = excluded.look_at_us, looks = excluded.looks
            where known.seq <= excluded.seq",
        &batch.iter().map(|execution| execution.payment_id.uuid()).collect::<Vec<_>>(),
        &batch.iter().map(|execution| execution.token.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &batch.iter().map(|execution| execution.state.into()).collect::<Vec<_>>() as &[&str],
        &batch.iter().map(|execution| us(execution.since)).collect::<Vec<_>>(),
        &batch.iter().map(|execution| execution.seq).collect::<Vec<_>>(),
        look_at_us
    )
    .execute(held)
    .await?;
    Ok(())
}

async fn delete_executions(held: &mut Held, batch: &[Execution]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from executions as known
        using unnest($1::uuid[], $2::text[]) as input (payment_id, task_token)
        where known.payment_id = input.payment_id and known.task_token is not distinct from input.task_token",
        &batch.iter().map(|execution| execution.payment_id.uuid()).collect::<Vec<_>>(),
        &batch.iter().map(|execution| execution.token.as_deref()).collect::<Vec<_>>() as &[Option<&str>]
    )
    .execute(held)
    .await?;
    Ok(())
}

async fn update_looks(held: &mut Held, now_us: i64, limit: i64) -> sqlx::Result<Vec<ExecutionRow>> {
    sqlx::query_as!(
        ExecutionRow,
        "update executions set look_at_us = $1 + ($3::bigint << (2 * least(looks, $4))), looks = looks + 1
        where payment_id in (
            select payment_id from executions where look_at_us <= $1
            order by look_at_us limit $2 for update skip locked
        )
        returning payment_id, task_token, state, since_us, seq",
        now_us,
        limit,
        FIRST_LOOK_US,
        GROWTHS
    )
    .fetch_all(held)
    .await
}
