//! Endpoints, the events they are told of, and deliveries: claimed by one at a time, each endpoint its share.

mod health;

use std::collections::HashSet;
use std::sync::Arc;

use fincore_tests::build::outbound::{
    again, change, creation, delivered, delivery_claim, endpoint, listening_to, request_of, telling,
};
use fincore_tests::build::{self, at};
use strum::IntoEnumIterator;
use workflow::ids::{EndpointId, EventId};
use workflow::notification::{EventType, Notification};
use workflow::payment::Payment;
use workflow::port::outbound::{
    DeliveryOutcome, DeliveryPage, DeliveryState, DirectEvent, Disabled, DisabledReason, Dispatch, Endpoint,
    FormerSecret, Resend,
};
use workflow::port::store::{Store, Updated};
use workflow::signing::SigningSecret;

use super::{apply, one, started};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn an_endpoint_is_stored_once_for_each_key_and_read_by_its_merchant_alone(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let full = Endpoint {
            description: Some("Füße 🧾 'x'".to_owned()),
            secret: SigningSecret::key_pair([3; 32]),
            former_secret: Some(FormerSecret { secret: SigningSecret::shared([4; 32]), expires_at: at(60) }),
            disabled: Some(Disabled { at: at(5), reason: DisabledReason::Requested }),
            failing_since: Some(at(4)),
            ..listening_to(endpoint(1, build::merchant(1)), &[EventType::ChargeFailed, EventType::ChargeSucceeded])
        };
        assert_eq!(store.write_endpoint(&creation(&full)).await.unwrap(), Updated::Applied);
        assert_eq!(store.write_endpoint(&creation(&full)).await.unwrap(), Updated::Conflict, "the key is taken");
        let record = store.request(&creation(&full).request.scope).await.unwrap().unwrap();
        assert_eq!(record, creation(&full).request);
        let plain = made(&store, endpoint(2, build::merchant(1))).await;
        assert_eq!(store.endpoints(build::merchant(1)).await.unwrap(), [plain.clone(), full.clone()]);
        assert_eq!(store.endpoint(build::merchant(1), full.id).await.unwrap(), Some(full.clone()));
        assert_eq!(store.endpoints(build::merchant(2)).await.unwrap(), []);
        assert_eq!(store.endpoint(build::merchant(2), full.id).await.unwrap(), None);
        assert_eq!(store.delete_endpoint(build::merchant(2), full.id).await.unwrap(), Updated::Conflict);
        assert_eq!(store.delete_endpoint(build::merchant(1), full.id).await.unwrap(), Updated::Applied);
        assert_eq!(store.delete_endpoint(build::merchant(1), full.id).await.unwrap(), Updated::Conflict);
        assert_eq!(store.endpoints(build::merchant(1)).await.unwrap(), [plain]);
    }

    async fn a_change_counts_once_and_only_from_where_the_endpoint_stands(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let before = made(&store, endpoint(1, build::merchant(1))).await;
        for reason in DisabledReason::iter() {
            let disabled = Some(Disabled { at: at(7), reason });
            let key = format!("key-{reason}");
            let current = store.endpoint(build::merchant(1), before.id).await.unwrap().unwrap();
            let write = change(&current, &key, |after| (after.disabled, after.updated_at) = (disabled, at(8)));
            assert_eq!(store.write_endpoint(&write).await.unwrap(), Updated::Applied);
            assert_eq!(store.write_endpoint(&write).await.unwrap(), Updated::Conflict, "it has changed since");
            let repeated = change(&write.endpoint, &key, |_| {});
            assert_eq!(store.write_endpoint(&repeated).await.unwrap(), Updated::Conflict, "the key is taken");
            assert_eq!(store.endpoint(build::merchant(1), before.id).await.unwrap(), Some(write.endpoint));
        }
    }

    async fn an_event_goes_to_the_endpoints_of_its_merchant_that_listen(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let ours = build::merchant(1);
        let all = made(&store, endpoint(1, ours)).await;
        let some = made(&store, listening_to(endpoint(2, ours), &[EventType::ChargeSucceeded])).await;
        let other = made(&store, listening_to(endpoint(3, ours), &[EventType::ChargeFailed])).await;
        let off = Endpoint { disabled: Some(Disabled { at: at(0), reason: DisabledReason::Gone }), ..endpoint(4, ours) };
        let off = made(&store, off).await;
        let foreign = made(&store, endpoint(5, build::merchant(2))).await;
        let payment = one(&store, 1).await;
        let update = telling(build::end(&payment), EventType::ChargeSucceeded);
        let event = update.notifications[0].clone();
        apply(&store, update.clone()).await;
        let claimed = store.claim_deliveries(delivery_claim(at(10))).await.unwrap();
        let went_to: HashSet<EndpointId> = claimed.iter().map(|dispatch| dispatch.endpoint_id).collect();
        assert_eq!(went_to, HashSet::from([all.id, some.id]));
        for dispatch in &claimed {
            let to = if dispatch.endpoint_id == all.id { &all } else { &some };
            assert_eq!((dispatch.event_id, &dispatch.payload), (event.id, &event.payload), "byte for byte");
            assert_eq!((&dispatch.url, &dispatch.secret, dispatch.attempt, dispatch.tries), (&to.url, &to.secret, 1, 1));
            assert_eq!((dispatch.since, dispatch.endpoint_fails), (event.at, false));
        }
        assert_eq!(store.event(ours, event.id).await.unwrap(), Some(event.payload));
        assert_eq!(store.event(build::merchant(2), event.id).await.unwrap(), None);
        for (endpoint, expected) in [(&all, 1), (&some, 1), (&other, 0), (&off, 0), (&foreign, 0)] {
            assert_eq!(log(&store, endpoint.id).await.len(), expected, "{}", endpoint.url);
        }
        assert_eq!(store.update(&[update]).await.unwrap(), [Updated::Conflict]);
        assert_eq!(log(&store, all.id).await.len(), 1, "what is not moved tells nobody");
    }

    async fn every_type_of_event_is_told(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let all = made(&store, endpoint(1, build::merchant(1))).await;
        let mut payment = one(&store, 1).await;
        for event_type in EventType::iter() {
            payment = apply(&store, telling(build::update(&payment, |_| {}), event_type)).await;
        }
        let told = log(&store, all.id).await;
        let expected: Vec<String> = EventType::iter().map(|event_type| event_type.to_string()).rev().collect();
        assert_eq!(told.iter().map(|row| row.event_type.clone()).collect::<Vec<_>>(), expected, "newest first");
    }

    async fn what_nobody_listens_to_is_not_written(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        made(&store, listening_to(endpoint(1, build::merchant(1)), &[EventType::ChargeFailed])).await;
        let payment = one(&store, 1).await;
        apply(&store, telling(build::end(&payment), EventType::ChargeSucceeded)).await;
        assert_eq!(database.number("select count(*) from outbound_events").await, 0);
        assert_eq!(database.number("select count(*) from outbound_deliveries").await, 0);
    }

    async fn a_batch_of_moves_tells_of_each(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let [first, second] = [1, 2].map(|number| endpoint(number, build::merchant(1)));
        let (first, second) = (made(&store, first).await, made(&store, second).await);
        let payments = started(&store, (1..=20).map(build::payment)).await;
        let batch: Vec<_> =
            payments.iter().map(|payment| telling(build::end(payment), EventType::ChargeSucceeded)).collect();
        assert_eq!(store.update(&batch).await.unwrap(), vec![Updated::Applied; 20]);
        assert_eq!(database.number("select count(*) from outbound_events").await, 20);
        assert_eq!((log(&store, first.id).await.len(), log(&store, second.id).await.len()), (20, 20));
    }

    async fn a_delivery_is_claimed_by_one_at_a_time_until_it_has_arrived(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, endpoint(1, build::merchant(1))).await;
        tell(&store, 1, EventType::ChargeSucceeded).await;
        let first = claim(&store, 10).await.unwrap();
        assert_eq!(claim(&store, 69).await, None, "somebody is sending");
        let second = claim(&store, 70).await.unwrap();
        assert_eq!((second.attempt, second.tries), (2, 2), "that somebody has died");
        // The first one was only slow; its failure says nothing about the second attempt.
        settle(&store, delivered(&first, at(71), 500, again(at(71)))).await;
        assert_eq!(claim(&store, 71).await, None);
        settle(&store, delivered(&second, at(72), 503, again(at(100)))).await;
        assert_eq!(claim(&store, 99).await, None, "it pauses");
        let third = claim(&store, 100).await.unwrap();
        // What arrived has arrived, whoever says so.
        settle(&store, delivered(&first, at(101), 200, DeliveryOutcome::Delivered)).await;
        settle(&store, delivered(&third, at(102), 500, again(at(102)))).await;
        assert_eq!(claim(&store, 10_000).await, None);
        let row = store.delivery(to.id, third.event_id).await.unwrap().unwrap();
        assert_eq!((row.state, row.attempts, row.next_attempt_at), (DeliveryState::Delivered, 3, None));
        let attempts = store.attempts(to.id, third.event_id, 10).await.unwrap();
        assert_eq!(attempts.iter().map(|row| (row.attempt, row.status)).collect::<Vec<_>>(), [
            (3, Some(500)),
            (2, Some(503)),
            (1, Some(500))
        ]);
        assert_eq!(row.last_attempt.as_ref(), attempts.first());
        assert_eq!(store.attempts(to.id, third.event_id, 2).await.unwrap(), attempts[..2]);
    }

    async fn two_who_claim_at_once_share_what_is_due(database: TestDatabase) {
        let stores = [database.store().await, database.unmigrated_store().await];
        with_merchants(Arc::clone(&stores[0])).await;
        made(&stores[0], endpoint(1, build::merchant(1))).await;
        made(&stores[0], endpoint(2, build::merchant(1))).await;
        for number in 1..=30 {
            tell(&stores[0], number, EventType::ChargeSucceeded).await;
        }
        let claiming = (0..8).map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for _ in 0..4 {
                    mine.extend(store.claim_deliveries(delivery_claim(at(100))).await.unwrap());
                }
                mine
            })
        });
        let mut claimed = Vec::new();
        for claiming in claiming.collect::<Vec<_>>() {
            claimed.extend(claiming.await.unwrap().iter().map(|dispatch| (dispatch.endpoint_id, dispatch.event_id)));
        }
        let different: HashSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), different.len()), (60, 60), "each once");
    }

    async fn a_delivery_that_has_ended_can_be_asked_for_again(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, endpoint(1, build::merchant(1))).await;
        tell(&store, 1, EventType::ChargeSucceeded).await;
        let dispatch = claim(&store, 10).await.unwrap();
        settle(&store, delivered(&dispatch, at(11), 404, DeliveryOutcome::Exhausted)).await;
        assert_eq!(log(&store, to.id).await[0].state, DeliveryState::Failed);
        assert_eq!(claim(&store, 1_000).await, None);
        let asked = |key: &str, event_id| {
            Resend { event_id, endpoint_id: to.id, now: at(50), request: request_of(build::merchant(1), key) }
        };
        assert_eq!(store.resend(&asked("a", dispatch.event_id)).await.unwrap(), Updated::Applied);
        assert_eq!(store.resend(&asked("a", dispatch.event_id)).await.unwrap(), Updated::Conflict, "once for each key");
        let nobody = EventId::new(at(0), [9, 9]);
        assert_eq!(store.resend(&asked("b", nobody)).await.unwrap(), Updated::Conflict);
        assert_eq!(store.request(&asked("b", nobody).request.scope).await.unwrap(), None, "the key is still free");
        let again = claim(&store, 50).await.unwrap();
        assert_eq!((again.attempt, again.tries, again.since, again.event_id), (2, 1, at(50), dispatch.event_id));
    }

    async fn a_test_goes_to_one_endpoint_whatever_it_listens_to(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, listening_to(endpoint(1, build::merchant(1)), &[EventType::ChargeFailed])).await;
        made(&store, endpoint(2, build::merchant(1))).await;
        let notification = Notification::test(build::merchant(1), to.id, at(5), [1, 2]);
        let request = request_of(build::merchant(1), "test");
        let direct = DirectEvent { notification, endpoint_id: to.id, request };
        assert_eq!(store.send_directly(&direct).await.unwrap(), Updated::Applied);
        assert_eq!(store.send_directly(&direct).await.unwrap(), Updated::Conflict);
        let claimed = store.claim_deliveries(delivery_claim(at(5))).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].endpoint_id, &claimed[0].payload), (to.id, &direct.notification.payload));
    }

    async fn the_log_is_read_page_by_page_and_by_state(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, endpoint(1, build::merchant(1))).await;
        let mut expected = Vec::new();
        for number in 1..=7 {
            expected.insert(0, tell(&store, number, EventType::ChargeSucceeded).await);
        }
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let page = DeliveryPage { endpoint_id: to.id, state: None, after, limit: 3 };
            let rows = store.deliveries(page).await.unwrap();
            let Some(last) = rows.last() else { break };
            after = Some(last.event_id);
            walked.extend(rows.into_iter().map(|row| row.event_id));
        }
        assert_eq!(walked, expected);
        let dispatch = claim(&store, 100).await.unwrap();
        settle(&store, delivered(&dispatch, at(100), 200, DeliveryOutcome::Delivered)).await;
        for (state, count) in [(DeliveryState::Delivered, 1), (DeliveryState::Pending, 6), (DeliveryState::Failed, 0)] {
            let page = DeliveryPage { endpoint_id: to.id, state: Some(state), after: None, limit: 10 };
            assert_eq!(store.deliveries(page).await.unwrap().len(), count, "{state}");
        }
    }

    async fn what_is_deleted_while_it_is_sent_leaves_nothing(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, endpoint(1, build::merchant(1))).await;
        tell(&store, 1, EventType::ChargeSucceeded).await;
        tell(&store, 2, EventType::ChargeSucceeded).await;
        let claimed = store.claim_deliveries(delivery_claim(at(100))).await.unwrap();
        settle(&store, delivered(&claimed[0], at(100), 500, again(at(100)))).await;
        assert_eq!(store.delete_endpoint(build::merchant(1), to.id).await.unwrap(), Updated::Applied);
        settle(&store, delivered(&claimed[1], at(101), 200, DeliveryOutcome::Delivered)).await;
        assert_eq!(claim(&store, 10_000).await, None);
        assert_eq!(database.number("select count(*) from outbound_deliveries").await, 0);
        assert_eq!(database.number("select count(*) from outbound_attempts").await, 0);
    }

    async fn old_events_are_forgotten_with_all_that_is_known_of_them(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, endpoint(1, build::merchant(1))).await;
        let mut events = Vec::new();
        for number in 1..=5_i64 {
            let payment = one(&store, number.unsigned_abs()).await;
            let update = build::update(&payment, |after| after.updated_at = at(number * 100));
            let update = telling(update, EventType::ChargeSucceeded);
            events.push(update.notifications[0].id);
            apply(&store, update).await;
        }
        for dispatch in store.claim_deliveries(delivery_claim(at(1_000))).await.unwrap() {
            settle(&store, delivered(&dispatch, at(1_000), 500, again(at(1_000)))).await;
        }
        assert_eq!(store.prune_events(at(400), 2).await.unwrap(), 2);
        assert_eq!(store.prune_events(at(400), 2).await.unwrap(), 1);
        assert_eq!(store.prune_events(at(400), 2).await.unwrap(), 0);
        let left: Vec<EventId> = log(&store, to.id).await.into_iter().map(|row| row.event_id).rev().collect();
        assert_eq!(left, events[3..]);
        assert_eq!(database.number("select count(*) from outbound_attempts").await, 2);
        assert_eq!(database.number("select count(*) from outbound_events").await, 2);
    }
}

