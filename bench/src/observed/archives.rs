//! Archived histories: counted as reading, for no payment waits for them.

use async_trait::async_trait;
use workflow::ids::PaymentId;
use workflow::port::archives::{Archives, Statement};
use workflow::port::audit::AuditEntry;
use workflow::port::store::{Bounds, StoreError, Updated};

use super::Observed;

#[async_trait]
impl Archives for Observed {
    async fn unarchived(&self, between: Bounds, limit: u32) -> Result<Vec<PaymentId>, StoreError> {
        self.reading(self.store.unarchived(between, limit)).await
    }

    async fn statements(&self, ids: &[PaymentId]) -> Result<Vec<Option<Statement>>, StoreError> {
        self.reading(self.store.statements(ids)).await
    }

    async fn archive(&self, batch: &[Statement], entry: &AuditEntry) -> Result<Vec<Updated>, StoreError> {
        self.reading(self.store.archive(batch, entry)).await
    }
}
