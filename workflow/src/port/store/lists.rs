//! Lists of payments, and rows of their histories.
//!
//! A list is read in steps. Each walks along one index in the order of the ids, looks at a bounded number of payments, and
//! returns those that fit: whatever a client asks for, no statement takes longer than its bound allows. Not here: how
//! many steps a page is worth.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use uuid::Uuid;

use crate::definition::{self, State};
use crate::history::{Hash, HistoryRow};
use crate::ids::{MerchantId, PaymentId};
use crate::money::{Currency, MAX_AMOUNT_MINOR};
use crate::payment::Payment;

/// A place in a payment's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryPlace {
    /// Whose history.
    pub payment_id: PaymentId,
    /// The number of the last row that is known; 0 for none.
    pub seq: i64,
}

/// Rows of one payment that [`super::Store::history_since`] returns at most. Longer histories are read in several pieces.
pub const ROWS_SINCE: u32 = 200;

/// Deals rows out to those who asked for them; two may have asked for the same payment from different places on.
#[must_use]
pub fn dealt(batch: &[HistoryPlace], rows: Vec<HistoryRow>) -> Vec<Vec<HistoryRow>> {
    let mut of = std::collections::HashMap::<PaymentId, BTreeMap<i64, HistoryRow>>::new();
    for row in rows {
        of.entry(row.payment_id).or_default().insert(row.seq, row);
    }
    let after = |place: &HistoryPlace| {
        let rows = of.get(&place.payment_id).into_iter().flat_map(|rows| rows.range(place.seq + 1..));
        // Rows are numbered without gaps; behind one are rows for somebody who is further on.
        rows.zip(place.seq + 1..).take_while(|((seq, _), due)| *seq == due).map(|((_, row), _)| row.clone()).collect()
    };
    batch.iter().map(after).collect()
}

/// Which way a list is walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// From newer payments to older ones.
    Older,
    /// From older payments to newer ones.
    Newer,
}

/// What payments of a list have in common. Everything that is said has to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListFilter {
    /// They stand here.
    pub state: Option<State>,
    /// They were accepted then or later.
    pub created_from: Timestamp,
    /// They were accepted before.
    pub created_before: Timestamp,
    /// They are about so much, in minor units.
    pub amount_minor: RangeInclusive<i64>,
    /// They are in this currency.
    pub currency: Option<Currency>,
    /// A PSP knows them, or knew them, by this name.
    pub psp_reference: Option<String>,
    /// Their metadata has these entries.
    pub metadata: BTreeMap<String, String>,
}

impl Default for ListFilter {
    /// All payments.
    fn default() -> Self {
        Self {
            state: None,
            created_from: Timestamp::MIN,
            created_before: Timestamp::MAX,
            amount_minor: 0..=MAX_AMOUNT_MINOR,
            currency: None,
            psp_reference: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// One step along a list.
#[derive(Clone, Copy, Debug)]
pub struct ListStep<'a> {
    /// Whose payments.
    pub merchant_id: MerchantId,
    /// Which of them.
    pub filter: &'a ListFilter,
    /// Which way.
    pub walk: Walk,
    /// From behind this one on. It need not fit, nor exist.
    pub after: Option<PaymentId>,
    /// Payments to look at, at most.
    pub look_at: u32,
    /// Payments to return, at most.
    pub limit: u32,
}

/// What a step came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Payments that fit, in the order of the walk.
    pub payments: Vec<Payment>,
    /// Where the next step begins; none when all have been looked at.
    pub next: Option<PaymentId>,
}

/// The index that a step walks along: the one that leaves the fewest payments to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Names that PSPs gave.
    Reference(String),
    /// An entry of metadata.
    Metadata(Uuid),
    /// Payments that ended like this, or all that have not ended.
    Standing(&'static str),
    /// All of the merchant's payments.
    Merchant,
}

/// What `standing` says in the databases of a payment that has not ended.
const OPEN: &str = "open";

impl ListFilter {
    /// The index to walk along.
    #[must_use]
    pub fn source(&self) -> Source {
        if let Some(reference) = &self.psp_reference {
            return Source::Reference(reference.clone());
        }
        if let Some((key, value)) = self.metadata.first_key_value() {
            return Source::Metadata(metadata_entry(key, value));
        }
        match self.state {
            Some(state) if definition::has_ended(state) => Source::Standing(state.into()),
            Some(_) => Source::Standing(OPEN),
            None => Source::Merchant,
        }
    }

    /// Whether the walk along the index passes payments that do not fit.
    #[must_use]
    pub fn passes_others(&self) -> bool {
        // Ids know milliseconds only: of the millisecond at a bound, some may not fit.
        let is_whole = |at: Timestamp| at == Timestamp::MIN || at == Timestamp::MAX || at.as_microsecond() % 1_000 == 0;
        if !is_whole(self.created_from) || !is_whole(self.created_before) {
            return true;
        }
        let by_source = match self.source() {
            Source::Merchant => Self::default(),
            Source::Standing(standing) if standing != OPEN => Self { state: self.state, ..Self::default() },
            Source::Standing(_) | Source::Reference(_) | Source::Metadata(_) => return true,
        };
        let (created_from, created_before) = (self.created_from, self.created_before);
        *self != Self { created_from, created_before, ..by_source }
    }

    /// Whether the index that is walked along tells what does not fit, so that payments that do not need not be read.
    #[must_use]
    pub fn is_told_by_index(&self) -> bool {
        match self.source() {
            Source::Merchant => true,
            Source::Standing(standing) => standing != OPEN,
            Source::Reference(_) | Source::Metadata(_) => false,
        }
    }

