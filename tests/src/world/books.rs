//! What must be true when a test ends: our rows, their histories and the PSP's books tell one story.

use workflow::definition;
use workflow::payment::{Payment, RefundStatus};
use workflow::port::archives;
use workflow::port::clock::Clock;

use super::World;
use crate::books::agree;

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
                let history = archives::history_of(self.store.as_ref(), payment.id).await.expect("the store answers");
                history.verify(payment).expect("the chain is intact");
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
        agree(payment, self.sandbox.ledger().into_iter().chain(self.other.ledger()));
    }
}
