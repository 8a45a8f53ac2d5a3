//! PSP accounts that an operator has paused: nothing is sent there until somebody lets them go on.
//!
//! Not here: honouring a pause. The engine does not let payments be claimed for a paused account, in whatever process.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::audit::AuditEntry;
use super::store::{StoreError, Updated};

/// A paused PSP account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pause {
    /// The account's configured name.
    pub psp: String,
    /// Since when.
    pub since: Timestamp,
    /// Who paused it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// The pauses of a store. They hold for all processes.
#[async_trait]
pub trait Pauses: Send + Sync {
    /// The accounts that are paused now, by name.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError>;

    /// Pauses an account, with the entry that says so. A conflict, and nothing is stored, when it is paused already.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn pause(&self, pause: &Pause, entry: &AuditEntry) -> Result<Updated, StoreError>;

    /// Ends a pause, with the entry that says so. A conflict, and nothing is stored, when the account is not paused.
    ///
    /// # Errors
    /// Nothing was acknowledged.
    async fn resume(&self, psp: &str, entry: &AuditEntry) -> Result<Updated, StoreError>;
}
