//! Endpoints of a store that has none, and takes whatever it is given.

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::ids::{EndpointId, EventId, MerchantId};
use workflow::port::outbound::{
    AttemptRow, Backlog, DeliveryClaim, DeliveryPage, DeliveryResult, DeliveryRow, DirectEvent, Dispatch, Endpoint,
    EndpointWrite, Outbound, Resend,
};
use workflow::port::store::{StoreError, Updated};

use super::TestStore;

#[async_trait]
impl Outbound for TestStore {
    async fn write_endpoint(&self, _write: &EndpointWrite) -> Result<Updated, StoreError> {
        self.up(Updated::Applied)
    }

    async fn delete_endpoint(&self, _merchant_id: MerchantId, _id: EndpointId) -> Result<Updated, StoreError> {
        self.up(Updated::Applied)
    }

    async fn endpoints(&self, _merchant_id: MerchantId) -> Result<Vec<Endpoint>, StoreError> {
        self.up(Vec::new())
    }

    async fn endpoint(&self, _merchant_id: MerchantId, _id: EndpointId) -> Result<Option<Endpoint>, StoreError> {
        self.up(None)
    }

    async fn send_directly(&self, _direct: &DirectEvent) -> Result<Updated, StoreError> {
        self.up(Updated::Applied)
    }

    async fn resend(&self, _resend: &Resend) -> Result<Updated, StoreError> {
        self.up(Updated::Applied)
    }

    async fn event(&self, _merchant_id: MerchantId, _id: EventId) -> Result<Option<String>, StoreError> {
        self.up(None)
    }

    async fn deliveries(&self, _page: DeliveryPage) -> Result<Vec<DeliveryRow>, StoreError> {
        self.up(Vec::new())
    }

    async fn delivery(&self, _endpoint_id: EndpointId, _event_id: EventId) -> Result<Option<DeliveryRow>, StoreError> {
        self.up(None)
    }

    async fn attempts(
        &self,
        _endpoint_id: EndpointId,
        _event_id: EventId,
        _limit: u32,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        self.up(Vec::new())
    }

    async fn claim_deliveries(&self, _claim: DeliveryClaim<'_>) -> Result<Vec<Dispatch>, StoreError> {
        self.up(Vec::new())
    }

    async fn settle_deliveries(
        &self,
        _batch: &[DeliveryResult],
        _failing_since: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError> {
        self.up(Vec::new())
    }

    async fn prune_events(&self, _before: Timestamp, _limit: u32) -> Result<u64, StoreError> {
        self.up(0)
    }
    async fn backlog(&self, _now: Timestamp) -> Result<Backlog, StoreError> {
        self.up(Backlog::default())
    }
}