/// Calls every method of this part of the port, for a merchant of this number that is stored.
pub(super) async fn use_everything(store: &Arc<dyn Store>, round: u64) {
    let merchant = build::merchant(round);
    let to = made(store, endpoint(round, merchant)).await;
    let write = change(&to, "change", |_| {});
    assert_eq!(store.write_endpoint(&write).await.unwrap(), Updated::Applied);
    assert_eq!(store.endpoints(merchant).await.unwrap().len(), 1);
    assert!(store.endpoint(merchant, to.id).await.unwrap().is_some());
    let payment = Payment { merchant_id: merchant, ..build::payment(90 + 100 * round) };
    let payment = started(store, [payment]).await.remove(0);
    apply(store, telling(build::end(&payment), EventType::ChargeSucceeded)).await;
    let dispatch = claim(store, 10).await.unwrap();
    settle(store, delivered(&dispatch, at(11), 500, again(at(12)))).await;
    let (event_id, endpoint_id) = (dispatch.event_id, to.id);
    let asked = Resend { event_id, endpoint_id, now: at(50), request: request_of(merchant, "resend") };
    assert_eq!(store.resend(&asked).await.unwrap(), Updated::Applied);
    let notification = Notification::test(merchant, to.id, at(5), [round, 2]);
    let direct = DirectEvent { notification, endpoint_id, request: request_of(merchant, "test") };
    assert_eq!(store.send_directly(&direct).await.unwrap(), Updated::Applied);
    assert!(store.event(merchant, event_id).await.unwrap().is_some());
    assert_eq!(log(store, to.id).await.len(), 2);
    assert!(store.delivery(to.id, event_id).await.unwrap().is_some());
    assert_eq!(store.attempts(to.id, event_id, 10).await.unwrap().len(), 1);
    assert_eq!(store.prune_events(at(-1_000), 10).await.unwrap(), 0);
    assert_eq!(store.delete_endpoint(merchant, to.id).await.unwrap(), Updated::Applied);
}

