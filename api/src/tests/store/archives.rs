//! Archived histories of the test store: there are none.

use async_trait::async_trait;
use workflow::ids::PaymentId;
use workflow::port::archives::{Archives, Statement};
use workflow::port::audit::AuditEntry;
use workflow::port::store::{Bounds, StoreError, Updated};

use super::TestStore;

#[async_trait]
impl Archives for TestStore {
    async fn unarchived(&self, _between: Bounds, _limit: u32) -> Result<Vec<PaymentId>, StoreError> {
        self.up(Vec::new())
    }

    async fn statements(&self, ids: &[PaymentId]) -> Result<Vec<Option<Statement>>, StoreError> {
        self.up(vec![None; ids.len()])
    }

    async fn archive(&self, batch: &[Statement], _entry: &AuditEntry) -> Result<Vec<Updated>, StoreError> {
        self.up(vec![Updated::Conflict; batch.len()])
    }
}
