//! The history of a payment as everybody outside sees it.

use jiff::Timestamp;
use serde::Serialize;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

#[cfg(feature = "openapi")]
use super::openapi;
use crate::definition::{EventKind, State};
use crate::history::HistoryRow;
use crate::port::archives::StoredHistory;

/// One row of a payment's history.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = HistoryRow, examples(json!(openapi::example_history_row()))))]
pub struct HistoryRowView<'a> {
    /// 1, 2, 3, … without gaps.
    seq: i64,
    /// When we learned of it (RFC 3339).
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::instant))]
    at: Timestamp,
    /// What happened.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::event_kind))]
    event: EventKind,
    /// Who caused it: a client's key, a worker, a PSP's webhook, a clock (the database's or that of Step Functions) or an operator.
    actor: &'a str,
    /// The status before; none in the first row.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::PaymentStatus>, required))]
    from: Option<State>,
    /// The status after.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::PaymentStatus))]
    to: State,
    /// The attempt it belongs to, counted within one stay in a status.
    attempt: i32,
    /// Whether it changed anything.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::verdict))]
    verdict: &'static str,
    /// Details: amounts, codes, references, reasons.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    data: &'a serde_json::Value,
    /// SHA-256 of the raw answer or webhook it was read from, in hexadecimal.
    #[cfg_attr(feature = "openapi", schema(required))]
    payload_hash: Option<String>,
    /// SHA-256 over this row and the hash of the row before, in hexadecimal.
    hash: String,
}

impl<'a> HistoryRowView<'a> {
    /// Shows it.
    #[must_use]
    pub fn of(row: &'a HistoryRow) -> Self {
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

/// What was archived of a payment's history: rows that the merchant's provider keeps elsewhere.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = HistoryArchived))]
pub struct ArchivedView {
    /// The `seq` of the last row that is archived: rows 1 to this one are not in the list.
    seq: i64,
    /// Its hash, which the next row is chained to.
    hash: String,
    /// Since when (RFC 3339).
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::instant))]
    at: Timestamp,
}

/// The whole history of a payment, oldest first; without the rows that are archived.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema), schema(as = HistoryList))]
pub struct HistoryListView<'a> {
    /// Always `list`.
    #[cfg_attr(feature = "openapi", schema(schema_with = openapi::object_list))]
    object: &'static str,
    /// The rows.
    data: Vec<HistoryRowView<'a>>,
    /// Always `false`: a history is shown whole, as far as it is not archived.
    has_more: bool,
    /// What was archived, long after the payment ended. Not there when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    archived: Option<ArchivedView>,
    /// Where the list is.
    url: String,
}

impl<'a> HistoryListView<'a> {
    /// Shows it.
    #[must_use]
    pub fn of(history: &'a StoredHistory, url: String) -> Self {
        let archived = history.archived.as_ref().map(|statement| ArchivedView {
            seq: statement.prefix.seq,
            hash: statement.prefix.hash.to_string(),
            at: statement.archived_at,
        });
        let data = history.rows.iter().map(HistoryRowView::of).collect();
        Self { object: "list", data, has_more: false, archived, url }
    }
}
