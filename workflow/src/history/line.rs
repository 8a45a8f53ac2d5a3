//! A payment's history as one line of an archive: JSON in which each row stands exactly as it was hashed, beside its hash.
//!
//! Whoever has the line can recompute the chain with nothing but SHA-256. Not here: files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Canonical, Fact, Hash, HistoryRow};
use crate::definition::State;
use crate::ids::{MerchantId, PaymentId};
use crate::payment::Payment;

/// Names the shape of a line; a change of the shape gets a new one.
const FORMAT: &str = "fincore-archive-1";

/// An archived history, as it is read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// Whose history.
    pub payment_id: PaymentId,
    /// Its rows, from the first one on, as they are in the line: nothing is recomputed yet.
    pub rows: Vec<HistoryRow>,
}

/// A line that is no history: not ours, of a later release, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("a line of the archive cannot be read: {0}")]
pub struct BadLine(String);

#[derive(Serialize)]
struct Line<'a> {
    format: &'static str,
    payment: PaymentId,
    merchant: MerchantId,
    history: Vec<LineRow<Canonical<'a>>>,
}

#[derive(Serialize, Deserialize)]
struct LineRow<T> {
    seq: i64,
    row: T,
    hash: String,
}

/// [`Line`] when it is read.
#[derive(Deserialize)]
struct ReadLine {
    format: String,
    payment: PaymentId,
    history: Vec<LineRow<ReadRow>>,
}

/// [`Canonical`] when it is read.
#[derive(Deserialize)]
struct ReadRow {
    actor: String,
    at_us: i64,
    attempt: i32,
    data: Value,
    event: String,
    from: Option<State>,
    payload_hash: Option<String>,
    to: State,
    verdict: String,
}

impl Archived {
    /// A payment's rows as a line, without its end.
    #[must_use]
    pub fn line(payment: &Payment, rows: &[HistoryRow]) -> String {
        text(payment.id, payment.merchant_id, rows)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is none.
    pub fn read(line: &str) -> Result<Self, BadLine> {
        let line: ReadLine = serde_json::from_str(line).map_err(|error| BadLine(error.to_string()))?;
        if line.format != FORMAT {
            return Err(BadLine(format!("its format is {:?}, not {FORMAT}", line.format)));
        }
        let payment_id = line.payment;
        let rows = line.history.into_iter().map(|row| row.read(payment_id)).collect::<Result<_, _>>()?;
        Ok(Self { payment_id, rows })
    }
}

fn text(payment: PaymentId, merchant: MerchantId, rows: &[HistoryRow]) -> String {
    let history = rows.iter();
    let history =
        history.map(|row| LineRow { seq: row.seq, row: Canonical::of(&row.fact), hash: row.hash.to_string() });
    let line = Line { format: FORMAT, payment, merchant, history: history.collect() };
    serde_json::to_string(&line).expect("texts, numbers and JSON always become JSON")
}

impl LineRow<ReadRow> {
    fn read(self, payment_id: PaymentId) -> Result<HistoryRow, BadLine> {
        let Self { seq, row, hash } = self;
        let bad = |what: &str| BadLine(format!("{payment_id} row {seq}: {what}"));
        let fact = Fact {
            at: Timestamp::from_microsecond(row.at_us).map_err(|_| bad("at_us"))?,
            event: row.event.parse().map_err(|_| bad("event"))?,
            actor: row.actor,
            from: row.from,
            to: row.to,
            attempt: row.attempt,
            verdict: row.verdict.parse().map_err(|_| bad("verdict"))?,
            data: row.data,
            payload_hash: row.payload_hash.map(|hash| hash.parse().map_err(|_| bad("payload_hash"))).transpose()?,
        };
        Ok(HistoryRow { payment_id, seq, fact, hash: hash.parse::<Hash>().map_err(|_| bad("hash"))? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::EventKind;
    use crate::history::Verdict;

    fn rows(payment_id: PaymentId) -> Vec<HistoryRow> {
        let fact = |event, from, data| Fact {
            at: Timestamp::from_microsecond(1_790_000_000_123_456).unwrap(),
            event,
            actor: "client:\"bü\"\u{1}".to_owned(),
            from,
            to: State::Created,
            attempt: 0,
            verdict: Verdict::Stale,
            data,
            payload_hash: from.map(|_| Hash([0xab; 32])),
        };
        let first = fact(EventKind::Started, None, json!({"z": [1, -7, null], "a": {"ü": "\n", "b": i64::MAX}}));
        let first = HistoryRow::chained(payment_id, 1, first, Hash::ZERO);
        let second = fact(EventKind::Noted, Some(State::Created), json!({}));
        let second = HistoryRow::chained(payment_id, 2, second, first.hash);
        vec![first, second]
    }

    #[test]
    fn a_line_reads_back_as_what_was_hashed() {
        let payment_id = PaymentId::from_uuid(uuid::Uuid::from_u128(8));
        let rows = rows(payment_id);
        let line = line_of(payment_id, &rows);
        assert!(!line.contains('\n'));
        let read = Archived::read(&line).unwrap();
        assert_eq!((read.payment_id, &read.rows), (payment_id, &rows));
        crate::history::Prefix::default().followed_by(payment_id, &read.rows).unwrap();
        let canonical = serde_json::to_string(&Canonical::of(&rows[1].fact)).unwrap();
        assert!(line.contains(&canonical), "each row stands as it was hashed: {line}");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let line = line_of(PaymentId::from_uuid(uuid::Uuid::from_u128(8)), &[]);
        for (bad, says) in [
            (line.replace("archive-1", "archive-2"), "archive-2"),
            (line[..line.len() - 1].to_owned(), "EOF"),
            (String::new(), "EOF"),
        ] {
            assert!(Archived::read(&bad).unwrap_err().to_string().contains(says), "{bad}");
        }
    }

    fn line_of(payment: PaymentId, rows: &[HistoryRow]) -> String {
        text(payment, MerchantId::from_uuid(uuid::Uuid::from_u128(9)), rows)
    }
}
