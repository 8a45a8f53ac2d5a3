//! Payments and their history as clients see them: borrowed from what the core keeps, serialized once.
//!
//! Not here: machine columns (fence, lease, operation). They are nobody's business outside.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use workflow::definition::{EventKind, State};
use workflow::history::HistoryRow;
use workflow::ids::PaymentId;
use workflow::money::Currency;
use workflow::payment::{CaptureMethod, Failure, NextAction, Payment};

use crate::document::{self, ChargeStatus};

/// A charge.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge, examples(json!(document::example_charge())))]
pub(crate) struct ChargeView<'a> {
    /// Its name.
    #[schema(value_type = String, pattern = "^ch_[0-9a-f]{32}$")]
    id: PaymentId,
    /// Always `charge`.
    #[schema(schema_with = document::object_charge)]
    object: &'static str,
    /// Where it stands.
    #[schema(value_type = ChargeStatus)]
    status: State,
    /// What was asked for, in minor units.
    amount: i64,
    /// ISO 4217 code in lower case.
    #[schema(value_type = String, pattern = "^[a-z]{3}$")]
    currency: Currency,
    /// Reserved so far, in minor units.
    amount_authorized: i64,
    /// Captured so far, in minor units.
    amount_captured: i64,
    /// Given back so far, in minor units.
    amount_refunded: i64,
    /// Taken back by disputes so far and not won back, in minor units.
    amount_charged_back: i64,
    /// When it is captured.
    #[schema(schema_with = document::capture_method)]
    capture_method: CaptureMethod,
    /// The PSP's token for the customer's means of payment.
    payment_method: &'a str,
    /// The PSP account it goes to.
    psp: &'a str,
    /// The PSP's name for it, once it has one.
    #[schema(required)]
    psp_reference: Option<&'a str>,
    /// What the customer has to do now.
    #[schema(required)]
    next_action: Option<NextActionView<'a>>,
    /// Why it failed.
    #[schema(required)]
    failure: Option<FailureView<'a>>,
    /// Where the customer comes back to after acting.
    #[schema(required)]
    return_url: Option<&'a str>,
    /// The client's words.
    #[schema(required)]
    description: Option<&'a str>,
    /// The client's data.
    metadata: &'a BTreeMap<String, String>,
    /// When it was accepted (RFC 3339).
    #[schema(schema_with = document::instant)]
    created: Timestamp,
    /// When anything last happened to it (RFC 3339).
    #[schema(schema_with = document::instant)]
    updated: Timestamp,
}

/// What the customer has to do.
#[derive(Serialize, ToSchema)]
#[schema(as = NextAction)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum NextActionView<'a> {
    /// Open a page, for example for 3-D Secure.
    RedirectToUrl {
        /// The page.
        redirect_to_url: RedirectView<'a>,
    },
    /// Act in the PSP's own software development kit.
    UseSdk {},
}

/// A page to open.
#[derive(Serialize, ToSchema)]
#[schema(as = Redirect)]
pub(crate) struct RedirectView<'a> {
    /// The page.
    url: &'a str,
    /// Where the customer comes back to.
    #[schema(required)]
    return_url: Option<&'a str>,
}

/// Why a charge failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Failure)]
pub(crate) struct FailureView<'a> {
    /// What kind of no it was: `soft_decline`, `hard_decline`, `authentication` or `invalid_request`.
    category: &'static str,
    /// The PSP's code.
    code: &'a str,
    /// The issuer's code, when the PSP passes it on.
    #[schema(required)]
    decline_code: Option<&'a str>,
    /// What you can do.
    #[schema(required)]
    advice: Option<&'a str>,
}

impl<'a> ChargeView<'a> {
    pub(crate) fn of(payment: &'a Payment) -> Self {
        Self {
            id: payment.id,
            object: "charge",
            status: payment.state,
            amount: payment.amount_minor,
            currency: payment.currency,
            amount_authorized: payment.amount_authorized_minor,
            amount_captured: payment.amount_captured_minor,
            amount_refunded: payment.amount_refunded_minor,
            amount_charged_back: payment.amount_charged_back_minor,
            capture_method: payment.capture_method,
            payment_method: &payment.payment_method,
            psp: &payment.psp,
            psp_reference: payment.psp_reference.as_deref(),
            next_action: payment.next_action.as_ref().map(|action| next_action(action, payment)),
            failure: payment.failure.as_ref().map(failure),
            return_url: payment.return_url.as_deref(),
            description: payment.description.as_deref(),
            metadata: &payment.metadata,
            created: payment.created_at,
            updated: payment.updated_at,
        }
    }
}

fn next_action<'a>(action: &'a NextAction, payment: &'a Payment) -> NextActionView<'a> {
    match action {
        NextAction::RedirectToUrl { url } => NextActionView::RedirectToUrl {
            redirect_to_url: RedirectView { url, return_url: payment.return_url.as_deref() },
        },
        NextAction::UseSdk {} => NextActionView::UseSdk {},
    }
}

fn failure(failure: &Failure) -> FailureView<'_> {
    FailureView {
        category: failure.category.into(),
        code: &failure.code,
        decline_code: failure.decline_code.as_deref(),
        advice: failure.advice.as_deref(),
    }
}

/// One row of a charge's history.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryRow)]
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
    #[schema(value_type = Option<ChargeStatus>, required)]
    from: Option<State>,
    /// The status after.
    #[schema(value_type = ChargeStatus)]
    to: State,
    /// The attempt it belongs to, counted within one stay in a status.
    attempt: i32,
    /// `applied`, or `stale` for old news that changed nothing.
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

/// The whole history of a charge, oldest first.
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

/// A view as JSON.
pub(crate) fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a view holds only texts, numbers and maps with text keys")
}

/// The body of every answer that is about one charge.
pub(crate) fn charge(payment: &Payment) -> String {
    json(&ChargeView::of(payment))
}
