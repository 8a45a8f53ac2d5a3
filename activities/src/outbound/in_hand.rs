//! How many deliveries are under way, in all and to each endpoint: so that a slow receiver holds up nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use workflow::ids::EndpointId;
use workflow::port::outbound::Dispatch;

/// Deliveries under way at the same time. They mostly wait.
const MAX_IN_HAND: u32 = 256;

/// To one endpoint at a time.
pub(super) const MAX_PER_ENDPOINT: u32 = 16;

/// Claimed for one endpoint at a time: half of it, so that the next ones come while the last of these still take their
/// time.
pub(super) const CLAIM_PER_ENDPOINT: u32 = MAX_PER_ENDPOINT / 2;

#[derive(Default)]
struct Count {
    number: u32,
    /// Nothing arrives there: one at a time.
    fails: bool,
}

/// What is under way.
#[derive(Clone, Default)]
pub(super) struct InHand(Arc<Mutex<HashMap<EndpointId, Count>>>);

/// One delivery under way. Counted until it is dropped, however it ends.
pub(super) struct Counted {
    in_hand: InHand,
    endpoint_id: EndpointId,
}

impl InHand {
    /// Counts one.
    pub(super) fn count(&self, dispatch: &Dispatch) -> Counted {
        let endpoint_id = dispatch.endpoint_id;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(endpoint_id).or_default();
        count.number += 1;
        count.fails = dispatch.endpoint_fails;
        Counted { in_hand: self.clone(), endpoint_id }
    }

    /// How many more may be taken.
    pub(super) fn room(&self) -> u32 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MAX_IN_HAND.saturating_sub(counts.values().map(|count| count.number).sum())
    }

    /// Endpoints that have enough.
    pub(super) fn busy(&self) -> Vec<EndpointId> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_enough = |count: &Count| count.fails || count.number > MAX_PER_ENDPOINT - CLAIM_PER_ENDPOINT;
        counts.iter().filter(|(_, count)| has_enough(count)).map(|(id, _)| *id).collect()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.in_hand.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.endpoint_id) {
            count.number -= 1;
            if count.number == 0 {
                counts.remove(&self.endpoint_id);
            }
        }
    }
}
