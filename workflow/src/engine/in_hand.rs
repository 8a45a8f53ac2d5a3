//! Requests that are being worked on in this process, by their idempotency keys. A repetition that comes meanwhile waits
//! for its turn, and is then answered like any repetition.
//!
//! Not here: repetitions at other processes. The database lets them wait for each other, and remembers the answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::port::store::RequestScope;

/// How long a repetition waits for its turn. A request takes milliseconds; what takes longer is worth coming back for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The requests in hand. As many as there are requests at the same time.
#[derive(Default)]
pub(super) struct InHand {
    requests: Arc<Mutex<Requests>>,
}

type Requests = HashMap<RequestScope, watch::Sender<()>>;

/// The right to work on a request; the next one has it when this is dropped.
pub(super) struct Turn {
    scope: RequestScope,
    requests: Arc<Mutex<Requests>>,
}

impl InHand {
    /// Waits until nobody here works on a request with this key. None when that takes too long.
    pub(super) async fn turn(&self, scope: &RequestScope) -> Option<Turn> {
        self.turn_within(scope, PATIENCE).await
    }

    async fn turn_within(&self, scope: &RequestScope, patience: Duration) -> Option<Turn> {
        let until = Instant::now() + patience;
        loop {
            let mut over = {
                let mut requests = lock(&self.requests);
                match requests.get(scope) {
                    Some(in_hand) => in_hand.subscribe(),
                    None => {
                        requests.insert(scope.clone(), watch::Sender::new(()));
                        return Some(Turn { scope: scope.clone(), requests: Arc::clone(&self.requests) });
                    }
                }
            };
            // Its sender goes when the turn is over; nothing is ever sent.
            tokio::time::timeout_at(until, over.changed()).await.ok().map(drop)?;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.requests).remove(&self.scope);
    }
}

/// A panic elsewhere cannot leave the map half changed.
fn lock(requests: &Mutex<Requests>) -> MutexGuard<'_, Requests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ids::MerchantId;

    fn scope(merchant: u64, route: &str, key: &str) -> RequestScope {
        let merchant_id = MerchantId::new(Timestamp::UNIX_EPOCH, [merchant, merchant]);
        RequestScope { merchant_id, route: route.to_owned(), key: key.to_owned() }
    }

    #[tokio::test]
    async fn a_repetition_waits_for_its_turn_and_no_longer_than_it_is_worth() {
        let in_hand = InHand::default();
        let first = in_hand.turn(&scope(1, "a", "k")).await.unwrap();
        for other in [scope(2, "a", "k"), scope(1, "b", "k"), scope(1, "a", "l")] {
            assert!(in_hand.turn(&other).await.is_some(), "it has nothing to do with the first");
        }
        assert!(in_hand.turn_within(&scope(1, "a", "k"), Duration::ZERO).await.is_none());
        let (scope, release) = (scope(1, "a", "k"), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        let (second, ()) = tokio::join!(in_hand.turn(&scope), release);
        assert!(second.is_some());
        drop(second);
        assert!(lock(&in_hand.requests).is_empty(), "what is over is forgotten");
    }
}
