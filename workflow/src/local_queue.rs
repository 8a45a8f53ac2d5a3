//! The embedded queue: wakes from those who commit to the workers in the same process. Bounded and in memory; what
//! does not fit, or is lost with the process, is found again by the sweeper.
//!
//! Not here: queues between processes. Without one, workers in other processes live by the sweeper alone.

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use crate::port::queue::{Delivery, Queue, Receipt, Settlement, Wake};

/// Wakes waiting for a worker. With more than this, the sweeper feeds the workers in its own order.
const CAPACITY: usize = 10_000;

/// A queue inside one process.
pub struct LocalQueue {
    teller: mpsc::Sender<Wake>,
    listener: Mutex<mpsc::Receiver<Wake>>,
}

impl LocalQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        let (teller, listener) = mpsc::channel(CAPACITY);
        Self { teller, listener: Mutex::new(listener) }
    }
}

impl Default for LocalQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Queue for LocalQueue {
    fn tell(&self, wakes: Vec<Wake>) {
        for wake in wakes {
            if self.teller.try_send(wake).is_err() {
                metrics::counter!("fincore_queue_lost_total").increment(1);
            }
        }
    }

    async fn receive(&self, max: usize) -> Vec<Delivery> {
        let mut wakes = Vec::new();
        self.listener.lock().await.recv_many(&mut wakes, max).await;
        wakes.into_iter().map(Delivery::from).collect()
    }

    fn settle(&self, _receipt: Receipt, _settlement: Settlement) {}

    async fn close(&self) {}
}

/// No queue at all: for a process that only takes requests, or one that works by the sweeper alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoQueue;

#[async_trait]
impl Queue for NoQueue {
    fn tell(&self, _wakes: Vec<Wake>) {}

    async fn receive(&self, _max: usize) -> Vec<Delivery> {
        std::future::pending().await
    }

    fn settle(&self, _receipt: Receipt, _settlement: Settlement) {}

    async fn close(&self) {}
}
