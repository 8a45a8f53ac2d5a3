//! History: one row for everything that happened to a payment, chained by hashes so that no row can be changed,
//! left out or added later without showing.
//!
//! `hash = SHA-256(format ‖ payment id ‖ seq ‖ previous hash ‖ canonical row)`, where the canonical row is the JSON
//! of its fields with sorted keys. The payment row carries the hash of its last history row.
//!
//! Not here: storing rows. Both databases refuse to update or delete them by trigger.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use crate::definition::{EventKind, State};
use crate::ids::PaymentId;
use crate::payment::{Proposal, Proposed, RefundCounts, RefundStatus, Refunds};

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

fn chain(payment_id: PaymentId, seq: i64, fact: &Fact, previous: Hash) -> Hash {
    let canonical = Canonical {
        actor: &fact.actor,
        at_us: fact.at.as_microsecond(),
        attempt: fact.attempt,
        data: &fact.data,
        event: fact.event,
        from: fact.from,
        payload_hash: fact.payload_hash.map(|hash| hash.to_string()),
        to: fact.to,
        verdict: fact.verdict.into(),
    };
    let canonical = serde_json::to_vec(&canonical).expect("texts, numbers and JSON always become JSON");
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

/// Recomputes the chain of one payment, and compares the payment's row with what its history tells.
///
/// # Errors
/// The first place where stored rows are not what was written.
pub fn verify(payment: &crate::payment::Payment, rows: &[HistoryRow]) -> Result<(), BrokenChain> {
    verify_chain(payment, rows)?;
    compare(payment, rows)
}

/// Recomputes the chain of one payment, up to where the payment stands.
///
/// # Errors
/// The first place where the chain is not what was written.
pub fn verify_chain(payment: &crate::payment::Payment, rows: &[HistoryRow]) -> Result<(), BrokenChain> {
    let mut previous = Hash::ZERO;
    for (expected, row) in (1_i64..).zip(rows) {
        if row.seq != expected || row.payment_id != payment.id {
            return Err(BrokenChain::Gap { expected, found: row.seq });
        }
        if chain(row.payment_id, row.seq, &row.fact, previous) != row.hash {
            return Err(BrokenChain::Changed { seq: row.seq });
        }
        previous = row.hash;
    }
    let last = rows.last().map_or((0, None), |row| (row.seq, Some(row.fact.to)));
    if last != (payment.seq, Some(payment.state)) || previous != payment.head_hash {
        return Err(BrokenChain::Head { payment: payment.seq, payment_state: payment.state, history: last.0 });
    }
    Ok(())
}

/// Amounts in minor units, as a history tells them.
#[derive(Default)]
struct Amounts {
    authorized: i64,
    captured: i64,
    refunded: i64,
    refund_pending: i64,
    charged_back: i64,
    refunds: Refunds,
}

impl Amounts {
    fn told_by<'a>(facts: impl Iterator<Item = &'a Fact>) -> Self {
        facts.fold(Self::default(), |amounts, fact| {
            let told = fact.data.get("amount_minor").and_then(Value::as_i64).unwrap_or_default();
            let text = |name: &str| fact.data.get(name).and_then(Value::as_str);
            let status = |name: &str| text(name).and_then(|word| word.parse().ok());
            match (fact.event, status("was"), status("is")) {
                (EventKind::RefundUpdated, Some(was), Some(is)) => {
                    amounts.recounted(told, (was, is), text("psp_refund"))
                }
                (event, _, _) => amounts.after(event, told, text("psp_refund")),
            }
        })
    }

    fn recounted(self, amount: i64, ends: (RefundStatus, RefundStatus), psp_refund: Option<&str>) -> Self {
        let mut refunds = self.refunds;
        let counts = RefundCounts {
            captured_minor: self.captured,
            refunded_minor: self.refunded,
            pending_minor: self.refund_pending,
        };
        let counts = refunds.recount(counts, amount, ends, psp_refund);
        Self { refunded: counts.refunded_minor, refund_pending: counts.pending_minor, refunds, ..self }
    }

    fn after(mut self, event: EventKind, amount: i64, psp_refund: Option<&str>) -> Self {
        if matches!(event, EventKind::Authorized | EventKind::Captured | EventKind::ResolvedSucceeded) {
            self.authorized = self.authorized.max(amount);
        }
        if event == EventKind::Captured {
            self.captured = self.captured.max(amount);
        } else if event == EventKind::ResolvedSucceeded {
            self.captured = amount;
        } else if matches!(event, EventKind::CaptureFailed | EventKind::ResolvedFailed) {
            self.captured = self.refunded;
        } else if event == EventKind::ResolvedCanceled {
            self.refunded = self.captured;
        } else if event == EventKind::Refunded {
            self.refunds.count(psp_refund);
            self.refunded = self.refunded.saturating_add(amount).min(self.captured);
        } else if event == EventKind::RefundFailed && self.refunds.fail(psp_refund) {
            self.refunded = (self.refunded - amount).max(0);
        } else if event == EventKind::RefundRequested {
            self.refund_pending += amount;
        } else if event == EventKind::ChargedBack {
            self.charged_back = self.charged_back.saturating_add(amount);
        } else if event == EventKind::ChargebackReversed {
            self.charged_back = (self.charged_back - amount).max(0);
        }
        self
    }
}

