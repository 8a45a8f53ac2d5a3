//! What handlers, timers and the owner's handle have in common.
//!
//! Not here: the state itself (`state`), which is only reached through the lock in here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::idempotency::Key;
use crate::machine::{Authentication, Pace, Settled};
use crate::params::Call;
use crate::scenario::{DisputePlan, Operation, Verdict};
use crate::state::{Late, Reply, State, Step};
use crate::webhook::Webhooks;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) webhooks: Arc<Webhooks>,
    /// The expected value of `Authorization`.
    pub(crate) authorization: String,
    pub(crate) base_url: String,
    pub(crate) processing_delay: Duration,
    pub(crate) long_delay: Duration,
    /// Changes may come from a thread outside the runtime.
    pub(crate) runtime: Handle,
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
        if let Step::Done(reply) = &step {
            self.arm(&reply.later);
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
            shared.arm(&reply.later);
            Some(reply)
        });
        task.await.ok().flatten()
    }

    /// Lets what is still to come happen after its delay.
    pub(crate) fn arm(self: &Arc<Self>, later: &[Late]) {
        for late in later {
            let (shared, late) = (Arc::clone(self), late.clone());
            let delay = match late.pace {
                Pace::Soon => self.processing_delay,
                Pace::Long => self.long_delay,
            };
            self.runtime.spawn(async move {
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    () = tokio::time::sleep(delay) => {
                        shared.happen(&late);
                    }
                }
            });
        }
    }

    /// It happens now.
    pub(crate) fn happen(self: &Arc<Self>, late: &Late) -> Settled {
        self.armed(|state| state.happen(late))
    }

    /// As [`State::authenticate`].
    pub(crate) fn authenticate(self: &Arc<Self>, payment_intent: &str, answer: Authentication) -> Settled {
        self.armed(|state| state.authenticate(payment_intent, answer))
    }

    /// As [`State::open_dispute`].
    pub(crate) fn open_dispute(self: &Arc<Self>, payment_intent: &str, plan: DisputePlan) -> Settled {
        self.armed(|state| state.open_dispute(payment_intent, plan))
    }

    /// As [`State::close_dispute`].
    pub(crate) fn close_dispute(self: &Arc<Self>, dispute: &str, verdict: Verdict) -> Settled {
        self.armed(|state| state.close_dispute(dispute, verdict))
    }

    fn armed(self: &Arc<Self>, change: impl FnOnce(&mut State) -> (Settled, Vec<Late>)) -> Settled {
        let (settled, later) = change(&mut self.state());
        self.arm(&later);
        settled
    }

    /// Everything that is still to come happens now, one step each. Returns how many steps.
    pub(crate) fn settle(self: &Arc<Self>) -> usize {
        let awaited = self.state().awaited();
        awaited.iter().filter(|late| self.happen(late) == Settled::Now).count() + self.webhooks.send_overtaken()
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
    /// `POST /v1/disputes/{id}` and `POST /v1/disputes/{id}/close`.
    pub dispute: u64,
    /// `GET /v1/disputes/{id}`.
    pub retrieve_dispute: u64,
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
    dispute: AtomicU64,
    retrieve_dispute: AtomicU64,
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
            Operation::Dispute => &self.dispute,
            Operation::RetrieveDispute => &self.retrieve_dispute,
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
            dispute: read(&self.dispute),
            retrieve_dispute: read(&self.retrieve_dispute),
        }
    }
}
