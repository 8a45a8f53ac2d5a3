//! What must be true when a test ends: our rows, their histories and the PSP's books tell one story.

use sandbox::EntryKind;
use workflow::definition::{self, State};
use workflow::history;
use workflow::payment::{Payment, RefundStatus};
use workflow::port::clock::Clock;

use super::World;

impl World {
    /// Ends a test: nothing due, nothing leased, every chain intact, and the PSP's books agree with ours.
    pub async fn finish(self) {
        let due = self.store.due(self.clock.now(), None, 10).await.expect("the store answers");
        assert!(due.is_empty(), "a test ends with nothing due: {due:?}");
        let mut after = None;
        loop {
            let page = self.store.walk(after, 100).await.expect("the store answers");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            // Other worlds may share the database; their money is at other PSPs.
            for payment in page.iter().filter(|payment| payment.merchant_id == self.merchant) {
                assert!(!payment.is_leased(), "{} is still leased", payment.id);
                assert_eq!(payment.next_wake_at.is_none(), definition::has_ended(payment.state), "{}", payment.id);
                let rows = self.store.history(payment.id).await.expect("the store answers");
                history::verify(payment, &rows).expect("the chain is intact");
                self.agree(payment);
                self.agree_with_refunds(payment).await;
            }
        }
    }

    /// The charge counts exactly what is on its way back.
    async fn agree_with_refunds(&self, charge: &Payment) {
        let refunds = self.store.refunds(charge.id, None, 1_000).await.expect("the store answers");
        let pending = refunds.iter().filter(|refund| RefundStatus::of(refund.state) == RefundStatus::Pending);
        let pending: i64 = pending.map(|refund| refund.amount_minor).sum();
        assert_eq!(charge.amount_refund_pending_minor, pending, "{}: {refunds:?}", charge.id);
    }

    /// The PSP's books and our row tell the same story, and the money moved at most once.
    pub fn agree(&self, payment: &Payment) {
        let reference = payment.id.to_string();
        let both = self.sandbox.ledger().into_iter().chain(self.other.ledger());
        let entries: Vec<_> = both.filter(|entry| entry.reference.as_deref() == Some(&reference)).collect();
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
}
