//! What causes a move is stored with it, and works once.

use std::sync::Arc;

use fincore_tests::build;
use workflow::port::store::{LetterFilter, Origin, Started, Update, Updated, WebhookEvent, WebhookOutcome};

use super::{applied, apply, one, started, stored};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn a_webhook_is_stored_with_the_move_it_caused(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), None);
        let update = build::by_webhook(build::update(&before, |_| {}), "evt_1");
        let event = event_of(&update);
        apply(&store, update).await;
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), Some(event));
        assert_eq!(store.webhook("another", "evt_1").await.unwrap(), None);
    }

    async fn a_doubled_webhook_is_a_conflict_and_moves_nothing(database: TestDatabase) {
        let store = database.store().await;
        let first = apply(&store, build::by_webhook(build::update(&one(&store, 1).await, |_| {}), "evt_1")).await;
        let kept = store.webhook("sandbox", "evt_1").await.unwrap();
        let other = one(&store, 2).await;
        for again in [build::update(&first, |_| {}), build::update(&other, |_| {})] {
            let again = build::by_webhook(again, "evt_1");
            assert_eq!(store.update(&[again]).await.unwrap(), [Updated::Conflict]);
        }
        assert_eq!(stored(&store, &first).await, first);
        assert_eq!(stored(&store, &other).await, other);
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), kept);
    }

    async fn one_webhook_twice_in_a_batch_moves_one_payment(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=4).map(build::payment)).await;
        let events = ["evt_0", "evt_1", "evt_1", "evt_2"];
        let batch: Vec<Update> = payments
            .iter()
            .zip(events)
            .map(|(payment, event)| build::by_webhook(build::update(payment, |_| {}), event))
            .collect();
        let results = store.update(&batch).await.unwrap();
        assert_eq!((results[0], results[3], applied(&results)), (Updated::Applied, Updated::Applied, 3));
    }

    async fn of_concurrent_moves_by_one_webhook_one_is_stored(database: TestDatabase) {
        let store = database.store().await;
        // Once the event is new, once it waits in the inbox: the two ways a race for it can go.
        for (round, event_id) in [(0, "evt_new"), (1, "evt_waiting")] {
            if round == 1 {
                store.keep_webhooks(&[build::webhook(event_id, None, WebhookOutcome::Unmatched)]).await.unwrap();
            }
            let payments = started(&store, (1..=16).map(|number| build::payment(number + 100 * round))).await;
            let moves = payments.iter().map(|payment| build::by_webhook(build::update(payment, |_| {}), event_id));
            assert_eq!(race(&store, moves.collect()).await, 1);
            let winner = store.webhook("sandbox", event_id).await.unwrap().unwrap().payment_id.unwrap();
            for payment in payments {
                let expected = if payment.id == winner { 2 } else { 1 };
                assert_eq!(stored(&store, &payment).await.seq, expected, "{}", payment.id);
            }
        }
    }

    async fn an_unmatched_webhook_is_replaced_by_the_move(database: TestDatabase) {
        let store = database.store().await;
        let waiting = build::webhook("evt_1", None, WebhookOutcome::Unmatched);
        store.keep_webhooks(std::slice::from_ref(&waiting)).await.unwrap();
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), Some(waiting));
        let update = build::by_webhook(build::update(&one(&store, 1).await, |_| {}), "evt_1");
        let event = event_of(&update);
        apply(&store, update).await;
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), Some(event));
        assert_eq!(store.unmatched_webhooks(build::at(0), 10).await.unwrap(), []);
    }

    async fn a_kept_webhook_stays_as_it_is(database: TestDatabase) {
        let store = database.store().await;
        let first = build::webhook("evt_1", None, WebhookOutcome::Ignored);
        let mut second = build::webhook("evt_1", Some(build::payment_id(1)), WebhookOutcome::Illegal);
        second.body = b"other".to_vec();
        let unmatched = build::webhook("evt_1", None, WebhookOutcome::Unmatched);
        store.keep_webhooks(&[first.clone(), second.clone()]).await.unwrap();
        store.keep_webhooks(&[second]).await.unwrap();
        store.keep_webhooks(&[unmatched]).await.unwrap();
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), Some(first));
    }

    async fn a_waiting_webhook_of_which_something_became_waits_no_longer(database: TestDatabase) {
        let store = database.store().await;
        let waiting = build::webhook("evt_1", None, WebhookOutcome::Unmatched);
        let illegal = build::webhook("evt_1", Some(build::payment_id(1)), WebhookOutcome::Illegal);
        store.keep_webhooks(&[waiting]).await.unwrap();
        store.keep_webhooks(std::slice::from_ref(&illegal)).await.unwrap();
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), Some(illegal));
        assert_eq!(store.unmatched_webhooks(build::at(0), 10).await.unwrap(), []);
    }

    async fn unmatched_webhooks_are_read_oldest_first(database: TestDatabase) {
        let store = database.store().await;
        let mut events: Vec<WebhookEvent> = [40, 10, 30, 20]
            .map(|seconds| {
                let event = build::webhook(&format!("evt_{seconds}"), None, WebhookOutcome::Unmatched);
                WebhookEvent { received_at: build::at(seconds), ..event }
            })
            .into();
        events.push(build::webhook("evt_ignored", None, WebhookOutcome::Ignored));
        store.keep_webhooks(&events).await.unwrap();
        let names = async |after, limit| {
            let events = store.unmatched_webhooks(build::at(after), limit).await.unwrap();
            events.into_iter().map(|event| event.event_id).collect::<Vec<_>>()
        };
        assert_eq!(names(0, 10).await, ["evt_10", "evt_20", "evt_30", "evt_40"]);
        assert_eq!(names(10, 2).await, ["evt_20", "evt_30"]);
    }

    async fn a_request_is_stored_with_the_move_it_caused(database: TestDatabase) {
        let store = database.store().await;
        let update = build::by_request(build::update(&one(&store, 1).await, |_| {}), "key-1");
        let Origin::Request(record) = update.origin.clone() else { unreachable!() };
        assert_eq!(store.request(&record.scope).await.unwrap(), None);
        apply(&store, update).await;
        assert_eq!(store.request(&record.scope).await.unwrap(), Some(record));
    }

    async fn a_request_whose_key_is_taken_is_a_conflict(database: TestDatabase) {
        let store = database.store().await;
        let first = apply(&store, build::by_request(build::update(&one(&store, 1).await, |_| {}), "key-1")).await;
        let (other, bystander) = (one(&store, 2).await, one(&store, 3).await);
        let batch = [
            build::by_request(build::update(&first, |_| {}), "key-1"),
            build::by_request(build::update(&other, |_| {}), "key-1"),
            build::by_request(build::update(&bystander, |_| {}), "key-2"),
        ];
        let results = store.update(&batch).await.unwrap();
        assert_eq!(results, [Updated::Conflict, Updated::Conflict, Updated::Applied]);
        assert_eq!(stored(&store, &first).await, first);
        assert_eq!(stored(&store, &other).await, other);
    }

    async fn of_concurrent_moves_by_one_request_one_is_stored(database: TestDatabase) {
        let store = database.store().await;
        let payments = started(&store, (1..=16).map(build::payment)).await;
        let moves = payments.iter().map(|payment| build::by_request(build::update(payment, |_| {}), "key-1"));
        assert_eq!(race(&store, moves.collect()).await, 1);
        let mut seqs = Vec::new();
        for payment in payments {
            seqs.push(stored(&store, &payment).await.seq);
        }
        assert_eq!(seqs.iter().sum::<i64>(), 17);
    }

    async fn a_conflict_takes_nothing_along(database: TestDatabase) {
        let store = database.store().await;
        let before = one(&store, 1).await;
        let moved = apply(&store, build::update(&before, |_| {})).await;
        let request = build::by_request(build::review(&before), "key-1");
        let Origin::Request(record) = request.origin.clone() else { unreachable!() };
        let webhook = build::by_webhook(build::review(&before), "evt_1");
        for late in [request, webhook] {
            assert_eq!(store.update(&[late]).await.unwrap(), [Updated::Conflict]);
        }
        assert_eq!(store.request(&record.scope).await.unwrap(), None);
        assert_eq!(store.webhook("sandbox", "evt_1").await.unwrap(), None);
        assert_eq!(store.dead_letters(&LetterFilter::default(), None, 10).await.unwrap(), []);
        assert_eq!(stored(&store, &before).await, moved);
        let again = build::new_payment(build::payment(9));
        assert_eq!(store.start(&[again]).await.unwrap(), [Started::Created]);
    }
}

/// Makes each move in a call of its own, all at once, and returns how many were applied.
async fn race(store: &Arc<dyn workflow::port::store::Store>, moves: Vec<Update>) -> usize {
    let calls: Vec<_> = moves
        .into_iter()
        .map(|update| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.update(&[update]).await.unwrap().remove(0) })
        })
        .collect();
    let mut results = Vec::new();
    for call in calls {
        results.push(call.await.unwrap());
    }
    applied(&results)
}

fn event_of(update: &Update) -> WebhookEvent {
    match &update.origin {
        Origin::Webhook(event) => event.clone(),
        Origin::Plain | Origin::Request(_) | Origin::Act(_) => unreachable!(),
    }
}
