//! Which program may use which database, by the migrations that one knows and the other has.
//!
//! Two releases use one database during a rollout, and it has the newer one's schema. So a program accepts migrations
//! after its own, unless the database says that it takes only programs which know a later one.
//!
//! Not here: the migrations, and reading what was applied; each database's crate does that.

/// A migration: its number, and the checksum of its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Migration {
    /// They count up from 1 without a gap.
    pub number: i64,
    /// As the migrator computes it.
    pub checksum: Vec<u8>,
}

/// The schema of a database that a program can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schema {
    /// The program's own.
    Own,
    /// A newer release's. The database says that the program can go on.
    Newer {
        /// The last migration that the program knows.
        known: i64,
        /// The last one that was applied.
        applied: i64,
    },
}

/// Why a program cannot use a database, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaMismatch {
    /// It was last migrated by an older release, or never.
    #[error("the database's schema is older than this program: migration {0} is missing: run `fincore migrate`")]
    Older(i64),
    /// It was migrated by a program of some other origin.
    #[error(
        "the database's schema is not FinCore's: migration {0} is another one than this program's. \
         Is it the right database, and this program a release?"
    )]
    Foreign(i64),
    /// It was contracted: what this program needs is gone.
    #[error(
        "the database's schema is too new for this program: it takes programs that know migration {needed}, and this one \
         knows those up to {known}: start the release that migrated it, or a newer one"
    )]
    TooNew {
        /// The migration that a program has to know.
        needed: i64,
        /// The last migration that this one knows.
        known: i64,
    },
}

/// Compares the migrations of a program with those of a database.
///
/// # Errors
/// One that the program needs is missing, or one of those they share is another one.
pub fn compare(known: &[Migration], applied: &[Migration]) -> Result<Schema, SchemaMismatch> {
    for migration in known {
        match applied.iter().find(|applied| applied.number == migration.number) {
            None => return Err(SchemaMismatch::Older(migration.number)),
            Some(applied) if applied.checksum != migration.checksum => {
                return Err(SchemaMismatch::Foreign(migration.number));
            }
            Some(_) => {}
        }
    }
    let [known, applied] = [known, applied].map(|all| all.iter().map(|one| one.number).max().unwrap_or(0));
    Ok(if applied > known { Schema::Newer { known, applied } } else { Schema::Own })
}

impl Schema {
    /// The same, if programs may use it that do not know all of its migrations but this one.
    ///
    /// # Errors
    /// The program does not know it.
    pub fn open_to(self, needed: i64) -> Result<Self, SchemaMismatch> {
        match self {
            Self::Newer { known, .. } if known < needed => Err(SchemaMismatch::TooNew { needed, known }),
            Self::Newer { .. } | Self::Own => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrations(checksums: &[u8]) -> Vec<Migration> {
        checksums.iter().zip(1..).map(|(&checksum, number)| Migration { number, checksum: vec![checksum] }).collect()
    }

    #[test]
    fn a_program_goes_on_with_later_migrations_but_not_with_others() {
        let known = migrations(&[7, 8]);
        assert_eq!(compare(&known, &known), Ok(Schema::Own));
        assert_eq!(compare(&known, &migrations(&[7, 8, 9])), Ok(Schema::Newer { known: 2, applied: 3 }));
        assert_eq!(compare(&known, &migrations(&[7])), Err(SchemaMismatch::Older(2)));
        assert_eq!(compare(&known, &migrations(&[7, 9, 9])), Err(SchemaMismatch::Foreign(2)));
        assert_eq!(compare(&known, &[]), Err(SchemaMismatch::Older(1)));
    }

    #[test]
    fn a_database_that_was_contracted_takes_only_programs_that_know_how() {
        let newer = Schema::Newer { known: 10, applied: 13 };
        assert_eq!(newer.open_to(10), Ok(newer));
        assert_eq!(newer.open_to(11), Err(SchemaMismatch::TooNew { needed: 11, known: 10 }));
        assert_eq!(Schema::Own.open_to(11), Ok(Schema::Own));
    }
}
