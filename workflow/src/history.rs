//! History: one row for everything that happened to a payment, chained by hashes so that no row can be changed,
//! left out or added later without showing.
//!
//! `hash = SHA-256(format ‖ payment id ‖ seq ‖ previous hash ‖ canonical row)`, where the canonical row is the JSON
//! of its fields with sorted keys. The payment row carries the hash of its last history row.
//!
//! Not here: storing rows. Both databases refuse by trigger to update them, and to delete them unless they are archived.

mod line;
mod told;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::definition::{EventKind, State};
use crate::ids::PaymentId;
use crate::payment::Payment;

pub use line::{Archived, BadLine};
pub use told::Told;

/// Names the rules by which rows are hashed; a change of the rules gets a new one.
const FORMAT: &[u8] = b"fincore-history-1";

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first row is chained to.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self(bytes.try_into()?))
    }
}

/// Whether an event changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Display, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// It did what the table says.
    Applied,
    /// It was old news; the row keeps it for people.
    Stale,
}

/// What happened, before it is chained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// When we learned of it.
    pub at: Timestamp,
    /// Which event.
    pub event: EventKind,
    /// Who caused it.
    pub actor: String,
    /// The state before; none in the first row.
    pub from: Option<State>,
    /// The state after.
    pub to: State,
    /// The attempt it belongs to, counted within one stay in a state.
    pub attempt: i32,
    /// Whether it changed anything.
    pub verdict: Verdict,
    /// The event's fields, the chosen backoff, the reason: a JSON object with sorted keys.
    pub data: Value,
    /// Hash of the raw bytes this was read from: the PSP's answer, the webhook's body.
    pub payload_hash: Option<Hash>,
}

/// One row of history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryRow {
    /// Whose history.
    pub payment_id: PaymentId,
    /// 1, 2, 3, … without gaps.
    pub seq: i64,
    /// What happened.
    pub fact: Fact,
    /// Chains it to the row before.
    pub hash: Hash,
}

impl HistoryRow {
    /// The fact as row `seq` after a row with hash `previous`.
    #[must_use]
    pub fn chained(payment_id: PaymentId, seq: i64, fact: Fact, previous: Hash) -> Self {
        let hash = chain(payment_id, seq, &fact, previous);
        Self { payment_id, seq, fact, hash }
    }
}

/// The canonical row: its fields in the order of their names, and serde_json keeps the keys of `data` sorted, so equal
/// facts have equal text.
#[derive(Serialize)]
struct Canonical<'a> {
    actor: &'a str,
    at_us: i64,
    attempt: i32,
    data: &'a Value,
    event: EventKind,
    from: Option<State>,
    payload_hash: Option<String>,
    to: State,
    verdict: &'static str,
}

impl<'a> Canonical<'a> {
    fn of(fact: &'a Fact) -> Self {
        Self {
            actor: &fact.actor,
            at_us: fact.at.as_microsecond(),
            attempt: fact.attempt,
            data: &fact.data,
            event: fact.event,
            from: fact.from,
            payload_hash: fact.payload_hash.map(|hash| hash.to_string()),
            to: fact.to,
            verdict: fact.verdict.into(),
        }
    }
}

fn chain(payment_id: PaymentId, seq: i64, fact: &Fact, previous: Hash) -> Hash {
    let canonical = serde_json::to_vec(&Canonical::of(fact)).expect("texts, numbers and JSON always become JSON");
    let mut hasher = Sha256::new();
    hasher.update(FORMAT);
    hasher.update(payment_id.uuid().as_bytes());
    hasher.update(seq.to_be_bytes());
    hasher.update(previous.0);
    hasher.update(canonical);
    Hash(hasher.finalize().into())
}

/// Where a history stops being the one that was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BrokenChain {
    /// A row is missing, doubled or out of place.
    #[error("row {expected} is missing (found row {found} in its place)")]
    Gap {
        /// The row that should stand here.
        expected: i64,
        /// The row that does.
        found: i64,
    },
    /// A row's content or its place in the chain is not what was hashed.
    #[error("row {seq} was changed after it was written")]
    Changed {
        /// The row.
        seq: i64,
    },
    /// A column of the payment row is not what its history says.
    #[error("the payment's {column} is not what its history says")]
    Row {
        /// The column.
        column: &'static str,
    },
    /// The payment row does not stand where its history ends.
    #[error("the payment stands at row {payment} in state {payment_state}, its history ends at row {history}")]
    Head {
        /// The payment's `seq`.
        payment: i64,
        /// The payment's state.
        payment_state: State,
        /// The last row's `seq`.
        history: i64,
    },
}

