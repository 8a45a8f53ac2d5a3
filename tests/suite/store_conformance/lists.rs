//! Lists: in order, bounded, and each merchant's own.

use fincore_tests::build;
use workflow::ids::PaymentId;
use workflow::payment::Payment;
use workflow::port::store::{Due, ListFilter, ListStep, Listed, StoreError};

use super::{apply, one, started};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn a_payment_is_found_by_every_name_a_psp_gave_it(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        one(&store, 2).await;
        assert_eq!(store.by_psp_reference("sandbox", "pi_1").await.unwrap(), None);
        let named = build::update(&before, |after| after.psp_reference = Some("pi_1".to_owned()));
        let first = named.payment.clone();
        apply(&store, named).await;
        assert_eq!(store.by_psp_reference("sandbox", "pi_1").await.unwrap(), Some(before.id));
        assert_eq!(store.by_psp_reference("another", "pi_1").await.unwrap(), None);
        assert_eq!(store.by_psp_reference("sandbox", "pi_2").await.unwrap(), None);
        let mut moved = build::update(&first, |after| {
            (after.psp, after.psp_reference) = ("another".to_owned(), Some("pi_1".to_owned()));
        });
        moved.learned_reference = Some("pi_1".to_owned());
        apply(&store, moved).await;
        for psp in ["sandbox", "another"] {
            assert_eq!(store.by_psp_reference(psp, "pi_1").await.unwrap(), Some(before.id), "{psp}");
        }
    }

    async fn what_is_due_is_listed_longest_overdue_first(database: TestDatabase) {
        let store = database.store().await;
        // Due at 3 h, at 1 h, now and in an hour's second half; one has ended and one is claimed for later.
        let wakes = [(1, 10_800), (2, 3_600), (3, 0), (4, 5_400), (5, 1), (6, 2)];
        let payments = started(&store, wakes.map(|(number, wake)| Payment {
            next_wake_at: Some(build::at(wake)),
            ..build::payment(number)
        })).await;
        apply(&store, build::end(&payments[4])).await;
        let claimed = apply(&store, build::claim(&payments[5], build::at(7_200))).await;
        let due = async |seconds, limit| {
            let due = store.due(build::at(seconds), None, limit).await.unwrap();
            due.into_iter().map(|due| (due.payment_id, due.seq)).collect::<Vec<_>>()
        };
        let [one, two, three, four] = [0, 1, 2, 3].map(|at: usize| (payments[at].id, 1));
        assert_eq!(due(-1, 10).await, []);
        assert_eq!(due(0, 10).await, [three]);
        assert_eq!(due(3_599, 10).await, [three]);
        assert_eq!(due(5_400, 10).await, [three, two, four]);
        assert_eq!(due(99_999, 10).await, [three, two, four, (claimed.id, 2), one]);
        assert_eq!(due(99_999, 2).await, [three, two]);
        let named = store.due(build::at(0), None, 1).await.unwrap();
        assert_eq!(named, [Due { since: build::at(0), payment_id: payments[2].id, seq: 1 }]);
    }

    async fn what_is_due_can_be_walked_over_page_by_page(database: TestDatabase) {
        let store = database.store().await;
        // Some instants are shared by more payments than fit a page; some lie hours apart.
        let wakes = (1..=20).map(|number| (number, [0, 0, 0, 0, 3_600, 3_601, 9_000][number as usize % 7]));
        let payments = started(&store, wakes.map(|(number, wake)| Payment {
            next_wake_at: Some(build::at(wake)),
            ..build::payment(number)
        })).await;
        let mut expected: Vec<_> = payments.iter().map(|payment| (payment.next_wake_at.unwrap(), payment.id)).collect();
        expected.sort();
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = store.due(build::at(9_000), after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(*last);
            walked.extend(page.into_iter().map(|due| (due.since, due.payment_id)));
        }
        assert_eq!(walked, expected);
    }

    async fn a_merchant_pages_through_its_own_payments_newest_first(database: TestDatabase) {
        let store = database.store().await;
        started(&store, (1..=7).map(|number| Payment {
            merchant_id: build::merchant(if number % 3 == 0 { 2 } else { 1 }),
            ..build::payment(number)
        })).await;
        let all = ListFilter::default();
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let Listed { payments, next } = store.list(&ListStep { after, ..build::step(1, &all, 2) }).await.unwrap();
            pages.push(ids(&payments));
            let Some(next) = next else { break };
            after = Some(next);
        }
        let expected = [vec![7, 5], vec![4, 2], vec![1]].map(|page| page.into_iter().map(build::payment_id).collect());
        assert_eq!(pages, expected as [Vec<PaymentId>; 3]);
        let theirs = store.list(&build::step(2, &all, 10)).await.unwrap();
        assert_eq!(ids(&theirs.payments), [6, 3].map(build::payment_id));
        let nobody = store.list(&build::step(3, &all, 10)).await.unwrap();
        assert_eq!(nobody, Listed { payments: Vec::new(), next: None });
    }

    async fn a_walk_passes_every_payment_once(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=5).map(|number| Payment {
            merchant_id: build::merchant(number % 2),
            ..build::payment(number)
        })).await;
        let first = store.walk(None, 3).await.unwrap();
        let rest = store.walk(Some(first[2].id), 3).await.unwrap();
        assert_eq!(store.walk(Some(rest[1].id), 3).await.unwrap(), []);
        assert_eq!([first, rest].concat(), payments);
    }

    async fn an_api_key_is_found_by_the_hash_of_its_secret(database: TestDatabase) {
        let store = database.store().await;
        let (mut first, mut second) = (build::api_key(1), build::api_key(2));
        second.merchant_id = first.merchant_id;
        second.revoked_at = Some(build::at(5));
        first.created_at = build::at(3);
        for key in [&first, &second] {
            store.add_api_key(key).await.unwrap();
        }
        assert_eq!(store.api_key(first.secret_hash).await.unwrap(), Some(first.clone()));
        assert_eq!(store.api_key(second.secret_hash).await.unwrap(), Some(second));
        assert_eq!(store.api_key(build::api_key(3).secret_hash).await.unwrap(), None);
        let mut same_secret = build::api_key(4);
        same_secret.secret_hash = first.secret_hash;
        let refused = store.add_api_key(&same_secret).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert_eq!(database.number("select count(*) from merchants").await, 1, "a key that failed leaves no merchant");
    }
}

fn ids(payments: &[Payment]) -> Vec<PaymentId> {
    payments.iter().map(|payment| payment.id).collect()
}
