//! Clients that wait for a payment, or follow its history. They do so in one room a process, which listens once for all
//! of them ([`crate::port::moves`]) and holds no connection.
//!
//! News can get lost, so now and then everybody looks again, together: their reads share round trips in lanes. Not here:
//! what a client is told in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::definition;
use crate::engine::Engine;
use crate::group_commit::Lane;
use crate::history::HistoryRow;
use crate::ids::PaymentId;
use crate::payment::Payment;
use crate::port::moves::{Moved, Moves, News};
use crate::port::store::HistoryPlace;

/// Clients that wait in one process at most; the next ones are answered at once. Each is an open connection.
pub const MOST: usize = 4_096;

/// Clients that follow a payment in one process at most. Each is an open connection, for minutes.
pub const MOST_FOLLOWERS: usize = 4_096;

/// How long lost news stay unnoticed. Without Redis also how late the moves of other processes are seen. A full room
/// reads its payments in 16 batches each time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What there is to know of a payment without reading it. Each change wakes who watches.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Heard {
    /// Counts the reasons to look: it came to rest, or news may have been lost.
    looks: u64,
    /// Where its history stands, as far as it was told.
    seq: i64,
}

/// Somebody watches each of these.
type Watched = Arc<Mutex<HashMap<PaymentId, watch::Sender<Heard>>>>;

/// Where clients wait.
pub struct WaitingRoom {
    engine: Arc<Engine>,
    rows: Arc<Lane<HistoryPlace, Vec<HistoryRow>>>,
    watched: Watched,
    places: Semaphore,
    followers: Arc<Semaphore>,
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
        let store = Arc::clone(engine.store());
        let rows = Arc::new(Lane::open("history", move |batch| {
            let store = Arc::clone(&store);
            Box::pin(async move { store.history_since(&batch).await })
        }));
        let (places, followers) = (Semaphore::new(MOST), Arc::new(Semaphore::new(MOST_FOLLOWERS)));
        Self { engine, rows, watched, places, followers, stop, tasks }
    }

    /// Waits until the payment has ended, or stays where it is until a person acts, and returns it as it then stands:
    /// at the latest after `at_most`, or when the process stops. None when there is no place, or when it cannot be read in the
    /// end.
    pub async fn wait(&self, id: PaymentId, at_most: Duration) -> Option<Arc<Payment>> {
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
                () = watch.until(|before, now| now.looks != before.looks) => {}
                () = &mut time_is_up => break,
                () = self.stop.cancelled() => break,
            }
        }
        self.engine.load(id).await.ok().flatten()
    }

    /// Follows a payment's history from behind this place on. None when there is no place in the room.
    #[must_use]
    pub fn follow(&self, after: HistoryPlace) -> Option<Follower> {
        let place = Arc::clone(&self.followers).try_acquire_owned().ok()?;
        let watch = Watch::of(after.payment_id, &self.watched);
        let (rows, stop) = (Arc::clone(&self.rows), self.stop.clone());
        Some(Follower { rows, watch, after, is_up_to_date: false, stop, _place: place })
    }
}

impl Drop for WaitingRoom {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// A client that follows a payment.
pub struct Follower {
    rows: Arc<Lane<HistoryPlace, Vec<HistoryRow>>>,
    watch: Watch,
    after: HistoryPlace,
    /// Whether it was looked since there was a reason to.
    is_up_to_date: bool,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The next rows, as soon as there are any, each once and in order. None when the process stops.
    ///
    /// May be dropped before it is through: no row is lost.
    pub async fn next(&mut self) -> Option<Vec<HistoryRow>> {
        while !self.stop.is_cancelled() {
            if !self.is_up_to_date {
                // The watch is older than this look, so that no move falls in between. A store that does not answer is
                // asked again with the next look.
                let rows = self.rows.commit(self.after).await.unwrap_or_default();
                if let Some(last) = rows.last() {
                    self.after.seq = last.seq;
                    return Some(rows);
                }
                self.is_up_to_date = true;
            }
            let known = self.after.seq;
            tokio::select! {
                () = self.watch.until(|before, now| now.looks != before.looks || now.seq > known) => {
                    self.is_up_to_date = false;
                }
                () = self.stop.cancelled() => {}
            }
        }
        None
    }
}

/// A client's watch over one payment.
struct Watch {
    id: PaymentId,
    watched: Watched,
    /// None only while it is being dropped.
    heard: Option<watch::Receiver<Heard>>,
    looks: u64,
}

impl Watch {
    fn of(id: PaymentId, watched: &Watched) -> Self {
        metrics::gauge!("fincore_waiting_clients").increment(1);
        let heard = lock(watched).entry(id).or_insert_with(|| watch::Sender::new(Heard::default())).subscribe();
        let looks = heard.borrow().looks;
        Self { id, watched: Arc::clone(watched), heard: Some(heard), looks }
    }

    /// Waits until there is a reason to look, compared with what was known when this last returned.
    async fn until(&mut self, is_reason: impl Fn(&Heard, &Heard) -> bool) {
        let before = Heard { looks: self.looks, seq: 0 };
        let now = match &mut self.heard {
            Some(heard) => heard.wait_for(|now| is_reason(&before, now)).await.map(|now| *now).ok(),
            None => None,
        };
        match now {
            Some(now) => self.looks = now.looks,
            None => std::future::pending::<()>().await,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        // Under the lock, so that the last of several sees that it is the last.
        self.heard = None;
        if watched.get(&self.id).is_some_and(|sender| sender.receiver_count() == 0) {
            watched.remove(&self.id);
        }
        metrics::gauge!("fincore_waiting_clients").decrement(1);
    }
}

/// A panic elsewhere cannot leave the map half changed.
fn lock(watched: &Watched) -> MutexGuard<'_, HashMap<PaymentId, watch::Sender<Heard>>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(moves: Arc<dyn Moves>, watched: Watched) {
    loop {
        match moves.next().await {
            News::Moved(Moved { payment_id, seq, state }) => {
                if let Some(sender) = lock(&watched).get(&payment_id) {
                    // Who waits for the end is not woken by what goes on by itself: there is more to come.
                    let look = u64::from(definition::rests(state));
                    sender.send_modify(|heard| *heard = Heard { looks: heard.looks + look, seq: heard.seq.max(seq) });
                }
            }
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
    lock(watched).values().for_each(|sender| sender.send_modify(|heard| heard.looks += 1));
}