    /// Whether a payment that a store found fits in the respects that stores do not look at.
    #[must_use]
    pub fn fits(&self, payment: &Payment) -> bool {
        self.metadata.iter().all(|(key, value)| payment.metadata.get(key) == Some(value))
    }
}

/// The ids between which a step walks, both left out. Ids begin with the millisecond in which they were made, so a time
/// is a place among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The lower one.
    pub above: Uuid,
    /// The upper one.
    pub below: Uuid,
}

impl Bounds {
    /// The same, but no further than this one, which is still within.
    #[must_use]
    pub fn up_to(self, walk: Walk, last: Option<Uuid>) -> Self {
        match (walk, last.map(|last| last.as_u128())) {
            (_, None) => self,
            (Walk::Older, Some(last)) => Self { above: Uuid::from_u128(last.saturating_sub(1)), ..self },
            (Walk::Newer, Some(last)) => Self { below: Uuid::from_u128(last.saturating_add(1)), ..self },
        }
    }
}

impl ListStep<'_> {
    /// The bounds of this step.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let from = first_of(self.filter.created_from.as_millisecond());
        // A millisecond that has only begun is within: the time itself is compared as well.
        let before = self.filter.created_before;
        let has_begun = i64::from(before.as_microsecond() % 1_000 != 0);
        let before = first_of(before.as_millisecond().saturating_add(has_begun));
        let (above, below) = (Uuid::from_u128(from.as_u128().saturating_sub(1)), before);
        match (self.walk, self.after.map(PaymentId::uuid)) {
            (Walk::Older, Some(after)) => Bounds { above, below: below.min(after) },
            (Walk::Newer, Some(after)) => Bounds { above: above.max(after), below },
            (Walk::Older | Walk::Newer, None) => Bounds { above, below },
        }
    }
}

impl Bounds {
    /// Around all payments that were accepted before this time, to the millisecond.
    #[must_use]
    pub fn accepted_before(time: Timestamp) -> Self {
        Self { above: Uuid::nil(), below: first_of(time.as_millisecond()) }
    }
}

/// The smallest id of a millisecond.
fn first_of(millisecond: i64) -> Uuid {
    // Times before 1970 and after the year 10889 have no ids.
    let millisecond = u64::try_from(millisecond).unwrap_or_default().min((1 << 48) - 1);
    Uuid::from_u128(u128::from(millisecond) << 80)
}

/// What an entry of metadata is found by: the beginning of a hash, so that its index is small and holds nobody's data a
/// second time. Two entries that share one are told apart by the payments.
#[must_use]
pub fn metadata_entry(key: &str, value: &str) -> Uuid {
    // A key has no control characters, so it ends where the zero is.
    let hash = Hash::of(format!("{key}\0{value}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.0[..16]);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    #[test]
    fn a_time_is_a_place_among_the_ids() {
        let filter = ListFilter { created_from: at(1_000), created_before: at(2_000), ..ListFilter::default() };
        let merchant_id = MerchantId::new(at(0), [1, 1]);
        let step = ListStep { merchant_id, filter: &filter, walk: Walk::Older, after: None, look_at: 10, limit: 10 };
        let id = |millisecond, random| PaymentId::new(at(millisecond), [random; 2]).uuid();
        let Bounds { above, below } = step.bounds();
        assert!(id(999, u64::MAX) <= above && above < id(1_000, 0));
        assert!(id(1_999, u64::MAX) < below && id(2_000, 0) >= below);
        let within = ListFilter { created_before: Timestamp::from_microsecond(2_000_001).unwrap(), ..filter.clone() };
        let begun = ListStep { filter: &within, ..step }.bounds();
        assert!(id(2_000, u64::MAX) < begun.below && within.passes_others() && !filter.passes_others());
        let after = PaymentId::new(at(1_500), [7, 7]);
        assert_eq!(ListStep { after: Some(after), ..step }.bounds(), Bounds { above, below: after.uuid() });
        let newer = ListStep { after: Some(after), walk: Walk::Newer, ..step };
        assert_eq!(newer.bounds(), Bounds { above: after.uuid(), below });
        let everything = ListFilter::default();
        let Bounds { above, below } = ListStep { filter: &everything, ..step }.bounds();
        assert!(above < id(0, 0) && id(253_000_000_000_000, u64::MAX) < below);
    }

    #[test]
    fn the_narrowest_index_is_walked_along() {
        let metadata = BTreeMap::from([("order".to_owned(), "7".to_owned())]);
        let all = ListFilter::default();
        assert_eq!((all.source(), all.passes_others()), (Source::Merchant, false));
        let ended = ListFilter { state: Some(State::Expired), created_from: at(7), ..all.clone() };
        assert_eq!((ended.source(), ended.passes_others()), (Source::Standing("expired"), false));
        let open = ListFilter { state: Some(State::InReview), ..all.clone() };
        assert_eq!((open.source(), open.passes_others()), (Source::Standing("open"), true));
        let rare = ListFilter { amount_minor: 7..=7, ..all.clone() };
        assert_eq!((rare.source(), rare.passes_others()), (Source::Merchant, true));
        let entry = ListFilter { metadata, ..ended };
        assert_eq!(entry.source(), Source::Metadata(metadata_entry("order", "7")));
        let named = ListFilter { psp_reference: Some("pi_1".to_owned()), ..entry };
        assert_eq!(named.source(), Source::Reference("pi_1".to_owned()));
    }
}
