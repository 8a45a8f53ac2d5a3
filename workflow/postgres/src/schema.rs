//! The schema: applying the migrations, and telling whether a database has those this program was built with.
//!
//! Not here: the migrations, and when to apply them.

use sqlx::migrate::{MigrateError, Migrator};
use workflow::port::store::StoreError;

use crate::PostgresStore;
use crate::error::store_error;
use crate::session::{Held, within};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// `undefined_table`: no migration was ever applied.
const UNDEFINED_TABLE: &str = "42P01";

/// The database does not have the schema this program was built for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database's schema is not the one this program was built for ({0}): run `fincore migrate`")]
pub struct SchemaMismatch(String);

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

pub(crate) async fn check(store: &PostgresStore) -> Result<(), StoreError> {
    let mut held = store.reader().await?;
    let outcome = within(held.patience(), select_applied(&mut held)).await;
    let applied = match held.settle(outcome) {
        Ok(applied) => applied,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
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

async fn select_applied(held: &mut Held) -> sqlx::Result<Vec<Applied>> {
    let rows = sqlx::query!("select version, checksum from _sqlx_migrations where success order by version")
        .fetch_all(held)
        .await?;
    Ok(rows.into_iter().map(|row| (row.version, row.checksum)).collect())
}
