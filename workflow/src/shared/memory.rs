//! The shared fast state of one process, in its memory. Bounded: what is beyond the bounds is forgotten, which loses
//! speed and nothing else.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::ids::{ApiKeyId, PaymentId};
use crate::port::breakers::{BreakerNews, Breakers, Told};
use crate::port::clock::Clock;
use crate::port::moves::{Moved, Moves, News};
use crate::port::rate_limits::{Drawn, RateLimit, RateLimits};
use crate::port::views::{LIVES_FOR, MAX_BYTES, View, Views};

/// How long a closing is told, in milliseconds: longer than any breaker stays open.
const CLOSED_FOR_MS: u64 = 60_000;
/// News of moves that a slow listener may be behind. Beyond, it is told that it missed some.
const NEWS_KEPT: usize = 4_096;
/// API keys whose requests are counted. With more active ones, all start afresh now and then.
const KEYS_COUNTED: usize = 16_384;
/// Payments that were read or moved in the last seconds.
const VIEWS_KEPT: usize = 1_024;

/// Everything in memory.
pub struct Memory {
    clock: Arc<dyn Clock>,
    breakers: Mutex<HashMap<String, (Told, Timestamp)>>,
    counts: Mutex<HashMap<ApiKeyId, Timestamp>>,
    views: Mutex<HashMap<PaymentId, Entry>>,
    teller: broadcast::Sender<Moved>,
    listener: tokio::sync::Mutex<broadcast::Receiver<Moved>>,
}

/// A view, or the mark of a move.
struct Entry {
    seq: i64,
    view: Option<View>,
    until: Timestamp,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (teller, listener) = broadcast::channel(NEWS_KEPT);
        Self {
            clock,
            breakers: Mutex::default(),
            counts: Mutex::default(),
            views: Mutex::default(),
            teller,
            listener: tokio::sync::Mutex::new(listener),
        }
    }

    /// Replaces an entry unless it is newer. A view replaces a mark of the same `seq`, and not the other way round.
    fn put(&self, id: PaymentId, seq: i64, view: Option<View>) {
        let now = self.clock.now();
        let mut views = lock(&self.views);
        let is_newer = |entry: &Entry| entry.seq > seq || entry.seq == seq && view.is_none();
        if views.get(&id).is_some_and(|entry| entry.until > now && is_newer(entry)) {
            return;
        }
        make_room(&mut views, VIEWS_KEPT, |entry| entry.until > now);
        views.insert(id, Entry { seq, view, until: after(now, LIVES_FOR.as_millis()) });
    }
}

/// A panic elsewhere cannot leave a map half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for one more: what is over goes first, and if that is not enough, everything.
fn make_room<K: Hash + Eq, V>(map: &mut HashMap<K, V>, most: usize, is_alive: impl Fn(&V) -> bool) {
    if map.len() >= most {
        map.retain(|_, value| is_alive(value));
        if map.len() >= most {
            map.clear();
        }
    }
}

fn after(now: Timestamp, ms: u128) -> Timestamp {
    let length = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    now.checked_add(length).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Breakers for Memory {
    async fn tell(&self, psp: &str, told: Told) {
        let lasts_ms = match told.news {
            BreakerNews::Opened { remaining_ms, .. } => remaining_ms,
            BreakerNews::Closed => CLOSED_FOR_MS,
        };
        let until = after(self.clock.now(), lasts_ms.into());
        // As many entries as there are PSP accounts in the configuration.
        lock(&self.breakers).insert(psp.to_owned(), (told, until));
    }

    async fn latest(&self, psp: &str) -> Option<Told> {
        let (told, until) = *lock(&self.breakers).get(psp)?;
        let left = until.duration_since(self.clock.now()).as_millis();
        let remaining_ms = u64::try_from(left).ok().filter(|left| *left > 0)?;
        let news = match told.news {
            BreakerNews::Opened { pause_ms, .. } => BreakerNews::Opened { pause_ms, remaining_ms },
            BreakerNews::Closed => BreakerNews::Closed,
        };
        Some(Told { news, ..told })
    }
}

#[async_trait]
impl RateLimits for Memory {
    async fn draw(&self, key: ApiKeyId, limit: RateLimit) -> Drawn {
        let now = self.clock.now();
        let mut counts = lock(&self.counts);
        let kept = counts.get(&key).map(|at| at.as_microsecond());
        let (empty_at_us, drawn) = limit.draw(kept, now.as_microsecond());
        if let Some(empty_at) = empty_at_us.and_then(|at| Timestamp::from_microsecond(at).ok()) {
            make_room(&mut counts, KEYS_COUNTED, |empty_at| *empty_at > now);
            counts.insert(key, empty_at);
        }
        drawn
    }
}

#[async_trait]
impl Moves for Memory {
    async fn announce(&self, moved: Moved) {
        self.put(moved.payment_id, moved.seq, None);
        // An error says that nobody listens.
        let _ = self.teller.send(moved);
    }

    async fn next(&self) -> News {
        match self.listener.lock().await.recv().await {
            Ok(moved) => News::Moved(moved),
            Err(RecvError::Lagged(_)) => News::Missed,
            // We hold a teller ourselves, so it never closes.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Views for Memory {
    async fn get(&self, id: PaymentId) -> Option<View> {
        let now = self.clock.now();
        lock(&self.views).get(&id).filter(|entry| entry.until > now).and_then(|entry| entry.view.clone())
    }

    async fn fill(&self, id: PaymentId, view: View) {
        if view.body.len() <= MAX_BYTES {
            self.put(id, view.seq, Some(view));
        }
    }
}
