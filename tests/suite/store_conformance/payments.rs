//! Payments stored, moved and read again.

use std::sync::Arc;

use fincore_tests::build;
use workflow::definition::State;
use workflow::history::{Hash, HistoryRow};
use workflow::port::store::{LetterFilter, NewPayment, Started, Updated};

use super::{applied, apply, one, started, stored};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn a_started_payment_reads_back_in_every_field(database: TestDatabase) {
        let store = database.store().await;
        let [plain, full] = [build::new_payment(build::payment(1)), build::new_payment(build::full(2))];
        let batch = [plain.clone(), full.clone()];
        assert_eq!(store.start(&batch).await.unwrap(), [Started::Created, Started::Created]);
        for new in [plain, full] {
            assert_eq!(stored(&store, &new.payment).await, *new.payment);
            assert_eq!(store.history(new.payment.id).await.unwrap(), [new.row]);
            assert_eq!(store.request(&new.request.scope).await.unwrap(), Some(new.request));
        }
    }

    async fn an_updated_payment_reads_back_in_every_field(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        let filled = build::update(&before, |after| {
            let full = build::full(1);
            *after = workflow::payment::Payment {
                seq: after.seq,
                head_hash: after.head_hash,
                merchant_id: before.merchant_id,
                psp: before.psp.clone(),
                payment_method: before.payment_method.clone(),
                amount_minor: before.amount_minor,
                currency: before.currency,
                capture_method: before.capture_method,
                return_url: None,
                description: None,
                metadata: before.metadata.clone(),
                ..full
            };
        });
        let filled = apply(&store, filled).await;
        assert_eq!(stored(&store, &filled).await, filled);
        let emptied = build::update(&filled, |after| {
            after.lease_until = None;
            after.next_wake_at = None;
            after.state = State::Expired;
            after.psp_reference = None;
            after.amount_to_capture_minor = None;
            after.failure = None;
            after.next_action = None;
        });
        let emptied = apply(&store, emptied).await;
        assert_eq!(stored(&store, &emptied).await, emptied);
    }

    async fn empty_batches_are_answered(database: TestDatabase) {
        let store = database.store().await;
        assert_eq!(store.start(&[]).await.unwrap(), []);
        assert_eq!(store.update(&[]).await.unwrap(), []);
        assert_eq!(store.load(&[]).await.unwrap(), []);
        store.keep_webhooks(&[]).await.unwrap();
    }

    async fn payments_are_loaded_in_the_order_asked_for(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=3).map(build::payment)).await;
        let ids = [3, 9, 1, 3, 2].map(build::payment_id);
        let loaded = store.load(&ids).await.unwrap();
        let expected = [Some(2), None, Some(0), Some(2), Some(1)].map(|at| at.map(|at: usize| payments[at].clone()));
        assert_eq!(loaded, expected);
    }

    async fn a_repeated_key_is_answered_with_the_first_request(database: TestDatabase) {
        let store = database.store().await;
        let first = build::new_payment(build::payment(1));
        assert_eq!(store.start(std::slice::from_ref(&first)).await.unwrap(), [Started::Created]);
        let again = with_key_of(&first, 2);
        let fresh = build::new_payment(build::payment(3));
        let results = store.start(&[again.clone(), fresh.clone()]).await.unwrap();
        assert_eq!(results, [Started::Repeated(Box::new(first.request.clone())), Started::Created]);
        let loaded = store.load(&[again.payment.id, fresh.payment.id]).await.unwrap();
        assert_eq!(loaded, [None, Some(Arc::unwrap_or_clone(fresh.payment))]);
        assert_eq!(store.history(again.payment.id).await.unwrap(), []);
    }

    async fn of_two_equal_keys_in_a_batch_the_first_wins(database: TestDatabase) {
        let store = database.store().await;
        let first = build::new_payment(build::payment(2));
        let (second, other) = (with_key_of(&first, 1), build::new_payment(build::payment(3)));
        let results = store.start(&[other, first.clone(), second.clone()]).await.unwrap();
        let repeated = Started::Repeated(Box::new(first.request));
        assert_eq!(results, [Started::Created, Started::Created, repeated]);
        assert_eq!(store.load(&[second.payment.id]).await.unwrap(), [None]);
    }

    async fn keys_of_another_merchant_or_route_do_not_meet(database: TestDatabase) {
        let store = database.store().await;
        let first = build::new_payment(build::payment(1));
        let (mut merchant, mut route) = (with_key_of(&first, 2), with_key_of(&first, 3));
        merchant.request.scope.merchant_id = build::merchant(2);
        route.request.scope.route = "POST /v1/refunds".to_owned();
        assert_eq!(store.start(&[first, merchant, route]).await.unwrap(), vec![Started::Created; 3]);
    }

    async fn of_64_concurrent_starts_with_one_key_one_is_stored(database: TestDatabase) {
        let store = database.store().await;
        let first = build::new_payment(build::payment(1));
        let calls: Vec<_> = (1..=64)
            .map(|number| {
                let (store, new) = (Arc::clone(&store), with_key_of(&first, number));
                tokio::spawn(async move { (new.payment.id, store.start(&[new]).await.unwrap().remove(0)) })
            })
            .collect();
        let mut created = Vec::new();
        let mut repeated = Vec::new();
        for call in calls {
            match call.await.unwrap() {
                (id, Started::Created) => created.push(id),
                (_, Started::Repeated(record)) => repeated.push(record.payment_id.unwrap()),
            }
        }
        assert_eq!((created.len(), repeated.len()), (1, 63));
        assert!(repeated.iter().all(|id| *id == created[0]), "all are told of the one that was stored");
        assert_eq!(store.walk(None, 100).await.unwrap().len(), 1);
    }

    async fn a_second_update_with_the_same_seq_is_a_conflict(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        let first = apply(&store, build::update(&before, |after| after.operation = 1)).await;
        let second = build::review(&build::by_webhook(build::update(&before, |_| {}), "evt_1").payment);
        let second = workflow::port::store::Update { expected_seq: before.seq, ..second };
        assert_eq!(store.update(&[second]).await.unwrap(), [Updated::Conflict]);
        assert_eq!(stored(&store, &before).await, first);
        assert_eq!(store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap(), []);
    }

    async fn an_update_with_an_old_fence_is_a_conflict(database: TestDatabase) {
        let store = database.store().await;
        let claimed = {
            let before = one(&store, 1).await;
            apply(&store, build::claim(&before, build::at(60))).await
        };
        let mut late = build::update(&claimed, |_| {});
        late.expected_fence -= 1;
        assert_eq!(store.update(&[late]).await.unwrap(), [Updated::Conflict]);
        assert_eq!(stored(&store, &claimed).await, claimed);
    }

    async fn a_second_update_of_one_payment_in_a_batch_is_a_conflict(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=2).map(build::payment)).await;
        let first = build::update(&payments[0], |_| {});
        // It would fit what the first makes of the payment, and is a conflict all the same.
        let second = build::update(&first.payment, |_| {});
        let other = build::update(&payments[1], |_| {});
        let batch = [first.clone(), second, other.clone()];
        let results = store.update(&batch).await.unwrap();
        assert_eq!(results, [Updated::Applied, Updated::Conflict, Updated::Applied]);
        assert_eq!(stored(&store, &payments[0]).await, *first.payment);
        assert_eq!(stored(&store, &payments[1]).await, *other.payment);
    }

    async fn an_update_of_an_unknown_payment_is_a_conflict(database: TestDatabase) {
        let store = database.store().await;
        let never_stored = build::new_payment(build::payment(1)).payment;
        let update = build::by_request(build::by_webhook(build::review(&never_stored), "evt_1"), "key");
        assert_eq!(store.update(std::slice::from_ref(&update)).await.unwrap(), [Updated::Conflict]);
        assert_eq!(store.history(never_stored.id).await.unwrap(), []);
        assert_eq!(store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap(), []);
    }

    async fn an_update_may_bring_two_rows(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        let lost = build::update(&before, |after| after.state = State::Reconciling);
        let mut both = build::claim(&lost.payment, build::at(60));
        both.expected_seq = before.seq;
        both.expected_fence = before.fence;
        both.rows.insert(0, lost.rows[0].clone());
        let after = apply(&store, both).await;
        assert_eq!((after.seq, stored(&store, &before).await), (3, after));
    }

    async fn of_concurrent_updates_of_one_payment_one_is_stored(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        let calls: Vec<_> = (1..=32)
            .map(|number| {
                let (store, update) = (Arc::clone(&store), build::update(&before, |after| after.operation = number));
                tokio::spawn(async move { (store.update(&[update]).await.unwrap().remove(0), number) })
            })
            .collect();
        let mut winners = Vec::new();
        for call in calls {
            let (result, number) = call.await.unwrap();
            winners.extend((result == Updated::Applied).then_some(number));
        }
        assert_eq!(winners.len(), 1);
        let after = stored(&store, &before).await;
        assert_eq!((after.seq, after.operation), (2, winners[0]));
    }

    async fn batches_that_meet_in_opposite_orders_end(database: TestDatabase) {
        const BATCHES: usize = 24;
        let store = database.store().await;
        let payments = started(&store, (1..=20).map(build::payment)).await;
        let calls: Vec<_> = (0..BATCHES)
            .map(|number| {
                let mut batch: Vec<_> = payments.iter().map(|payment| build::update(payment, |_| {})).collect();
                if number % 2 == 1 {
                    batch.reverse();
                }
                let store = Arc::clone(&store);
                tokio::spawn(async move { applied(&store.update(&batch).await.unwrap()) })
            })
            .collect();
        let mut total = 0;
        for call in calls {
            total += call.await.unwrap();
        }
        assert_eq!(total, payments.len(), "each payment moved once");
    }
}

/// A payment of this number that is asked for with the key of another.
fn with_key_of(first: &NewPayment, number: u64) -> NewPayment {
    let mut new = build::new_payment(build::payment(number));
    new.request.scope = first.request.scope.clone();
    assert_eq!(HistoryRow::chained(new.payment.id, 1, new.row.fact.clone(), Hash::ZERO), new.row);
    new
}
