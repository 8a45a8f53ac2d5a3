//! The PSP's books beside our rows: the oracle for money. And what a merchant does to them behind our back.

use reqwest::StatusCode;
use sandbox::{Entry, EntryKind, Sandbox};
use workflow::definition::{self, State};
use workflow::payment::Payment;

use crate::world::{SECRET_KEY, http_client};

/// The PSPs' books and a row of ours tell the same story, and the money moved at most once.
///
/// # Panics
/// When not.
pub fn agree(payment: &Payment, books: impl IntoIterator<Item = Entry>) {
    let reference = payment.id.to_string();
    let entries: Vec<_> = books.into_iter().filter(|entry| entry.reference.as_deref() == Some(&reference)).collect();
    let of = |kind: EntryKind| entries.iter().filter(move |entry| entry.kind == kind);
    let sum = |kind| of(kind).map(|entry| entry.amount_minor).sum::<i64>();
    assert!(of(EntryKind::Authorized).count() <= 1, "{reference} was authorized more than once: {entries:?}");
    assert!(of(EntryKind::Captured).count() <= 1, "{reference} was captured more than once: {entries:?}");
    if payment.state == State::InReview {
        return;
    }
    let captured = sum(EntryKind::Captured) - sum(EntryKind::CaptureFailed);
    let refunded = sum(EntryKind::Refunded) - sum(EntryKind::RefundFailed);
    assert_eq!(captured, payment.amount_captured_minor, "{reference}: {entries:?}");
    assert_eq!(refunded, payment.amount_refunded_minor, "{reference}: {entries:?}");
    let held = of(EntryKind::Authorized).count() > of(EntryKind::Voided).count() + of(EntryKind::Captured).count();
    assert!(!held || !definition::has_ended(payment.state), "{reference} ended and holds money: {entries:?}");
}

/// Refunds a payment at the PSP, behind our back, as from its dashboard; insists as a person would.
///
/// # Panics
/// When the PSP does not do it.
pub async fn refund_at_the_psp(sandbox: &Sandbox, payment_intent: &str, amount_minor: i64) {
    for _ in 0..2 {
        let request = http_client().post(format!("{}/v1/refunds", sandbox.url())).bearer_auth(SECRET_KEY);
        let request = request.header("Idempotency-Key", format!("dashboard-{payment_intent}"));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let form = format!("payment_intent={payment_intent}&amount={amount_minor}");
        if let Ok(answer) = request.body(form).send().await {
            assert_eq!(answer.status(), StatusCode::OK);
            return;
        }
    }
    panic!("the PSP did not answer the refund");
}
