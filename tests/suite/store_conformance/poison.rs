//! What must not be stored is refused, and harms nobody else.

use std::sync::Arc;

use fincore_tests::build;
use workflow::definition::State;
use workflow::payment::Payment;
use workflow::port::store::{NewPayment, StoreError, Update, Updated};

use super::{apply, one, started, stored};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn one_poisoned_update_among_nine_good_ones_is_left_out(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=10).map(build::payment)).await;
        let mut batch: Vec<Update> = payments.iter().map(|payment| build::update(payment, |_| {})).collect();
        Arc::make_mut(&mut batch[4].payment).amount_captured_minor = -1;
        let results = store.update(&batch).await.unwrap();
        let mut expected = vec![Updated::Applied; 10];
        expected[4] = Updated::Conflict;
        assert_eq!(results, expected);
        for (update, before) in batch.iter().zip(&payments) {
            let now = if update.payment.id == payments[4].id { before } else { &update.payment };
            assert_eq!(stored(&store, before).await, *now);
        }
        let alone = store.update(&batch[4..5]).await;
        assert!(matches!(alone, Err(StoreError::Refused(_))), "{alone:?}");
    }

    async fn a_start_that_cannot_be_stored_costs_no_neighbour_its_payment(database: TestDatabase) {
        let store = database.store().await;
        let mut batch: Vec<NewPayment> = (1..=5).map(|number| build::new_payment(build::payment(number))).collect();
        Arc::make_mut(&mut batch[2].payment).amount_minor = 0;
        let failed = store.start(&batch).await;
        assert!(matches!(failed, Err(StoreError::Refused(_))), "{failed:?}");
        // Nothing was acknowledged. Who asks again gets what was stored; nothing is half there.
        assert_eq!(store.load(&[batch[2].payment.id]).await.unwrap(), [None]);
        assert_eq!(store.request(&batch[2].request.scope).await.unwrap(), None);
        for new in batch.iter().filter(|new| new.payment.amount_minor > 0) {
            assert_eq!(stored(&store, &new.payment).await, *new.payment);
            assert_eq!(store.request(&new.request.scope).await.unwrap(), Some(new.request.clone()));
        }
    }

    async fn moves_that_break_a_rule_of_the_machine_are_refused(database: TestDatabase) {
        let store = database.store().await;
        let before = apply(&store, build::claim(&one(&store, 1).await, build::at(60))).await;
        for (rule, break_it) in NONSENSE {
            let mut update = build::update(&before, |_| {});
            break_it(Arc::make_mut(&mut update.payment));
            match store.update(&[update]).await {
                Err(StoreError::Refused(error)) => assert!(error.to_string().contains(rule), "{rule}: {error}"),
                other => panic!("{rule}: {other:?}"),
            }
            assert_eq!(stored(&store, &before).await, before, "{rule}");
        }
        // The connection is as good as before.
        apply(&store, build::end(&before)).await;
    }

    async fn an_unknown_value_stops_its_row_and_is_named(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=2).map(build::payment)).await;
        let spoil = "update payments set goal = 'fortune' where amount_minor = 1200 and fence = 7";
        let fenced = apply(&store, build::update(&payments[0], |after| after.fence = 7)).await;
        let by_force = if database.is_postgres() {
            format!("alter table payments drop constraint payments_goal_known; {spoil}")
        } else {
            format!("pragma ignore_check_constraints = on; {spoil}")
        };
        database.execute(&by_force).await.unwrap();
        match store.load(&[fenced.id]).await {
            Err(StoreError::Corrupt(what)) => {
                assert!(what.contains(&fenced.id.to_string()) && what.contains("goal"), "{what}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(store.load(&[payments[1].id]).await.unwrap(), [Some(payments[1].clone())]);
    }
}

/// A constraint, and a move that breaks it.
type Nonsense = (&'static str, fn(&mut Payment));

const NONSENSE: [Nonsense; 8] = [
    ("payments_ended_without_wake", |after| {
        after.next_wake_at = None;
        after.lease_until = None;
    }),
    ("payments_ended_without_wake", |after| after.state = State::Succeeded),
    ("payments_lease_has_wake", |after| {
        after.state = State::Failed;
        after.next_wake_at = None;
    }),
    ("payments_captured_of_authorized", |after| after.amount_captured_minor = 1),
    ("payments_refunded_of_captured", |after| after.amount_refunded_minor = 1),
    ("payments_refunded_of_captured", |after| after.amount_captured_minor = -1),
    ("payments_to_capture_in_range", |after| after.amount_to_capture_minor = Some(0)),
    ("payments_counters_from_zero", |after| after.attempt = -1),
];
