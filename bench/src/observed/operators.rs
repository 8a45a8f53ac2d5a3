//! The audit log and the pauses: counted as reading, for nobody waits for them.

use async_trait::async_trait;
use workflow::ids::AuditId;
use workflow::port::audit::{AuditEntry, AuditFilter, AuditLog};
use workflow::port::pauses::{Pause, Pauses};
use workflow::port::store::{StoreError, Updated};

use super::Observed;

#[async_trait]
impl AuditLog for Observed {
    async fn enter(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.reading(self.store.enter(entries)).await
    }

    async fn entries(
        &self,
        filter: &AuditFilter,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.reading(self.store.entries(filter, before, limit)).await
    }
}

#[async_trait]
impl Pauses for Observed {
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.reading(self.store.pauses()).await
    }

    async fn pause(&self, pause: &Pause, entry: &AuditEntry) -> Result<Updated, StoreError> {
        self.reading(self.store.pause(pause, entry)).await
    }

    async fn resume(&self, psp: &str, entry: &AuditEntry) -> Result<Updated, StoreError> {
        self.reading(self.store.resume(psp, entry)).await
    }
}
