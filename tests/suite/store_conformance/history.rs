//! History: complete, in order, and never changed.

use std::sync::Arc;

use super::{apply, one};
use fincore_tests::build;

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn history_reads_back_in_order_with_its_chain_intact(database: TestDatabase) {
        let store = database.store().await;
        let new = build::new_payment(build::payment(1));
        store.start(std::slice::from_ref(&new)).await.unwrap();
        let (mut payment, mut rows) = (Arc::unwrap_or_clone(new.payment), vec![new.row]);
        for _ in 0..12 {
            let update = build::update(&payment, |_| {});
            rows.extend(update.rows.iter().cloned());
            payment = apply(&store, update).await;
        }
        let read = store.history(payment.id).await.unwrap();
        assert_eq!(read, rows);
        workflow::history::verify(&payment, &read).unwrap();
        assert_eq!(store.history(build::payment_id(2)).await.unwrap(), []);
    }

    async fn history_cannot_be_rewritten(database: TestDatabase) {
        let store = database.store().await;
        let payment = one(&store, 1).await;
        let before = store.history(payment.id).await.unwrap();
        let mut attempts = vec![
            "update payment_history set actor = 'nobody'",
            "delete from payment_history",
            "delete from payment_history where seq = 1",
        ];
        if database.is_postgres() {
            attempts.push("truncate payment_history");
        } else {
            attempts.push("insert or replace into payment_history select * from payment_history");
        }
        for attempt in attempts {
            let refused = database.execute(attempt).await.expect_err(attempt);
            assert!(refused.contains("payment_history is append-only"), "{attempt}: {refused}");
        }
        assert_eq!(store.history(payment.id).await.unwrap(), before);
    }
}