/// Compares the columns that say whose money it is, and how much of it moved, with what the rows tell.
fn compare<'a>(payment: &crate::payment::Payment, rows: &'a [HistoryRow]) -> Result<(), BrokenChain> {
    let started = rows.first().map_or(&Value::Null, |row| &row.fact.data);
    let applied: Vec<&Fact> =
        rows.iter().map(|row| &row.fact).filter(|fact| fact.verdict == Verdict::Applied).collect();
    let failed_over = applied.iter().rposition(|fact| fact.data.get("failed_over_to").is_some());
    let destination = failed_over.map_or(started, |last| &applied[last].data["failed_over_to"]);
    let columns = [
        ("merchant_id", json!(payment.merchant_id)),
        ("amount_minor", json!(payment.amount_minor)),
        ("currency", json!(payment.currency)),
        ("capture_method", json!(payment.capture_method)),
        ("definition_version", json!(payment.definition_version)),
    ];
    if let Some((column, _)) = columns.into_iter().find(|(column, value)| started.get(column) != Some(value)) {
        return Err(BrokenChain::Row { column });
    }
    let amounts = Amounts::told_by(applied.iter().copied());
    // The first reference that was learned at this PSP account is the one that is kept.
    let here = applied.iter().skip(failed_over.map_or(0, |last| last + 1));
    let name = if payment.refund_of.is_some() { "psp_refund" } else { "psp_reference" };
    let named = |fact: &'a Fact, key: &str| fact.data.get(key).and_then(Value::as_str);
    let reference = { here }.find_map(|fact| named(fact, "psp_reference").or_else(|| named(fact, name)));
    let refund_of = started.get("refund_of").cloned().unwrap_or_default();
    let told = [
        ("refund_of", refund_of == payment.refund_of.as_ref().map_or(Value::Null, |of| json!(of))),
        ("psp", destination.get("psp") == Some(&json!(payment.psp))),
        ("payment_method", destination.get("payment_method") == Some(&json!(payment.payment_method))),
        ("amount_authorized", payment.amount_authorized_minor == amounts.authorized),
        ("amount_captured", payment.amount_captured_minor == amounts.captured),
        ("amount_refunded", payment.amount_refunded_minor == amounts.refunded),
        ("amount_refund_pending", payment.amount_refund_pending_minor == amounts.refund_pending),
        ("refunds", payment.refunds == amounts.refunds),
        ("amount_charged_back", payment.amount_charged_back_minor == amounts.charged_back),
        ("psp_reference", payment.psp_reference.as_deref() == reference),
        ("proposal", payment.proposal.as_ref().is_none_or(|proposal| is_told(proposal, rows))),
    ];
    match told.into_iter().find(|(_, agrees)| !agrees) {
        Some((column, _)) => Err(BrokenChain::Row { column }),
        None => Ok(()),
    }
}

/// Whether the history tells of a proposal, word for word, and of who made it: nobody can put words into another's mouth.
fn is_told(proposal: &Proposal, rows: &[HistoryRow]) -> bool {
    let Some(fact) = rows.iter().find(|row| row.seq == proposal.seq).map(|row| &row.fact) else { return false };
    let is_what = match &proposal.what {
        Proposed::Resolution(resolution) => {
            fact.event == EventKind::ResolutionProposed && fact.data["resolution"] == json!(resolution)
        }
        Proposed::Refund { amount_minor, .. } => {
            fact.event == EventKind::RefundProposed && fact.data["amount_minor"] == json!(amount_minor)
        }
    };
    is_what
        && fact.actor == format!("operator:{}", proposal.by)
        && fact.data["reason"] == json!(proposal.why)
        && fact.data["expires_at"] == json!(proposal.expires_at)
}

#[cfg(test)]
mod tests {
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
