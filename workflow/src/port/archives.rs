//! Histories that were written to files and removed from the database, and the statements that stand in their place.
//!
//! A statement says how far the removed rows reach, the hash of the last one, and what they told. What is written later is
//! chained to it. Statements are only ever added; both databases refuse to change or delete them, and to delete rows of
//! history that no statement speaks of.
//!
//! Not here: files, and which payments are archived ([`crate::archive`]).

use async_trait::async_trait;
use jiff::Timestamp;

use super::audit::AuditEntry;
use super::store::{Bounds, Store, StoreError, Updated};
use crate::history::{self, BrokenChain, Hash, HistoryRow, Prefix};
use crate::ids::PaymentId;
use crate::payment::Payment;

/// What stands in the place of the first rows of a payment's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Whose history.
    pub payment_id: PaymentId,
    /// The rows that are archived, without them.
    pub prefix: Prefix,
    /// Since when.
    pub archived_at: Timestamp,
    /// The name of the file that has them, without a folder.
    pub file: String,
    /// Of the file's bytes.
    pub file_sha256: Hash,
}

/// A payment's history as it is stored: the statement of what is archived of it, and the rows that are in the database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoredHistory {
    /// What is archived, if anything is.
    pub archived: Option<Statement>,
    /// The other rows.
    pub rows: Vec<HistoryRow>,
}

impl StoredHistory {
    /// Recomputes the chain from where the archived part ends, and compares the payment's row with what both parts tell.
    ///
    /// # Errors
    /// The first place where stored rows are not what was written.
    pub fn verify(&self, payment: &Payment) -> Result<(), BrokenChain> {
        let prefix = self.archived.as_ref().map(|statement| statement.prefix.clone());
        history::verify_after(prefix.unwrap_or_default(), payment, &self.rows)
    }
}

/// The whole history of a payment, as far as it is stored. Only one that does not begin at its beginning costs a second read.
///
/// # Errors
/// The database did not answer, or a row cannot be read.
pub async fn history_of(store: &dyn Store, id: PaymentId) -> Result<StoredHistory, StoreError> {
    let rows = store.history(id).await?;
    if rows.first().is_some_and(|row| row.seq == 1) {
        return Ok(StoredHistory { archived: None, rows });
    }
    // After the rows: what was removed before they were read has its statement by now.
    Ok(StoredHistory { archived: store.statements(&[id]).await?.pop().flatten(), rows })
}

/// The archived histories of a store.
#[async_trait]
pub trait Archives: Send + Sync {
    /// Payments whose history is in the database from its first row on, in the order of their ids, between these.
    ///
    /// # Errors
    /// The database did not answer.
    async fn unarchived(&self, between: Bounds, limit: u32) -> Result<Vec<PaymentId>, StoreError>;

    /// What is archived of these payments.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn statements(&self, ids: &[PaymentId]) -> Result<Vec<Option<Statement>>, StoreError>;

    /// Keeps statements and deletes the rows they speak of, with the entry that says so. A conflict, and nothing of that
    /// payment changes, when it no longer stands where its statement ends, or has a statement already. Without any statement
    /// that is kept there is no entry.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged.
    async fn archive(&self, batch: &[Statement], entry: &AuditEntry) -> Result<Vec<Updated>, StoreError>;
}
