//! What handlers, timers and the owner's handle have in common.
//!
//! Not here: the state itself (`state`), which is only reached through the lock in here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::idempotency::Key;
use crate::params::Call;
use crate::scenario::Operation;
use crate::state::{Reply, State, Step};
use crate::webhook::Webhooks;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) webhooks: Arc<Webhooks>,
    /// The expected value of `Authorization`.
    pub(crate) authorization: String,
    pub(crate) base_url: String,
    pub(crate) processing_delay: Duration,
    pub(crate) down: Arc<AtomicBool>,
    pub(crate) counters: Counters,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// Held for microseconds and never across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call, as [`State::perform`].
    pub(crate) fn perform(self: &Arc<Self>, call: &Call, key: Option<&Key>) -> Step {
        let step = self.state().perform(call, key);
        if let Step::Done(Reply { processing: Some(id), .. }) = &step {
            self.settle_later(id.clone());
        }
        step
    }

    /// A call that was put off, as [`State::perform_delayed`]. It goes on when its client has given up.
    pub(crate) async fn perform_after(
        self: &Arc<Self>,
        delay: Duration,
        call: Call,
        key: Option<Key>,
    ) -> Option<Reply> {
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = shared.stop.cancelled() => return None,
                () = tokio::time::sleep(delay) => {}
            }
            let reply = shared.state().perform_delayed(&call, key.as_ref());
            if let Some(id) = &reply.processing {
                shared.settle_later(id.clone());
            }
            Some(reply)
        });
        task.await.ok().flatten()
    }

    /// Lets the card answer after the configured delay.
    pub(crate) fn settle_later(self: &Arc<Self>, id: String) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = tokio::time::sleep(shared.processing_delay) => {
                    shared.state().settle(&id);
                }
            }
        });
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

/// How many requests each route has seen: every request counts, answered or not.
///
/// Here, unlike in [`Sandbox::fail_next`](crate::Sandbox::fail_next), `POST /v1/payment_intents` counts as `create`
/// with and without `confirm=true`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// `POST /v1/payment_intents`.
    pub create: u64,
    /// `GET /v1/payment_intents/{id}`.
    pub retrieve: u64,
    /// `POST /v1/payment_intents/{id}/confirm`.
    pub confirm: u64,
    /// `POST /v1/payment_intents/{id}/capture`.
    pub capture: u64,
    /// `POST /v1/payment_intents/{id}/cancel`.
    pub cancel: u64,
    /// `POST /v1/refunds`.
    pub refund: u64,
    /// `GET /v1/refunds/{id}`.
    pub retrieve_refund: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    create: AtomicU64,
    retrieve: AtomicU64,
    confirm: AtomicU64,
    capture: AtomicU64,
    cancel: AtomicU64,
    refund: AtomicU64,
    retrieve_refund: AtomicU64,
}

impl Counters {
    /// Counts a request; the operation stands for its route.
    pub(crate) fn count(&self, route: Operation) {
        let counter = match route {
            Operation::Create => &self.create,
            Operation::Retrieve => &self.retrieve,
            Operation::Confirm => &self.confirm,
            Operation::Capture => &self.capture,
            Operation::Cancel => &self.cancel,
            Operation::Refund => &self.refund,
            Operation::RetrieveRefund => &self.retrieve_refund,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Requests {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Requests {
            create: read(&self.create),
            retrieve: read(&self.retrieve),
            confirm: read(&self.confirm),
            capture: read(&self.capture),
            cancel: read(&self.cancel),
            refund: read(&self.refund),
            retrieve_refund: read(&self.retrieve_refund),
        }
    }
}
