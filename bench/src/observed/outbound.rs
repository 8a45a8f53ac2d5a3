//! Outbound webhooks: counted as reading, for nobody waits for them.

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::ids::{EndpointId, EventId, MerchantId};
use workflow::port::outbound::{
    AttemptRow, Backlog, DeliveryClaim, DeliveryPage, DeliveryResult, DeliveryRow, DirectEvent, Dispatch, Endpoint,
    EndpointWrite, Outbound, Resend,
};
use workflow::port::store::{StoreError, Updated};

use super::Observed;

#[async_trait]
impl Outbound for Observed {
    async fn write_endpoint(&self, write: &EndpointWrite) -> Result<Updated, StoreError> {
        self.reading(self.store.write_endpoint(write)).await
    }

    async fn delete_endpoint(&self, merchant_id: MerchantId, id: EndpointId) -> Result<Updated, StoreError> {
        self.reading(self.store.delete_endpoint(merchant_id, id)).await
    }

    async fn endpoints(&self, merchant_id: MerchantId) -> Result<Vec<Endpoint>, StoreError> {
        self.reading(self.store.endpoints(merchant_id)).await
    }

    async fn endpoint(&self, merchant_id: MerchantId, id: EndpointId) -> Result<Option<Endpoint>, StoreError> {
        self.reading(self.store.endpoint(merchant_id, id)).await
    }

    async fn send_directly(&self, direct: &DirectEvent) -> Result<Updated, StoreError> {
        self.reading(self.store.send_directly(direct)).await
    }

    async fn resend(&self, resend: &Resend) -> Result<Updated, StoreError> {
        self.reading(self.store.resend(resend)).await
    }

    async fn event(&self, merchant_id: MerchantId, id: EventId) -> Result<Option<String>, StoreError> {
        self.reading(self.store.event(merchant_id, id)).await
    }

    async fn deliveries(&self, page: DeliveryPage) -> Result<Vec<DeliveryRow>, StoreError> {
        self.reading(self.store.deliveries(page)).await
    }

    async fn delivery(&self, endpoint_id: EndpointId, event_id: EventId) -> Result<Option<DeliveryRow>, StoreError> {
        self.reading(self.store.delivery(endpoint_id, event_id)).await
    }

    async fn attempts(
        &self,
        endpoint_id: EndpointId,
        event_id: EventId,
        limit: u32,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        self.reading(self.store.attempts(endpoint_id, event_id, limit)).await
    }

    async fn claim_deliveries(&self, claim: DeliveryClaim<'_>) -> Result<Vec<Dispatch>, StoreError> {
        self.reading(self.store.claim_deliveries(claim)).await
    }

    async fn settle_deliveries(
        &self,
        batch: &[DeliveryResult],
        failing_since: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError> {
        self.reading(self.store.settle_deliveries(batch, failing_since)).await
    }

    async fn prune_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.reading(self.store.prune_events(before, limit)).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        self.reading(self.store.backlog(now)).await
    }
}
