//! Executions of a store that dies: it answers nothing afterwards. Their writes are not counted: they come at times of their own,
//! and would push every other write behind them.

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::ids::PaymentId;
use workflow::port::executions::{Execution, Executions};
use workflow::port::store::StoreError;

use super::CrashStore;

#[async_trait]
impl Executions for CrashStore {
    async fn executions(&self, ids: &[PaymentId]) -> Result<Vec<Execution>, StoreError> {
        self.alive().await;
        self.inner.executions(ids).await
    }

    async fn keep_executions(&self, batch: &[Execution], look_at: Timestamp) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.keep_executions(batch, look_at).await
    }

    async fn forget_executions(&self, batch: &[Execution]) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.forget_executions(batch).await
    }

    async fn watch_executions(&self, now: Timestamp, limit: u32) -> Result<Vec<Execution>, StoreError> {
        self.alive().await;
        self.inner.watch_executions(now, limit).await
    }
}
