//! The schema: applying the migrations, and telling whether this program can use what a database has.
//!
//! Not here: the migrations, and when to apply them.

use std::sync::LazyLock;

use sqlx::migrate::{MigrateError, Migrator};
use workflow::port::schema::{self, Migration, Schema};
use workflow::port::store::StoreError;

use crate::PostgresStore;
use crate::error::store_error;
use crate::session::{Held, within};

/// With those in the database that only a newer release knows it has nothing to do.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("../../migrations/postgres");
    migrations.set_ignore_missing(true);
    migrations
});

/// `undefined_table`: no migration was ever applied.
const UNDEFINED_TABLE: &str = "42P01";

impl PostgresStore {
    /// Applies the migrations that are missing. Several programs may do so at once: one works, the others wait. The
    /// lock they wait for is the session's, so this needs a connection to the server itself, not to a pooler.
    ///
    /// # Errors
    /// The database does not answer, a migration was refused (it then left nothing behind), or one that was applied
    /// earlier is not the one in this program.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.apart().await?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| {
            if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = error {
                store_error(error)
            } else {
                StoreError::Refused(Box::new(error))
            }
        })
    }
}

pub(crate) async fn check(store: &PostgresStore) -> Result<Schema, StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_applied(&mut held)).await;
    let applied = match held.settle(outcome) {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
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

async fn select_applied(held: &mut Held) -> sqlx::Result<Vec<Migration>> {
    let rows = sqlx::query!("select version, checksum from _sqlx_migrations where success order by version")
        .fetch_all(held)
        .await?;
    Ok(rows.into_iter().map(|row| Migration { number: row.version, checksum: row.checksum }).collect())
}

/// The migration that a program must know to use this database.
async fn select_needed(held: &mut Held) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select knows_migration from oldest_program where one = 1").fetch_one(held).await
}
