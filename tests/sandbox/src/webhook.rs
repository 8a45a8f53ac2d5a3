//! Webhooks: signed as Stripe signs them, sent in the background, tried again for a while, held or sent again on
//! demand.
//!
//! Not here: which event belongs to which change (`machine`).

mod deliver;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

use crate::error::to_json;
use crate::event::Event;
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
    /// After the next one of its payment.
    Overtaken,
}

impl Sending {
    pub(crate) fn of(fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::WebhookNever) => Self::Never,
            Some(Fault::WebhookThrice) => Self::Thrice,
            Some(Fault::WebhookOvertaken) => Self::Overtaken,
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
    /// Events that let the next one of their payment pass, by payment.
    overtaken: HashMap<String, Arc<EventRecord>>,
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
    /// How long an event waits to be overtaken.
    patience: Duration,
    stop: CancellationToken,
}

impl Webhooks {
    pub(crate) fn new(
        url: Option<String>,
        secret: String,
        patience: Duration,
        stop: CancellationToken,
    ) -> io::Result<Arc<Self>> {
        let outbox =
            Outbox { url, mode: WebhookMode::On, held: None, overtaken: HashMap::new(), recorded: VecDeque::new() };
        Ok(Arc::new(Self {
            outbox: Mutex::new(outbox),
            secret,
            client: deliver::client()?,
            runtime: Handle::current(),
            slots: Semaphore::new(limits::WEBHOOK_CONCURRENCY),
            under_way: watch::Sender::new(0),
            patience,
            stop,
        }))
    }

    /// Records events and, unless something is against it, sends them in the background, one after the other.
    pub(crate) fn emit(self: &Arc<Self>, events: Vec<EventRecord>, sending: Sending) -> Option<JoinHandle<()>> {
        let mut outbox = self.outbox();
        let mut batch = Vec::new();
        for event in events.into_iter().map(Arc::new) {
            outbox.record(Arc::clone(&event));
            if outbox.mode == WebhookMode::On {
                batch.extend(self.due(&mut outbox, event, sending));
            }
        }
        self.send(outbox, batch)
    }

    /// What is to be sent now that this event has happened.
    fn due(self: &Arc<Self>, outbox: &mut Outbox, event: Arc<EventRecord>, sending: Sending) -> Vec<Arc<EventRecord>> {
        match sending {
            Sending::Never => Vec::new(),
            Sending::Once => vec![event],
            Sending::Thrice => vec![event; 3],
            Sending::Overtaken => match outbox.overtaken.remove(&event.payment_intent) {
                Some(earlier) => vec![event, earlier],
                None if outbox.overtaken.len() >= limits::STORED_EVENTS => vec![event],
                None => {
                    self.send_at_the_latest(&event);
                    outbox.overtaken.insert(event.payment_intent.clone(), event);
                    Vec::new()
                }
            },
        }
    }

    /// An event that nothing overtakes is sent all the same.
    fn send_at_the_latest(self: &Arc<Self>, event: &EventRecord) {
        let (webhooks, id, payment) = (Arc::clone(self), event.id.clone(), event.payment_intent.clone());
        self.runtime.spawn(async move {
            tokio::select! {
                () = webhooks.stop.cancelled() => return,
                () = tokio::time::sleep(webhooks.patience) => {}
            }
            let mut outbox = webhooks.outbox();
            if outbox.overtaken.get(&payment).is_some_and(|event| event.id == id)
                && let Some(event) = outbox.overtaken.remove(&payment)
            {
                webhooks.send(outbox, vec![event]);
            }
        });
    }

    /// Sends every event that waits to be overtaken. Returns how many there were.
    pub(crate) fn send_overtaken(self: &Arc<Self>) -> usize {
        let mut outbox = self.outbox();
        let events: Vec<_> = outbox.overtaken.drain().map(|(_, event)| event).collect();
        let count = events.len();
        self.send(outbox, events);
        count
    }

    /// Holds the events, or sends them.
    fn send(
        self: &Arc<Self>,
        mut outbox: MutexGuard<'_, Outbox>,
        events: Vec<Arc<EventRecord>>,
    ) -> Option<JoinHandle<()>> {
        if events.is_empty() {
            return None;
        }
        if let Some(held) = &mut outbox.held {
            if held.len() + events.len() <= limits::STORED_EVENTS {
                held.extend(events);
            }
            return None;
        }
        outbox.url.as_ref()?;
        drop(outbox);
        if *self.under_way.borrow() >= limits::WEBHOOK_QUEUE {
            tracing::warn!("sandbox webhook queue is full; an event is not sent");
            return None;
        }
        Some(self.post(events))
    }

    /// Sends events one after the other in the background.
    fn post(self: &Arc<Self>, events: Vec<Arc<EventRecord>>) -> JoinHandle<()> {
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

impl Outbox {
    fn record(&mut self, event: Arc<EventRecord>) {
        if self.recorded.len() >= limits::STORED_EVENTS {
            self.recorded.pop_front();
        }
        self.recorded.push_back(event);
    }
}

impl EventRecord {
    /// Stripe's event object around a rendered one.
    pub(crate) fn new(event: &Event, payment_intent: &str, object: &[u8]) -> Self {
        let (id, kind) = (ids::new("evt_"), event.kind.name());
        let head = format!(
            r#"{{"id":"{id}","object":"event","api_version":"{API_VERSION}","created":{},"livemode":false,"pending_webhooks":1,"request":{{"id":null,"idempotency_key":null}},"type":"{kind}","data":{{"object":"#,
            clock::now(),
        );
        let mut body = Vec::with_capacity(head.len() + object.len() + 2);
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(object);
        if let Some(previous) = &event.previous {
            body.extend_from_slice(br#","previous_attributes":"#);
            body.extend_from_slice(&to_json(previous));
        }
        body.extend_from_slice(b"}}");
        Self { id, kind, payment_intent: payment_intent.to_owned(), body: body.into() }
    }
}
