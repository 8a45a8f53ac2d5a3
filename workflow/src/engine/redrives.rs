//! Sending many payments back to work: one by one, and no further when something new happens to those that went before.
//!
//! A run takes what waits when it begins. What comes back during the run waits again, for a person, not for the run. The
//! same failure again is expected: the PSP may not be well yet, and each payment is asked about. A kind of failure that none
//! of them had before is news, and the run should not make more of it before a person has looked. Not here: how fast, and
//! what a person is shown; who runs it says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::operator::{Act, By, Performed, Plan, Planned, Refusal};
use super::{Engine, EngineError};
use crate::decide::Signature;
use crate::definition::State;
use crate::ids::PaymentId;
use crate::port::store::{DeadLetterRow, LetterFilter, LetterPlace, LetterScope, Store, StoreError};

/// Letters read at a time.
const PAGE: u32 = 500;

/// Between two looks for what came back. Each is a query or a few.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The pages of a list of dead letters, newest first.
pub struct LetterPages {
    store: Arc<dyn Store>,
    filter: LetterFilter,
    after: Option<LetterPlace>,
}

impl LetterPages {
    /// Of those that are meant.
    #[must_use]
    pub fn of(store: Arc<dyn Store>, filter: LetterFilter) -> Self {
        Self { store, filter, after: None }
    }

    /// The next page; empty when there is none.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    pub async fn next(&mut self) -> Result<Vec<DeadLetterRow>, StoreError> {
        let page = self.store.dead_letters(&self.filter, self.after, PAGE).await?;
        self.after = page.last().map(DeadLetterRow::place).or(self.after);
        Ok(page)
    }

    /// All pages together, as far as the bound, and whether there are more.
    ///
    /// # Errors
    /// The database did not answer, or a row cannot be read.
    pub async fn first(mut self, most: usize) -> Result<(Vec<DeadLetterRow>, Left), StoreError> {
        let mut letters = Vec::new();
        loop {
            let page = self.next().await?;
            if page.is_empty() {
                return Ok((letters, Left::None));
            }
            letters.extend(page);
            if letters.len() > most {
                letters.truncate(most);
                return Ok((letters, Left::Some));
            }
        }
    }
}

/// Whether a bound left some out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// It did not.
    None,
    /// It did: the next run takes them.
    Some,
}

/// Whether payments are sent, or it is only told what would become of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doing {
    /// Nothing is changed.
    Plan,
    /// They are sent.
    Send,
}

/// What became of one payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Done {
    /// It would go on like this.
    Planned(Box<Plan>),
    /// It is due here: a worker asks the PSP before it repeats anything.
    Redriven(State),
    /// It waits for nobody, any more perhaps; says why.
    NotWaiting(String),
    /// It stays where it is until a person has settled this.
    Undecided(String),
    /// It stays where it is; says why.
    Refused(String),
    /// The database did not answer, and would not for the others; or something new happens to those that went before.
    Stopped(String),
}

/// Sends one payment back to work, or tells what that would do. `act` is a redrive.
pub async fn one(engine: &Engine, id: PaymentId, act: &Act, by: &By, doing: Doing) -> Done {
    let done = match doing {
        Doing::Plan => engine.plan(id, act, by).await.map(|planned| match planned {
            Planned::Would(plan) => Done::Planned(plan),
            Planned::Refused(refusal) => refused(refusal),
        }),
        Doing::Send => engine.perform(id, act, by).await.map(|performed| match performed {
            Performed::Done(done) => Done::Redriven(done.payment.state),
            Performed::Refused(refusal) => refused(refusal),
        }),
    };
    done.unwrap_or_else(|error| match &error {
        EngineError::Store(cause) => Done::Stopped(format!("{error}: {cause}")),
        EngineError::NotFound | EngineError::Illegal { .. } => Done::NotWaiting(error.to_string()),
        EngineError::KeyReused | EngineError::KeyInUse | EngineError::Contended | EngineError::UnknownVersion(_) => {
            Done::Refused(error.to_string())
        }
    })
}

fn refused(refusal: Refusal) -> Done {
    match refusal.state {
        Some(state) if state != State::InReview => {
            Done::NotWaiting(format!("a payment that is {state} does not allow this: {}", refusal.why))
        }
        Some(_) | None if refusal.is_undecided => Done::Undecided(refusal.why),
        Some(_) | None => Done::Refused(refusal.why),
    }
}

/// Looks for payments of a run that come back with what is new.
pub struct Returned {
    store: Arc<dyn Store>,
    known: HashSet<Signature>,
    since: Timestamp,
    looked_at: Instant,
}

impl Returned {
    /// For a run that begins now, of payments with these letters.
    #[must_use]
    pub fn watch(store: &Arc<dyn Store>, letters: &[DeadLetterRow], now: Timestamp) -> Self {
        let known = letters.iter().map(|row| row.letter.signature()).collect();
        Self { store: Arc::clone(store), known, since: now, looked_at: Instant::now() }
    }

    /// One of the payments redriven so far that has come back with a kind of failure that none had, if it is time to look
    /// and there is one.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn new_failure(&mut self, redriven: &HashSet<PaymentId>) -> Result<Option<DeadLetterRow>, StoreError> {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return Ok(None);
        }
        self.look(redriven).await
    }

    /// The same, whenever the last look was.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn look(&mut self, redriven: &HashSet<PaymentId>) -> Result<Option<DeadLetterRow>, StoreError> {
        self.looked_at = Instant::now();
        let filter = LetterFilter { scope: LetterScope::Open, since: Some(self.since), ..LetterFilter::default() };
        let mut pages = LetterPages::of(Arc::clone(&self.store), filter);
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
