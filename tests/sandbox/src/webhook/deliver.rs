//! Posts one event until it is accepted or given up.
//!
//! Not here: whether and in which order events are sent (`webhook`).

use std::io;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;

use super::{Delivery, EventRecord, Webhooks, sign};
use crate::{clock, limits};

/// A client for plain HTTP. It trusts no certificate, and so needs neither the system's roots nor a process-wide
/// cryptography provider.
pub(super) fn client() -> io::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(limits::WEBHOOK_TIMEOUT)
        .build()
        .map_err(io::Error::other)
}

/// A sender's turn; it counts as under way until it is dropped.
pub(super) struct Turn(Arc<Webhooks>);

impl Turn {
    pub(super) fn new(webhooks: Arc<Webhooks>) -> Self {
        webhooks.under_way.send_modify(|count| *count += 1);
        Self(webhooks)
    }

    pub(super) async fn deliver(&self, event: &EventRecord) -> Delivery {
        let mut pause = limits::WEBHOOK_BACKOFF;
        for attempt in 1..=limits::WEBHOOK_ATTEMPTS {
            if self.post(event).await == Delivery::Delivered {
                return Delivery::Delivered;
            }
            if attempt == limits::WEBHOOK_ATTEMPTS || self.0.outbox().url.is_none() {
                break;
            }
            tokio::select! {
                () = self.0.stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause *= 3;
        }
        tracing::debug!(event = event.id, "sandbox webhook is given up");
        Delivery::NotDelivered
    }

    async fn post(&self, event: &EventRecord) -> Delivery {
        // The semaphore is never closed.
        let Ok(_slot) = self.0.slots.acquire().await else { return Delivery::NotDelivered };
        let Some(url) = self.0.outbox().url.clone() else { return Delivery::NotDelivered };
        let signature = sign(&self.0.secret, clock::now(), &event.body);
        let request = self
            .0
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("stripe-signature", signature)
            .body(event.body.clone())
            .send();
        let answer = tokio::select! {
            () = self.0.stop.cancelled() => return Delivery::NotDelivered,
            answer = request => answer,
        };
        match answer {
            Ok(response) if response.status().is_success() => Delivery::Delivered,
            Ok(_) | Err(_) => Delivery::NotDelivered,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}