/// The first rows of a history without the rows: how far they reach, and what they come to. Whoever has it can recompute
/// the rest. The default is that of no rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// The number of their last row; 0 when there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
    /// What they tell of the payment's row.
    pub told: Told,
}

impl Default for Prefix {
    fn default() -> Self {
        Self { seq: 0, hash: Hash::ZERO, told: Told::default() }
    }
}

impl Prefix {
    /// The same with the rows that follow, whose chain is recomputed.
    ///
    /// # Errors
    /// The first place where the rows are not what was written.
    pub fn followed_by(mut self, payment_id: PaymentId, rows: &[HistoryRow]) -> Result<Self, BrokenChain> {
        for row in rows {
            let expected = self.seq + 1;
            if row.seq != expected || row.payment_id != payment_id {
                return Err(BrokenChain::Gap { expected, found: row.seq });
            }
            if chain(row.payment_id, row.seq, &row.fact, self.hash) != row.hash {
                return Err(BrokenChain::Changed { seq: row.seq });
            }
            (self.seq, self.hash) = (row.seq, row.hash);
            self.told.take_in(row);
        }
        Ok(self)
    }

    /// Whether the payment stands where these rows end.
    fn ends_at(&self, payment: &Payment) -> Result<(), BrokenChain> {
        let stands = (payment.seq, Some(payment.state), payment.head_hash);
        if (self.seq, self.told.state, self.hash) == stands {
            return Ok(());
        }
        Err(BrokenChain::Head { payment: payment.seq, payment_state: payment.state, history: self.seq })
    }
}

/// Recomputes the chain of one payment, and compares the payment's row with what its history tells.
///
/// # Errors
/// The first place where stored rows are not what was written.
pub fn verify(payment: &Payment, rows: &[HistoryRow]) -> Result<(), BrokenChain> {
    verify_after(Prefix::default(), payment, rows)
}

/// The same when there is only a prefix of the first rows.
///
/// # Errors
/// The first place where stored rows are not what was written.
pub fn verify_after(prefix: Prefix, payment: &Payment, rows: &[HistoryRow]) -> Result<(), BrokenChain> {
    let whole = prefix.followed_by(payment.id, rows)?;
    whole.ends_at(payment)?;
    whole.told.compare(payment, rows)
}

/// Recomputes the chain of one payment, up to where the payment stands.
///
/// # Errors
/// The first place where the chain is not what was written.
pub fn verify_chain(payment: &Payment, rows: &[HistoryRow]) -> Result<(), BrokenChain> {
    Prefix::default().followed_by(payment.id, rows)?.ends_at(payment)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_hashed_over_json_with_sorted_keys() {
        let fact = Fact {
            at: Timestamp::from_microsecond(1_790_000_000_123_456).unwrap(),
            event: EventKind::Authorized,
            actor: "worker:\"bü\"".to_owned(),
            from: Some(State::Authorizing),
            to: State::Finalizing,
            attempt: 2,
            verdict: Verdict::Applied,
            data: json!({"z": [1, null], "a": {"c": "\u{0}", "b": -1}}),
            payload_hash: Some(Hash([0xab; 32])),
        };
        let text = format!(
            r#"{{"actor":"worker:\"bü\"","at_us":1790000000123456,"attempt":2,"data":{{"a":{{"b":-1,"c":"\u0000"}},"z":[1,null]}},"event":"authorized","from":"authorizing","payload_hash":"{}","to":"finalizing","verdict":"applied"}}"#,
            "ab".repeat(32)
        );
        let id = PaymentId::from_uuid(uuid::Uuid::from_u128(7));
        let mut hashed = FORMAT.to_vec();
        hashed.extend(id.uuid().as_bytes());
        hashed.extend(5_i64.to_be_bytes());
        hashed.extend([9; 32]);
        hashed.extend(text.as_bytes());
        assert_eq!(chain(id, 5, &fact, Hash([9; 32])), Hash::of(&hashed));
    }
}
