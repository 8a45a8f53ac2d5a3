//! Webhooks: signed as Stripe signs them, sent in the background, tried again for a while, held or sent again on
//! demand.
//!
//! Not here: which event belongs to which change (`machine`).

mod deliver;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::Sha256;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::machine::EventKind;
use crate::scenario::Fault;
use crate::{API_VERSION, clock, ids, limits};

/// The value of `Stripe-Signature` for these bytes: `t=…,v1=…`, HMAC-SHA256 over `t.body`.
///
/// `timestamp` is in seconds since the epoch. Source: Stripe, "Verify webhook signatures manually".
pub fn sign(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={timestamp},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Whether webhooks are sent at all. Events are recorded in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookMode {
    /// Sent.
    On,
    /// Only recorded.
    Off,
}

/// The order in which held webhooks are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOrder {
    /// As things happened.
    AsHappened,
    /// The last one first.
    Reversed,
    /// Any order, the same for the same seed.
    Shuffled(u64),
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver answered 2xx.
    Delivered,
    /// It did not, as often as was tried; or nobody is to receive it.
    NotDelivered,
    /// There is no such event (any more).
    Unknown,
}

/// An event as the sandbox recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// `evt_…`.
    pub id: String,
    /// Such as `payment_intent.succeeded`.
    pub kind: &'static str,
    /// `pi_…`.
    pub payment_intent: String,
    /// The body as it is posted.
    pub body: Bytes,
}

/// How often an event is sent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    Never,
    Once,
    Thrice,
}

impl Sending {
    pub(crate) fn of(fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::WebhookNever) => Self::Never,
            Some(Fault::WebhookThrice) => Self::Thrice,
            _ => Self::Once,
        }
    }
}

#[derive(Debug)]
struct Outbox {
    url: Option<String>,
    mode: WebhookMode,
    /// `Some` while webhooks are held.
    held: Option<Vec<Arc<EventRecord>>>,
    recorded: VecDeque<Arc<EventRecord>>,
}

#[derive(Debug)]
pub(crate) struct Webhooks {
    outbox: Mutex<Outbox>,
    secret: String,
    client: reqwest::Client,
    /// Changes may come from a thread outside the runtime.
    runtime: Handle,
    slots: Semaphore,
    under_way: watch::Sender<usize>,
    stop: CancellationToken,
}

impl Webhooks {
    pub(crate) fn new(url: Option<String>, secret: String, stop: CancellationToken) -> io::Result<Arc<Self>> {
        let outbox = Outbox { url, mode: WebhookMode::On, held: None, recorded: VecDeque::new() };
        Ok(Arc::new(Self {
            outbox: Mutex::new(outbox),
            secret,
            client: deliver::client()?,
            runtime: Handle::current(),
            slots: Semaphore::new(limits::WEBHOOK_CONCURRENCY),
            under_way: watch::Sender::new(0),
            stop,
        }))
    }

    /// Records an event and, unless something is against it, sends it in the background.
    pub(crate) fn emit(
        self: &Arc<Self>,
        kind: EventKind,
        payment_intent: &str,
        object: &[u8],
        sending: Sending,
    ) -> Option<JoinHandle<()>> {
        let event = Arc::new(event(kind, payment_intent, object));
        let mut outbox = self.outbox();
        if outbox.recorded.len() >= limits::STORED_EVENTS {
            outbox.recorded.pop_front();
        }
        outbox.recorded.push_back(Arc::clone(&event));
        let copies = match sending {
            Sending::Never => return None,
            Sending::Once => 1,
            Sending::Thrice => 3,
        };
        if outbox.mode == WebhookMode::Off {
            return None;
        }
        if let Some(held) = &mut outbox.held {
            if held.len() + copies <= limits::STORED_EVENTS {
                held.extend(std::iter::repeat_n(event, copies));
            }
            return None;
        }
        outbox.url.as_ref()?;
        drop(outbox);
        if *self.under_way.borrow() >= limits::WEBHOOK_QUEUE {
            tracing::warn!(event = event.id, "sandbox webhook queue is full; the event is not sent");
            return None;
        }
        Some(self.send(vec![event; copies]))
    }

    /// Sends events one after the other in the background.
    fn send(self: &Arc<Self>, events: Vec<Arc<EventRecord>>) -> JoinHandle<()> {
        let turn = deliver::Turn::new(Arc::clone(self));
        self.runtime.spawn(async move {
            for event in &events {
                turn.deliver(event).await;
            }
        })
    }

    /// Sends what was held, one after the other, and stops holding. Returns how many arrived.
    pub(crate) async fn release(self: &Arc<Self>, order: ReleaseOrder) -> usize {
        let mut events = self.outbox().held.take().unwrap_or_default();
        match order {
            ReleaseOrder::AsHappened => {}
            ReleaseOrder::Reversed => events.reverse(),
            ReleaseOrder::Shuffled(seed) => events.shuffle(&mut StdRng::seed_from_u64(seed)),
        }
        let turn = deliver::Turn::new(Arc::clone(self));
        let mut arrived = 0;
        for event in &events {
            arrived += usize::from(turn.deliver(event).await == Delivery::Delivered);
        }
        arrived
    }

    /// Sends a recorded event once more, whatever the mode.
    pub(crate) async fn resend(self: &Arc<Self>, id: &str) -> Delivery {
        let event = self.outbox().recorded.iter().rev().find(|event| event.id == id).cloned();
        match event {
            Some(event) => deliver::Turn::new(Arc::clone(self)).deliver(&event).await,
            None => Delivery::Unknown,
        }
    }

    pub(crate) fn recorded(&self) -> Vec<EventRecord> {
        self.outbox().recorded.iter().map(|event| (**event).clone()).collect()
    }

    pub(crate) fn hold(&self) {
        self.outbox().held.get_or_insert_with(Vec::new);
    }

    pub(crate) fn set_mode(&self, mode: WebhookMode) {
        self.outbox().mode = mode;
    }

    pub(crate) fn set_url(&self, url: Option<String>) {
        self.outbox().url = url;
    }

    /// Returns when nothing is under way.
    pub(crate) async fn idle(&self) {
        // The sender lives in self, so waiting cannot fail.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stripe's event object around a rendered one.
fn event(kind: EventKind, payment_intent: &str, object: &[u8]) -> EventRecord {
    let id = ids::new("evt_");
    let head = format!(
        r#"{{"id":"{id}","object":"event","api_version":"{API_VERSION}","created":{},"livemode":false,"pending_webhooks":1,"request":{{"id":null,"idempotency_key":null}},"type":"{}","data":{{"object":"#,
        clock::now(),
        kind.name(),
    );
    let mut body = Vec::with_capacity(head.len() + object.len() + 2);
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(object);
    body.extend_from_slice(b"}}");
    EventRecord { id, kind: kind.name(), payment_intent: payment_intent.to_owned(), body: body.into() }
}
