//! Clients that wait for a payment. They wait in one room a process, which listens once for all of them
//! ([`crate::port::moves`]) and holds no connection.
//!
//! News can get lost, so now and then everybody looks again, together: their reads share round trips in the engine's
//! lane. Not here: what a client is told in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::definition;
use crate::engine::Engine;
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::moves::{Moves, News};

/// Clients that wait in one process at most; the next ones are answered at once. Each is an open connection.
pub const MOST: usize = 4_096;

/// How long lost news stay unnoticed. Without Redis also how late the moves of other processes are seen. A full room
/// reads its payments in 16 batches each time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Somebody waits for each of these.
type Watched = Arc<Mutex<HashMap<PaymentId, watch::Sender<()>>>>;

/// Where clients wait.
pub struct WaitingRoom {
    engine: Arc<Engine>,
    watched: Watched,
    places: Semaphore,
    stop: CancellationToken,
    tasks: [AbortHandle; 2],
}

impl WaitingRoom {
    /// Opens the room on this runtime, until `stop`.
    #[must_use]
    pub fn open(engine: Arc<Engine>, moves: Arc<dyn Moves>, stop: CancellationToken) -> Self {
        let watched = Watched::default();
        let listening = tokio::spawn(listen(moves, Arc::clone(&watched)));
        let looking = tokio::spawn(look_again(Arc::clone(&watched)));
        let tasks = [listening.abort_handle(), looking.abort_handle()];
        Self { engine, watched, places: Semaphore::new(MOST), stop, tasks }
    }

    /// Waits until the payment has ended, or stays where it is until a person acts, and returns it as it then stands:
    /// at the latest after `at_most`, or when the process stops. None when there is no place, or when it cannot be read in the
    /// end.
    pub async fn wait(&self, id: PaymentId, at_most: Duration) -> Option<Payment> {
        let _place = self.places.try_acquire().ok()?;
        let mut watch = Watch::of(id, &self.watched);
        let time_is_up = tokio::time::sleep(at_most);
        tokio::pin!(time_is_up);
        loop {
            // Only after the watch began, so that no move falls in between.
            if let Ok(Some(payment)) = self.engine.load(id).await
                && definition::rests(payment.state)
            {
                return Some(payment);
            }
            tokio::select! {
                () = watch.news() => {}
                () = &mut time_is_up => break,
                () = self.stop.cancelled() => break,
            }
        }
        self.engine.load(id).await.ok().flatten()
    }
}

impl Drop for WaitingRoom {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// A client's watch over one payment.
struct Watch {
    id: PaymentId,
    watched: Watched,
    news: Option<watch::Receiver<()>>,
}

impl Watch {
    fn of(id: PaymentId, watched: &Watched) -> Self {
        metrics::gauge!("fincore_waiting_clients").increment(1);
        let news = lock(watched).entry(id).or_insert_with(|| watch::Sender::new(())).subscribe();
        Self { id, watched: Arc::clone(watched), news: Some(news) }
    }

    async fn news(&mut self) {
        let heard = match &mut self.news {
            Some(news) => news.changed().await.is_ok(),
            None => false,
        };
        if !heard {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        // Under the lock, so that the last of several sees that it is the last.
        self.news = None;
        if watched.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            watched.remove(&self.id);
        }
        metrics::gauge!("fincore_waiting_clients").decrement(1);
    }
}

/// A panic elsewhere cannot leave the map half changed.
fn lock(watched: &Watched) -> MutexGuard<'_, HashMap<PaymentId, watch::Sender<()>>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(moves: Arc<dyn Moves>, watched: Watched) {
    loop {
        match moves.next().await {
            News::Moved(moved) if definition::rests(moved.state) => {
                if let Some(sender) = lock(&watched).get(&moved.payment_id) {
                    sender.send_replace(());
                }
            }
            // It goes on by itself: there is more to come.
            News::Moved(_) => {}
            News::Missed => tell_all(&watched),
        }
    }
}

async fn look_again(watched: Watched) {
    let mut ticks = tokio::time::interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell_all(&watched);
    }
}

fn tell_all(watched: &Watched) {
    lock(watched).values().for_each(|sender| {
        sender.send_replace(());
    });
}
