//! The floors on SQLite: one connection that writes, as the engine's store has.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};
use workflow::port::store::StoreError;

use super::{FloorStore, Row, unavailable};

/// Rows in a SQLite file.
pub(crate) struct SqliteFloor(SqlitePool);

impl SqliteFloor {
    /// Makes the file and its table.
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        // Hundreds of clients may wait for the one connection that writes.
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false).connect_with(options).await?;
        let table = "create table floor (
                id blob primary key, merchant_id blob not null, amount_minor integer not null, currency text not null,
                state text not null, seq integer not null, next_wake_at_us integer, psp_reference text,
                updated_at_us integer not null
            ) strict, without rowid";
        sqlx::raw_sql(table).execute(&pool).await?;
        Ok(Self(pool))
    }
}

async fn insert(connection: &mut SqliteConnection, row: &Row) -> sqlx::Result<()> {
    let insert = sqlx::query("insert into floor values (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(row.id)
        .bind(row.merchant_id)
        .bind(row.amount_minor)
        .bind(row.currency)
        .bind(row.state)
        .bind(row.seq)
        .bind(row.next_wake_at_us)
        .bind(row.psp_reference.as_deref())
        .bind(row.updated_at_us);
    insert.execute(connection).await.map(|_| ())
}

async fn update(connection: &mut SqliteConnection, row: &Row) -> sqlx::Result<()> {
    let update = sqlx::query(
        "update floor set state = ?, seq = ?, next_wake_at_us = ?, psp_reference = ?, updated_at_us = ?
        where id = ? and seq = ?",
    )
    .bind(row.state)
    .bind(row.seq)
    .bind(row.next_wake_at_us)
    .bind(row.psp_reference.as_deref())
    .bind(row.updated_at_us)
    .bind(row.id)
    .bind(row.seq - 1);
    update.execute(connection).await.map(|_| ())
}

#[async_trait]
impl FloorStore for SqliteFloor {
    async fn insert_one(&self, row: &Row) -> Result<(), StoreError> {
        let mut connection = self.0.acquire().await.map_err(unavailable)?;
        insert(&mut connection, row).await.map_err(unavailable)
    }

    async fn insert(&self, rows: &[Row]) -> Result<(), StoreError> {
        let mut connection = self.0.acquire().await.map_err(unavailable)?;
        let mut tx = connection.begin_with("begin immediate").await.map_err(unavailable)?;
        for row in rows {
            insert(&mut tx, row).await.map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)
    }

    async fn update(&self, rows: &[Row]) -> Result<(), StoreError> {
        let mut connection = self.0.acquire().await.map_err(unavailable)?;
        let mut tx = connection.begin_with("begin immediate").await.map_err(unavailable)?;
        for row in rows {
            update(&mut tx, row).await.map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)
    }
}