/// Stores the merchants that endpoints belong to.
async fn with_merchants(store: Arc<dyn Store>) -> Arc<dyn Store> {
    for number in 1..=3 {
        store.add_api_key(&build::api_key(number)).await.unwrap();
    }
    store
}

async fn made(store: &Arc<dyn Store>, endpoint: Endpoint) -> Endpoint {
    assert_eq!(store.write_endpoint(&creation(&endpoint)).await.unwrap(), Updated::Applied);
    endpoint
}

/// Ends a payment of merchant 1, which tells this; returns the event.
async fn tell(store: &Arc<dyn Store>, number: u64, event_type: EventType) -> EventId {
    let payment = one(store, number).await;
    let moved =
        build::update(&payment, |after| after.updated_at = at(0) + jiff::SignedDuration::from_millis(number as i64));
    let update = telling(moved, event_type);
    let event = update.notifications[0].id;
    apply(store, update).await;
    event
}

async fn claim(store: &Arc<dyn Store>, seconds: i64) -> Option<Dispatch> {
    store.claim_deliveries(delivery_claim(at(seconds))).await.unwrap().into_iter().next()
}

async fn settle(store: &Arc<dyn Store>, result: workflow::port::outbound::DeliveryResult) {
    assert_eq!(store.settle_deliveries(&[result], at(-1_000_000)).await.unwrap(), []);
}

async fn log(store: &Arc<dyn Store>, endpoint_id: EndpointId) -> Vec<workflow::port::outbound::DeliveryRow> {
    store.deliveries(DeliveryPage { endpoint_id, state: None, after: None, limit: 100 }).await.unwrap()
}
