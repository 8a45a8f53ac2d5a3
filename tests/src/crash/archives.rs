//! Archived histories of a store that dies: it answers nothing afterwards.

use async_trait::async_trait;
use workflow::ids::PaymentId;
use workflow::port::archives::{Archives, Statement};
use workflow::port::audit::AuditEntry;
use workflow::port::store::{Bounds, StoreError, Updated};

use super::CrashStore;

#[async_trait]
impl Archives for CrashStore {
    async fn unarchived(&self, between: Bounds, limit: u32) -> Result<Vec<PaymentId>, StoreError> {
        self.alive().await;
        self.inner.unarchived(between, limit).await
    }

    async fn statements(&self, ids: &[PaymentId]) -> Result<Vec<Option<Statement>>, StoreError> {
        self.alive().await;
        self.inner.statements(ids).await
    }

    async fn archive(&self, batch: &[Statement], entry: &AuditEntry) -> Result<Vec<Updated>, StoreError> {
        self.write(self.inner.archive(batch, entry)).await
    }
}
