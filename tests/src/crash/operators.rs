//! The audit log and the pauses of a store that dies: it answers nothing afterwards. Each process looks for pauses once a
//! second: counted, these looks would push every other one behind them.

use std::future::pending;

use async_trait::async_trait;
use workflow::ids::AuditId;
use workflow::port::audit::{AuditEntry, AuditFilter, AuditLog};
use workflow::port::pauses::{Pause, Pauses};
use workflow::port::store::{StoreError, Updated};

use super::CrashStore;

#[async_trait]
impl AuditLog for CrashStore {
    async fn enter(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.write(self.inner.enter(entries)).await
    }

    async fn entries(
        &self,
        filter: &AuditFilter,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.alive().await;
        self.inner.entries(filter, before, limit).await
    }
}

#[async_trait]
impl Pauses for CrashStore {
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        if self.died.is_cancelled() {
            pending::<()>().await;
        }
        self.inner.pauses().await
    }

    async fn pause(&self, pause: &Pause, entry: &AuditEntry) -> Result<Updated, StoreError> {
        self.write(self.inner.pause(pause, entry)).await
    }

    async fn resume(&self, psp: &str, entry: &AuditEntry) -> Result<Updated, StoreError> {
        self.write(self.inner.resume(psp, entry)).await
    }
}
