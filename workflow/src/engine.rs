//! The engine: the only mover of payments. It takes what happened, lets the table decide, and has the store write the
//! step, in one transaction with the history that explains it.
//!
//! Split by who asks: clients ([`client`]), workers ([`worker`]), PSPs ([`webhook`]) and operators ([`operator`]).
//! Not here: deciding ([`crate::decide`]), SQL, and calls to PSPs.

mod change;
pub mod client;
mod in_hand;
pub mod operator;
mod pauses;
pub mod redrives;
pub mod webhook;
pub mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::decide::{Decision, Occurrence, Step, decide};
use crate::definition::{Definition, State};
use crate::event::{Actor, Event};
use crate::group_commit::Lane;
use crate::ids::PaymentId;
use crate::notification::Notification;
use crate::payment::{Payment, RefundOf, RefundStatus};
use crate::port::clock::{Clock, Random};
use crate::port::gateway::Capabilities;
use crate::port::moves::{Moved, Moves};
use crate::port::queue::{Queue, Wake};
use crate::port::store::{NewPayment, Opened, Origin, Started, Store, StoreError, Update, Updated};
use crate::port::timeouts::{Followed, Timeouts};
use crate::shared::Nothing;
use crate::trace::{self, TraceContext};

use change::{Change, News, following};

/// How often a lost compare-and-set is decided again. Each loss means that somebody else won, so one payment would
/// have to be fought over by this many others at once.
const MAX_CONFLICTS: usize = 64;

