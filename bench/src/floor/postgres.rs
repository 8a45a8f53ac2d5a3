//! The floors on PostgreSQL.

use async_trait::async_trait;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;
use workflow::port::store::StoreError;

use super::{FloorStore, Row, unavailable};

/// Rows in PostgreSQL.
pub(crate) struct PostgresFloor(PgPool);

impl PostgresFloor {
    /// Makes its table. Sessions plan like those of the engine's store.
    pub(crate) async fn open(url: &str, connections: u32) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(connections).test_before_acquire(false);
        let pool = pool.after_connect(|connection, _| {
            Box::pin(async move {
                let settings = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off";
                sqlx::raw_sql(settings).execute(connection).await.map(|_| ())
            })
        });
        let pool = pool.connect(url).await?;
        let table = "create table floor (
                id uuid primary key, merchant_id uuid not null, amount_minor bigint not null, currency text not null,
                state text not null, seq bigint not null, next_wake_at_us bigint, psp_reference text,
                updated_at_us bigint not null
            ) with (fillfactor = 70)";
        sqlx::raw_sql(table).execute(&pool).await?;
        Ok(Self(pool))
    }
}

fn column<'a, V>(rows: &'a [Row], value: impl Fn(&'a Row) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

#[async_trait]
impl FloorStore for PostgresFloor {
    async fn insert_one(&self, row: &Row) -> Result<(), StoreError> {
        let insert = sqlx::query("insert into floor values ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(row.id)
            .bind(row.merchant_id)
            .bind(row.amount_minor)
            .bind(row.currency)
            .bind(row.state)
            .bind(row.seq)
            .bind(row.next_wake_at_us)
            .bind(row.psp_reference.as_deref())
            .bind(row.updated_at_us);
        insert.execute(&self.0).await.map(|_| ()).map_err(unavailable)
    }

    async fn insert(&self, rows: &[Row]) -> Result<(), StoreError> {
        let insert = sqlx::query(
            "insert into floor select * from unnest(
                $1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[],
                $9::bigint[])",
        )
        .bind(column::<Uuid>(rows, |row| row.id))
        .bind(column(rows, |row| row.merchant_id))
        .bind(column(rows, |row| row.amount_minor))
        .bind(column(rows, |row| row.currency))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.seq))
        .bind(column(rows, |row| row.next_wake_at_us))
        .bind(column(rows, |row| row.psp_reference.as_deref()))
        .bind(column(rows, |row| row.updated_at_us));
        insert.execute(&self.0).await.map(|_| ()).map_err(unavailable)
    }

    async fn update(&self, rows: &[Row]) -> Result<(), StoreError> {
        let update = sqlx::query(
            "update floor set state = input.state, seq = input.seq, next_wake_at_us = input.next_wake_at_us,
                psp_reference = input.psp_reference, updated_at_us = input.updated_at_us
            from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
                as input (id, state, seq, next_wake_at_us, psp_reference, updated_at_us)
            where floor.id = input.id and floor.seq = input.seq - 1",
        )
        .bind(column::<Uuid>(rows, |row| row.id))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.seq))
        .bind(column(rows, |row| row.next_wake_at_us))
        .bind(column(rows, |row| row.psp_reference.as_deref()))
        .bind(column(rows, |row| row.updated_at_us));
        let updated = update.execute(&self.0).await.map_err(unavailable)?;
        debug_assert_eq!(updated.rows_affected(), rows.len() as u64);
        Ok(())
    }
}
