//! Executions of a store that has none.

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::ids::PaymentId;
use workflow::port::executions::{Execution, Executions};
use workflow::port::store::StoreError;

use super::TestStore;

#[async_trait]
impl Executions for TestStore {
    async fn executions(&self, _ids: &[PaymentId]) -> Result<Vec<Execution>, StoreError> {
        self.up(Vec::new())
    }

    async fn keep_executions(&self, _batch: &[Execution], _look_at: Timestamp) -> Result<(), StoreError> {
        self.up(())
    }

    async fn forget_executions(&self, _batch: &[Execution]) -> Result<(), StoreError> {
        self.up(())
    }

    async fn watch_executions(&self, _now: Timestamp, _limit: u32) -> Result<Vec<Execution>, StoreError> {
        self.up(Vec::new())
    }
}
