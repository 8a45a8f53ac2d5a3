//! The audit log and the pauses of the test store: there are none.

use async_trait::async_trait;
use workflow::ids::AuditId;
use workflow::port::audit::{AuditEntry, AuditFilter, AuditLog};
use workflow::port::pauses::{Pause, Pauses};
use workflow::port::store::{StoreError, Updated};

use super::TestStore;

#[async_trait]
impl AuditLog for TestStore {
    async fn enter(&self, _entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.up(())
    }
    async fn entries(
        &self,
        _filter: &AuditFilter,
        _before: Option<AuditId>,
        _limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.up(Vec::new())
    }
}

#[async_trait]
impl Pauses for TestStore {
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.up(Vec::new())
    }
    async fn pause(&self, _pause: &Pause, _entry: &AuditEntry) -> Result<Updated, StoreError> {
        self.up(Updated::Applied)
    }
    async fn resume(&self, _psp: &str, _entry: &AuditEntry) -> Result<Updated, StoreError> {
        self.up(Updated::Applied)
    }
}
