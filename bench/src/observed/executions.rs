//! Executions: counted as reading, for no payment waits for them.

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::ids::PaymentId;
use workflow::port::executions::{Execution, Executions};
use workflow::port::store::StoreError;

use super::Observed;

#[async_trait]
impl Executions for Observed {
    async fn executions(&self, ids: &[PaymentId]) -> Result<Vec<Execution>, StoreError> {
        self.reading(self.store.executions(ids)).await
    }

    async fn keep_executions(&self, batch: &[Execution], look_at: Timestamp) -> Result<(), StoreError> {
        self.reading(self.store.keep_executions(batch, look_at)).await
    }

    async fn forget_executions(&self, batch: &[Execution]) -> Result<(), StoreError> {
        self.reading(self.store.forget_executions(batch)).await
    }

    async fn watch_executions(&self, now: Timestamp, limit: u32) -> Result<Vec<Execution>, StoreError> {
        self.reading(self.store.watch_executions(now, limit)).await
    }
}
