//! Outbound webhooks: endpoints, events and their deliveries.
//!
//! Not here: writing a payment's events; that is part of the update that moves it (`update.rs`).

mod deliveries;
mod endpoints;
mod events;

use async_trait::async_trait;
use jiff::Timestamp;
use workflow::ids::{EndpointId, EventId, MerchantId};
use workflow::port::outbound::{
    AttemptRow, Backlog, DeliveryClaim, DeliveryPage, DeliveryResult, DeliveryRow, DirectEvent, Dispatch, Endpoint,
    EndpointWrite, Outbound, Resend,
};
use workflow::port::store::{StoreError, Updated};

use crate::SqliteStore;

pub(crate) use events::announce;

#[async_trait]
impl Outbound for SqliteStore {
    async fn write_endpoint(&self, write: &EndpointWrite) -> Result<Updated, StoreError> {
        endpoints::write_endpoint(self, write).await
    }

    async fn delete_endpoint(&self, merchant_id: MerchantId, id: EndpointId) -> Result<Updated, StoreError> {
        endpoints::delete_endpoint(self, merchant_id, id).await
    }

    async fn endpoints(&self, merchant_id: MerchantId) -> Result<Vec<Endpoint>, StoreError> {
        endpoints::endpoints(self, merchant_id).await
    }

    async fn endpoint(&self, merchant_id: MerchantId, id: EndpointId) -> Result<Option<Endpoint>, StoreError> {
        endpoints::endpoint(self, merchant_id, id).await
    }

    async fn send_directly(&self, direct: &DirectEvent) -> Result<Updated, StoreError> {
        events::send_directly(self, direct).await
    }

    async fn resend(&self, resend: &Resend) -> Result<Updated, StoreError> {
        events::resend(self, resend).await
    }

    async fn event(&self, merchant_id: MerchantId, id: EventId) -> Result<Option<String>, StoreError> {
        events::event(self, merchant_id, id).await
    }

    async fn deliveries(&self, page: DeliveryPage) -> Result<Vec<DeliveryRow>, StoreError> {
        events::deliveries(self, page).await
    }

    async fn delivery(&self, endpoint_id: EndpointId, event_id: EventId) -> Result<Option<DeliveryRow>, StoreError> {
        events::delivery(self, endpoint_id, event_id).await
    }

    async fn attempts(
        &self,
        endpoint_id: EndpointId,
        event_id: EventId,
        limit: u32,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        events::attempts(self, endpoint_id, event_id, limit).await
    }

    async fn claim_deliveries(&self, claim: DeliveryClaim<'_>) -> Result<Vec<Dispatch>, StoreError> {
        deliveries::claim_deliveries(self, claim).await
    }

    async fn settle_deliveries(
        &self,
        batch: &[DeliveryResult],
        failing_since: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError> {
        deliveries::settle_deliveries(self, batch, failing_since).await
    }

    async fn prune_events(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        events::prune_events(self, before, limit).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        deliveries::backlog(self, now).await
    }
}
