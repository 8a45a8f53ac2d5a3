//! Dead letters as a store keeps them, and who has been told of each.
//!
//! Not here: why a payment goes to a person ([`crate::decide`]), and telling ([`crate::port::alert`]).

use jiff::Timestamp;

use crate::decide::{DeadLetter, Redriving, ReviewReason};
use crate::definition::{Goal, State};
use crate::ids::{MerchantId, PaymentId};
use crate::money::Money;

/// A dead letter as operators read it, with what they need to know of its payment now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetterRow {
    /// Which payment.
    pub payment_id: PaymentId,
    /// The history row that sent it to review.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub letter: DeadLetter,
    /// Whose payment it is.
    pub merchant_id: MerchantId,
    /// The PSP account it goes to now.
    pub psp: String,
    /// What the client asked for: the most that is at stake.
    pub money: Money,
    /// Where the payment stands now.
    pub state: State,
    /// What the client wants of it now.
    pub goal: Goal,
    /// Whether the payment has no later letter.
    pub is_last: bool,
}

impl DeadLetterRow {
    /// Whether it still waits for a person.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_last && self.state == State::InReview
    }

    /// Where it stands in the list, newest first.
    #[must_use]
    pub fn place(&self) -> LetterPlace {
        LetterPlace { at: self.at, payment_id: self.payment_id, seq: self.seq }
    }

    /// What sending its payment back to work would mean.
    #[must_use]
    pub fn redriving(&self) -> Redriving {
        Redriving::of(self.letter.reason, self.goal)
    }
}

/// A place in the list of dead letters, which is ordered by time, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LetterPlace {
    /// When the letter was written.
    pub at: Timestamp,
    /// Which payment.
    pub payment_id: PaymentId,
    /// The history row that sent it to review.
    pub seq: i64,
}

/// Which dead letters are meant, whether or not their payment still waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LetterScope {
    /// All there ever were.
    #[default]
    All,
    /// The last letter of each payment that still waits for a person.
    Open,
}

/// Which dead letters are meant. What is not set excludes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LetterFilter {
    /// Open ones, or all.
    pub scope: LetterScope,
    /// Only those with this reason.
    pub reason: Option<ReviewReason>,
    /// Only those whose payment goes to this PSP account.
    pub psp: Option<String>,
    /// Only those written at this time or later.
    pub since: Option<Timestamp>,
}

/// A right to tell of some dead letters by one adapter, asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoticeClaim<'a> {
    /// The adapter that tells.
    pub adapter: &'a str,
    /// Letters that were written earlier are left alone.
    pub written_since: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// Until when nobody else may tell of them by this adapter.
    pub lease_until: Timestamp,
    /// At most so many.
    pub limit: u32,
}

/// The right to tell of one dead letter by one adapter, until its lease runs out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The letter.
    pub letter: DeadLetterRow,
    /// How often it was tried, this time included.
    pub attempt: i32,
}

/// What came of an attempt to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoticeResult<'a> {
    /// The letter's payment.
    pub payment_id: PaymentId,
    /// The letter's history row.
    pub seq: i64,
    /// The adapter.
    pub adapter: &'a str,
    /// The attempt.
    pub attempt: i32,
    /// What came of it.
    pub outcome: NoticeOutcome,
}

/// Whether an adapter has told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeOutcome {
    /// It has, at this time: nobody tells of it again.
    Told(Timestamp),
    /// It has not; from this time on it may be tried again. Counts only if nobody else has tried since.
    Again(Timestamp),
}

impl NoticeOutcome {
    /// When it told.
    #[must_use]
    pub fn told_at(self) -> Option<Timestamp> {
        match self {
            Self::Told(at) => Some(at),
            Self::Again(_) => None,
        }
    }

    /// When it may be tried again.
    #[must_use]
    pub fn next_at(self) -> Option<Timestamp> {
        match self {
            Self::Told(_) => None,
            Self::Again(at) => Some(at),
        }
    }
}

/// What is known of telling about one dead letter by one adapter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoticeRow {
    /// The letter's history row.
    pub seq: i64,
    /// The adapter.
    pub adapter: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it may be tried again, unless it has told.
    pub next_at: Timestamp,
    /// When it told.
    pub told_at: Option<Timestamp>,
}
