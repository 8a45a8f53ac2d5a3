//! The schema: applying the migrations, and telling whether a database has those this program was built with.
//!
//! Not here: the migrations, and when to apply them.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection, SqliteConnection};
use workflow::port::store::StoreError;

use crate::SqliteStore;
use crate::connect::within;
use crate::error::store_error;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How SQLite says that no migration was ever applied. It has no code of its own for it.
const UNDEFINED_TABLE: &str = "no such table: _sqlx_migrations";

/// The database does not have the schema this program was built for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database's schema is not the one this program was built for ({0}): run `fincore migrate`")]
pub struct SchemaMismatch(String);

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

pub(crate) async fn check(store: &SqliteStore) -> Result<(), StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_applied(&mut held)).await;
    let applied = match held.settle(outcome) {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(error)) if error.message() == UNDEFINED_TABLE => Vec::new(),
        Err(error) => return Err(store_error(error)),
    };
    compare(&applied).map_err(|mismatch| StoreError::Refused(Box::new(mismatch)))
}

/// A migration that was applied: its number and the checksum of its text.
type Applied = (i64, Vec<u8>);

fn compare(applied: &[Applied]) -> Result<(), SchemaMismatch> {
    for migration in MIGRATIONS.iter() {
        let number = migration.version;
        match applied.iter().find(|(version, _)| *version == number) {
            None => return Err(SchemaMismatch(format!("migration {number} is missing"))),
            Some((_, checksum)) if *checksum != *migration.checksum => {
                return Err(SchemaMismatch(format!("migration {number} is another one")));
            }
            Some(_) => {}
        }
    }
    match applied.iter().find(|(version, _)| !MIGRATIONS.version_exists(*version)) {
        Some((number, _)) => {
            Err(SchemaMismatch(format!("it has migration {number}, which this program does not know")))
        }
        None => Ok(()),
    }
}

async fn select_applied(connection: &mut SqliteConnection) -> sqlx::Result<Vec<Applied>> {
    let rows =
        sqlx::query!(r#"select version as "version!", checksum from _sqlx_migrations where success order by version"#)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|row| (row.version, row.checksum)).collect())
}
