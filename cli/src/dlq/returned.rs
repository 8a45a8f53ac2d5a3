//! What comes back to a person while a run of `fincore dlq redrive` is under way.
//!
//! The same failure again is expected: the PSP may not be well yet, and each charge is asked about. A kind of failure that
//! none of the charges had before is news, and the run should not make more of it before a person has looked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use workflow::decide::Signature;
use workflow::ids::PaymentId;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::{DeadLetterRow, LetterFilter, LetterScope, Store, StoreError};

use super::Pages;

/// Between two looks. Each is a query or a few.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks for charges of a run that come back with what is new.
pub(super) struct Returned {
    store: Arc<dyn Store>,
    known: HashSet<Signature>,
    since: Timestamp,
    looked_at: Instant,
}

impl Returned {
    /// For a run that begins now, of charges with these letters.
    pub(super) fn watch(store: &Arc<dyn Store>, letters: &[DeadLetterRow]) -> Self {
        let known = letters.iter().map(|row| row.letter.signature()).collect();
        let (since, looked_at) = (SystemClock.now(), Instant::now());
        Self { store: Arc::clone(store), known, since, looked_at }
    }

    /// One of the charges redriven so far that has come back with a kind of failure that none had, if it is time to look
    /// and there is one.
    pub(super) async fn new_failure(
        &mut self,
        redriven: &HashSet<PaymentId>,
    ) -> Result<Option<DeadLetterRow>, StoreError> {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return Ok(None);
        }
        self.looked_at = Instant::now();
        let filter = LetterFilter { scope: LetterScope::Open, since: Some(self.since), ..LetterFilter::default() };
        let mut pages = Pages::of(Arc::clone(&self.store), filter);
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok(None);
            }
            let is_news = |row: &DeadLetterRow| {
                redriven.contains(&row.payment_id) && !self.known.contains(&row.letter.signature())
            };
            if let Some(row) = page.into_iter().find(is_news) {
                return Ok(Some(row));
            }
        }
    }
}
