//! The schema: applying the migrations, and telling whether this program can use what a database has.
//!
//! Not here: the migrations, and when to apply them.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, SqliteConnection};
use workflow::port::schema::{self, Migration, Schema};
use workflow::port::store::StoreError;

use crate::SqliteStore;
use crate::connect::within;
use crate::error::store_error;

/// With those in the database that only a newer release knows it has nothing to do.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("../../migrations/sqlite");
    migrations.set_ignore_missing(true);
    migrations
});

/// How SQLite says that no migration was ever applied. It has no code of its own for it.
const UNDEFINED_TABLE: &str = "no such table: _sqlx_migrations";

impl SqliteStore {
    /// Applies the migrations that are missing, all or none. Several programs may do so at once: one works, the others
    /// wait. (On SQLite the migrator takes no lock of its own, so it works inside a transaction that has taken one.)
    ///
    /// # Errors
    /// The file cannot be written, a migration was refused, or one that was applied earlier is not the one in this
    /// program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut held = self.writer().await?;
        let mut tx = held.begin_with("begin immediate").await.map_err(store_error)?;
        MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(|error| {
            if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
                store_error(error)
            } else {
                StoreError::Refused(Box::new(error))
            }
        })?;
        tx.commit().await.map_err(store_error)?;
        held.release();
        Ok(())
    }
}

pub(crate) async fn check(store: &SqliteStore) -> Result<Schema, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_applied(&mut held)).await;
    let applied = match held.settle(outcome) {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(error)) if error.message() == UNDEFINED_TABLE => Vec::new(),
        Err(error) => return Err(store_error(error)),
    };
    let compared = match schema::compare(&known(), &applied) {
        Ok(newer @ Schema::Newer { .. }) => {
            let mut held = store.reader().await?;
            let outcome = within(held.patience(), select_needed(&mut held)).await;
            newer.open_to(held.settle(outcome).map_err(store_error)?)
        }
        compared => compared,
    };
    compared.map_err(|mismatch| StoreError::Refused(Box::new(mismatch)))
}

fn known() -> Vec<Migration> {
    let migration =
        |known: &sqlx::migrate::Migration| Migration { number: known.version, checksum: known.checksum.to_vec() };
    MIGRATIONS.iter().map(migration).collect()
}

async fn select_applied(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Migration>> {
    let rows =
        sqlx::query!(r#"select version as "version!", checksum from _sqlx_migrations where success order by version"#)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|row| Migration { number: row.version, checksum: row.checksum }).collect())
}

/// The migration that a program must know to use this database.
async fn select_needed(connection: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select knows_migration from oldest_program where one = 1").fetch_one(connection).await
}
