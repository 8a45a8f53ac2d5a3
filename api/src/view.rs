//! Lists and histories as clients see them. A charge or a refund itself is shown by the core ([`workflow::view`]), the same in answers
//! and in events.
//!
//! Not here: machine columns (fence, lease, operation). They are nobody's business outside.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use workflow::definition::{EventKind, State};
use workflow::history::HistoryRow;
use workflow::payment::Payment;
pub(crate) use workflow::view::{ChargeView, RefundView, json, payment};

use crate::document::{self, PaymentStatus};

/// One row of a payment's history.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryRow, examples(json!(document::examples::started())))]
pub(crate) struct HistoryRowView<'a> {
    /// 1, 2, 3, … without gaps.
    seq: i64,
    /// When we learned of it (RFC 3339).
    #[schema(schema_with = document::instant)]
    at: Timestamp,
    /// What happened.
    #[schema(schema_with = document::event_kind)]
    event: EventKind,
    /// Who caused it: a client's key, a worker, a PSP's webhook, the clock or an operator.
    actor: &'a str,
    /// The status before; none in the first row.
    #[schema(value_type = Option<PaymentStatus>, required)]
    from: Option<State>,
    /// The status after.
    #[schema(value_type = PaymentStatus)]
    to: State,
    /// The attempt it belongs to, counted within one stay in a status.
    attempt: i32,
    /// Whether it changed anything.
    #[schema(schema_with = document::verdict)]
    verdict: &'static str,
    /// Details: amounts, codes, references, reasons.
    #[schema(value_type = Object)]
    data: &'a serde_json::Value,
    /// SHA-256 of the raw answer or webhook it was read from, in hexadecimal.
    #[schema(required)]
    payload_hash: Option<String>,
    /// SHA-256 over this row and the hash of the row before, in hexadecimal.
    hash: String,
}

impl<'a> HistoryRowView<'a> {
    pub(crate) fn of(row: &'a HistoryRow) -> Self {
        let fact = &row.fact;
        Self {
            seq: row.seq,
            at: fact.at,
            event: fact.event,
            actor: &fact.actor,
            from: fact.from,
            to: fact.to,
            attempt: fact.attempt,
            verdict: fact.verdict.into(),
            data: &fact.data,
            payload_hash: fact.payload_hash.map(|hash| hash.to_string()),
            hash: row.hash.to_string(),
        }
    }
}

/// A page of charges, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ChargeList)]
pub(crate) struct ChargeListView<'a> {
    /// Always `list`.
    #[schema(schema_with = document::object_list)]
    object: &'static str,
    /// The charges.
    data: Vec<ChargeView<'a>>,
    /// Whether there are older ones; ask for them with `starting_after`.
    has_more: bool,
    /// Where the list is.
    url: &'static str,
}

impl<'a> ChargeListView<'a> {
    pub(crate) fn of(payments: &'a [Payment], has_more: bool, url: &'static str) -> Self {
        Self { object: "list", data: payments.iter().map(ChargeView::of).collect(), has_more, url }
    }
}

/// A page of a charge's refunds, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = RefundList)]
pub(crate) struct RefundListView<'a> {
    /// Always `list`.
    #[schema(schema_with = document::object_list)]
    object: &'static str,
    /// The refunds.
    data: Vec<RefundView<'a>>,
    /// Whether there are older ones; ask for them with `starting_after`.
    has_more: bool,
    /// Where the list is.
    url: &'a str,
}

impl<'a> RefundListView<'a> {
    pub(crate) fn of(payments: &'a [Payment], has_more: bool, url: &'a str) -> Self {
        let refunds = payments.iter().filter_map(|payment| Some(RefundView::of(payment, payment.refund_of.as_ref()?)));
        Self { object: "list", data: refunds.collect(), has_more, url }
    }
}

/// The whole history of a payment, oldest first.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryList)]
pub(crate) struct HistoryListView<'a> {
    /// Always `list`.
    #[schema(schema_with = document::object_list)]
    object: &'static str,
    /// The rows.
    data: Vec<HistoryRowView<'a>>,
    /// Always `false`: a history is shown whole.
    has_more: bool,
    /// Where the list is.
    url: String,
}

impl<'a> HistoryListView<'a> {
    pub(crate) fn of(rows: &'a [HistoryRow], url: String) -> Self {
        Self { object: "list", data: rows.iter().map(HistoryRowView::of).collect(), has_more: false, url }
    }
}