/// Why the engine did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The store did not answer: nothing was acknowledged; try again later.
    #[error("the store did not answer")]
    Store(#[source] Arc<StoreError>),
    /// There is no such payment, or it is not this merchant's.
    #[error("there is no such payment")]
    NotFound,
    /// The table does not allow it; the client is told why.
    #[error("a payment that is {state} does not allow this: {why}")]
    Illegal {
        /// Where the payment stands.
        state: State,
        /// The table's reason.
        why: &'static str,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// A request with the same idempotency key is being worked on; try again.
    #[error("a request with the same idempotency key is being worked on")]
    KeyInUse,
    /// Too many others moved the payment at the same time; try again.
    #[error("the payment is being moved by many others")]
    Contended,
    /// This binary does not know the version the payment has pinned; a newer one does.
    #[error("the payment runs by workflow version {0}, which this binary does not know")]
    UnknownVersion(i32),
}

impl From<Arc<StoreError>> for EngineError {
    fn from(error: Arc<StoreError>) -> Self {
        Self::Store(error)
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// The engine. Cheap to share; opens its lanes on the runtime it is made in.
pub struct Engine {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    moves: Arc<dyn Moves>,
    timeouts: Arc<dyn Timeouts>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    capabilities: HashMap<String, Capabilities>,
    starts: Lane<NewPayment, Started>,
    updates: Lane<Update, Updated>,
    loads: Lane<PaymentId, Option<Payment>>,
    letters: watch::Sender<u64>,
    outbound: watch::Sender<u64>,
    in_hand: in_hand::InHand,
    pauses: pauses::KnownPauses,
}

impl Engine {
    /// An engine over these ports, for PSP accounts that can do this much. A process that does not know an account
    /// cannot call it either.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        capabilities: HashMap<String, Capabilities>,
    ) -> Self {
        let (starting, updating, loading) = (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
        let pauses = pauses::KnownPauses::of(Arc::clone(&store));
        Self {
            store,
            queue,
            moves: Arc::new(Nothing),
            timeouts: Arc::new(Nothing),
            clock,
            random,
            capabilities,
            starts: Lane::open("start", move |batch| {
                let store = Arc::clone(&starting);
                Box::pin(async move { store.start(&batch).await })
            }),
            updates: Lane::open("update", move |batch| {
                let store = Arc::clone(&updating);
                Box::pin(async move { store.update(&batch).await })
            }),
            loads: Lane::open("load", move |batch| {
                let store = Arc::clone(&loading);
                Box::pin(async move { store.load(&batch).await })
            }),
            letters: watch::Sender::new(0),
            outbound: watch::Sender::new(0),
            in_hand: in_hand::InHand::default(),
            pauses,
        }
    }

    /// The same engine, announcing every move here. Without, nobody is told.
    #[must_use]
    pub fn announcing(self, moves: Arc<dyn Moves>) -> Self {
        Self { moves, ..self }
    }

    /// The same engine, with a clock outside to keep the time of payments. Without, the database's times are all there is.
    #[must_use]
    pub fn timed_by(self, timeouts: Arc<dyn Timeouts>) -> Self {
        Self { timeouts, ..self }
    }

    /// The store behind the engine, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The queue that the engine tells.
    #[must_use]
    pub fn queue(&self) -> &Arc<dyn Queue> {
        &self.queue
    }

    /// Who keeps the time of payments beside the database.
    #[must_use]
    pub fn timeouts(&self) -> &Arc<dyn Timeouts> {
        &self.timeouts
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Changes with each dead letter that this engine writes: who tells of them need not wait for the next look.
    #[must_use]
    pub fn dead_letters(&self) -> watch::Receiver<u64> {
        self.letters.subscribe()
    }

    /// Changes with each event for merchants that may have been written: who delivers them need not wait for the next look.
    #[must_use]
    pub fn outbound_events(&self) -> watch::Receiver<u64> {
        self.outbound.subscribe()
    }

    /// Says that an event for merchants was written, or asked for again.
    pub fn tell_outbound(&self) {
        self.outbound.send_modify(|written| *written += 1);
    }

    /// Ends: waits until what was told outside has arrived, or cannot. Called when nothing will be moved any more.
    pub async fn close(&self) {
        self.timeouts.flush().await;
        self.queue.close().await;
    }

    /// Two random numbers, enough for an id.
    #[must_use]
    pub fn random_pair(&self) -> [u64; 2] {
        [self.random.next(), self.random.next()]
    }

    /// A payment as it stands now.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn load(&self, id: PaymentId) -> Result<Option<Arc<Payment>>, EngineError> {
        Ok(self.loads.commit(id).await?.map(Arc::new))
    }

    fn decide(&self, payment: &Payment, occurrence: &Occurrence, now: Timestamp) -> Result<Decision, EngineError> {
        Ok(decide(known(payment)?, payment, occurrence, now, self.random.next()))
    }

    /// Writes one step or two from `before` on, and afterwards says what follows. When that changes how a refund's money
    /// counts, its charge is moved in the same transaction.
    async fn write(&self, before: &Arc<Payment>, steps: Vec<Step>, origin: Origin) -> Result<Updated, EngineError> {
        let Some(after) = steps.last().map(|step| Arc::clone(&step.payment)) else { return Ok(Updated::Applied) };
        // On the heap, both: whoever moves a payment would carry them along.
        let with = match &after.refund_of {
            Some(of) => Box::pin(self.settled_with(of, before, &after)).await?,
            None => None,
        };
        Box::pin(self.write_with(self.change(Arc::clone(before), steps), with, None, origin)).await
    }

    /// Writes changes that belong together, and perhaps a refund that begins with them: all or nothing.
    async fn write_with(
        &self,
        change: Change,
        with: Option<Change>,
        opens: Option<Step>,
        origin: Origin,
    ) -> Result<Updated, EngineError> {
        let changes = || [Some(&change), with.as_ref()].into_iter().flatten();
        let told: Vec<(PaymentId, News)> =
            changes().flat_map(|change| &change.steps).map(|step| (step.payment.id, News::of(step))).collect();
        let moved: Vec<Moved> = changes().filter_map(Change::moved).collect();
        let mut followed: Vec<Followed> = changes().filter_map(Change::followed).collect();
        followed.extend(opens.as_ref().map(|step| following(None, &step.payment)));
        let ended: Vec<Arc<Payment>> = changes().filter_map(Change::ended).collect();
        let is_told = changes().any(|change| !change.notifications.is_empty());
        let Some(update) = change.into_update(origin) else { return Ok(Updated::Applied) };
        let update = Update {
            with: with.and_then(|change| change.into_update(Origin::Plain)).map(Box::new),
            opens: opens.map(|step| Box::new(Opened { payment: step.payment, row: step.row })),
            ..update
        };
        let updated = self.updates.commit(update).await?;
        if updated == Updated::Applied {
            told.iter().for_each(|(payment, news)| news.announce(*payment));
            if told.iter().any(|(_, news)| news.dead_letter.is_some()) {
                self.letters.send_modify(|written| *written += 1);
            }
            if is_told {
                self.tell_outbound();
            }
            followed.into_iter().for_each(|followed| self.timeouts.follow(followed));
            ended.iter().for_each(|payment| trace::ended(payment));
            for moved in moved {
                self.moves.announce(moved).await;
            }
        }
        Ok(updated)
    }

    /// What a refund's move does to its charge, when it changes how the refund's money counts.
    async fn settled_with(
        &self,
        of: &RefundOf,
        before: &Payment,
        after: &Payment,
    ) -> Result<Option<Change>, EngineError> {
        let (was, is) = (RefundStatus::of(before.state), RefundStatus::of(after.state));
        if was == is {
            return Ok(None);
        }
        let event = Event::RefundUpdated {
            refund: after.id,
            money: after.asked(),
            was,
            is,
            psp_refund: after.psp_reference.clone(),
        };
        let charge = self.load(of.charge).await?.ok_or(EngineError::NotFound)?;
        let occurrence = Occurrence { event, actor: Actor::Refund(after.id), payload_hash: None };
        match self.decide(&charge, &occurrence, self.now())? {
            Decision::Record(step) => Ok(Some(self.change(charge, vec![*step]))),
            Decision::Illegal(why) => Err(EngineError::Illegal { state: charge.state, why }),
        }
    }

    /// Steps from `before` on, with what the merchant is told of them.
    fn change(&self, before: Arc<Payment>, steps: Vec<Step>) -> Change {
        let befores = std::iter::once(&before).chain(steps.iter().map(|step| &step.payment));
        let told = befores.zip(&steps);
        let notifications =
            told.filter_map(|(before, step)| Notification::of(before, step, self.random_pair())).collect();
        Change { before, steps, notifications }
    }

    /// Tells the queue about a payment that is due. The row is committed, so a queue that is down costs only time.
    fn tell_if_due(&self, payment: &Arc<Payment>) {
        if payment.is_leased() || !payment.is_due(self.clock.now()) {
            return;
        }
        let wake = Wake {
            payment_id: payment.id,
            seq: payment.seq,
            snapshot: Some(Arc::clone(payment)),
            trace: TraceContext::current(),
            task: None,
        };
        self.queue.tell(vec![wake]);
    }
}

/// The definition a payment has pinned.
fn known(payment: &Payment) -> Result<&'static Definition, EngineError> {
    payment.definition().ok_or(EngineError::UnknownVersion(payment.definition_version))
}
