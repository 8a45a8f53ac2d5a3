//! The queue says when to look; the row is the truth. Losing, doubling or delaying what is told here changes nothing
//! but time: the sweeper finds what was forgotten.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::event::Timekeeper;
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::timeouts::Task;
use crate::trace::TraceContext;

/// "Look at this payment."
#[derive(Clone, Debug)]
pub struct Wake {
    /// Which payment.
    pub payment_id: PaymentId,
    /// Where its history stood when this was said.
    pub seq: i64,
    /// What the teller had just committed: saves the listener a read, and is never trusted beyond that, because
    /// every update compares `seq`. Queues between processes leave it out.
    pub snapshot: Option<Arc<Payment>>,
    /// The trace of the request or the work that said so, if any.
    pub trace: Option<TraceContext>,
    /// What a clock outside asks with it, if one does.
    pub task: Option<Task>,
}

impl Wake {
    /// A wake of somebody who has no more to tell.
    #[must_use]
    pub fn of(payment_id: PaymentId, seq: i64) -> Self {
        Self { payment_id, seq, snapshot: None, trace: None, task: None }
    }

    /// Whose clock says so.
    #[must_use]
    pub fn timekeeper(&self) -> Timekeeper {
        if self.task.is_some() { Timekeeper::StepFunctions } else { Timekeeper::Database }
    }
}

/// A wake on its way to a worker.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What was said.
    pub wake: Wake,
    /// What the queue has to be given when it is to forget the message; none where it has forgotten it already.
    pub receipt: Option<Receipt>,
    /// How often the message has been delivered, this time included.
    pub receives: u32,
}

impl From<Wake> for Delivery {
    /// A delivery that nobody has to settle.
    fn from(wake: Wake) -> Self {
        Self { wake, receipt: None, receives: 1 }
    }
}

/// The queue's name for one delivery of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt(pub String);

/// What is to become of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settlement {
    /// It has served: the queue forgets it.
    Done,
    /// It is to come again after this time: a retry that backs off, or a payment that somebody else has in hand.
    Again(Duration),
}

/// Carries wakes from those who commit to those who work.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Says "look" for some payments. Waits neither for a listener nor for a queue in another machine: what it cannot
    /// take or bring, it counts (`fincore_queue_lost_total`), and the sweeper finds the payment.
    fn tell(&self, wakes: Vec<Wake>);

    /// Waits for wakes, at least one and at most `max`. Whoever stops waiting loses none.
    async fn receive(&self, max: usize) -> Vec<Delivery>;

    /// Says what is to become of a message. Waits for nothing; what is lost here comes again by itself.
    fn settle(&self, receipt: Receipt, settlement: Settlement);

    /// Ends: hands back what was received and not taken, and waits until what was told and settled has been sent, or
    /// cannot be. Called when nothing more will be told.
    async fn close(&self);
}
