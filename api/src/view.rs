//! Lists as clients see them. A charge or a refund itself, and its history, is shown by the core ([`workflow::view`]), the
//! same in answers and in events.
//!
//! Not here: machine columns (fence, lease, operation). They are nobody's business outside.

pub(crate) mod endpoint;

use serde::Serialize;
use utoipa::ToSchema;
use workflow::payment::Payment;
pub(crate) use workflow::view::{ChargeView, HistoryListView, HistoryRowView, RefundView, expanded, json, payment};

use crate::document;

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
