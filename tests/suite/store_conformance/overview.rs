//! What operators read across all merchants: counted, searched and listed, each payment once.

use std::sync::Arc;

use fincore_tests::build::outbound::{creation, endpoint};
use fincore_tests::build::{self, at};
use jiff::{SignedDuration, Timestamp};
use workflow::definition::{EventKind, Kind, State};
use workflow::ids::PaymentId;
use workflow::payment::{Failure, FailureCategory, Payment};
use workflow::port::outbound::{Disabled, DisabledReason};
use workflow::port::overview::{FindFilter, FindStep, Inbox, Overview, Standing};
use workflow::port::store::{Store, Walk, WebhookEvent, WebhookOutcome};

use super::{apply, one, started};

fincore_tests::on_each_database! {
    async fn open_payments_are_counted_by_state_with_the_oldest_and_what_is_due(database: TestDatabase) {
        let store = database.store().await;
        assert_eq!(store.open_payments(at(0)).await.unwrap().standings, []);
        let payments = started(&store, (1..=4).map(build::payment)).await;
        moved(&store, &payments[0], State::AwaitingWebhook, 50).await;
        moved(&store, &payments[1], State::AwaitingWebhook, 20).await;
        ended(&store, &payments[2], State::Failed, None).await;
        let open = store.open_payments(at(60)).await.unwrap();
        let standing = |state, count, seconds| Standing {
            kind: Kind::Charge,
            definition_version: payments[0].definition_version,
            state,
            count,
            oldest_since: at(seconds),
            overdue: 0,
        };
        assert_eq!(open.standings, [standing(State::AwaitingWebhook, 2, 20), standing(State::Created, 1, 0)]);
        assert_eq!((open.due, open.due_since), (1, Some(at(0))), "what waits for an hour is not due");
        let overdue = async |seconds| {
            let open = store.open_payments(at(seconds)).await.unwrap();
            open.standings.iter().map(|standing| (standing.state, standing.overdue)).collect::<Vec<_>>()
        };
        assert_eq!(overdue(119).await, [(State::AwaitingWebhook, 0), (State::Created, 0)], "workers have a while");
        assert_eq!(overdue(120).await, [(State::AwaitingWebhook, 0), (State::Created, 1)]);
        assert_eq!(overdue(10_000).await, [(State::AwaitingWebhook, 2), (State::Created, 1)]);
        assert_eq!(store.open_payments(at(10_000)).await.unwrap().due, 3);
    }

    async fn the_latest_payments_come_first_with_what_workers_wrote(database: TestDatabase) {
        let store = database.store().await;
        let overview = database.desk().await.overview;
        let payments = started(&store, (1..=3).map(build::payment)).await;
        apply(&store, build::update(&payments[1], |_| {})).await;
        let recent = overview.recent_payments(2).await.unwrap();
        assert_eq!(recent.iter().map(|payment| payment.id).collect::<Vec<_>>(), [payments[2].id, payments[1].id]);
        let rows = overview.recent_worker_rows(2).await.unwrap();
        let history = store.history(payments[1].id).await.unwrap();
        let by_worker: Vec<EventKind> = history
            .iter()
            .filter(|row| row.fact.actor.starts_with("worker"))
            .map(|row| row.fact.event)
            .collect();
        assert_eq!(rows.iter().map(|row| row.event).collect::<Vec<_>>(), by_worker);
        assert!(!rows.is_empty() && rows.iter().all(|row| row.payment_id == payments[1].id && row.psp == "sandbox"));
    }

    async fn a_search_finds_what_fits_and_nothing_else(database: TestDatabase) {
        let store = database.store().await;
        let overview = database.desk().await.overview;
        let other = Payment {
            merchant_id: build::merchant(2),
            psp: "sandbox_b".to_owned(),
            amount_minor: 777,
            currency: "usd".parse().unwrap(),
            ..build::payment(2)
        };
        let payments = started(&store, [build::payment(1), other, build::payment(3), build::payment(4)]).await;
        moved(&store, &payments[0], State::InReview, 10).await;
        ended(&store, &payments[2], State::Failed, Some("card_declined")).await;
        let numbers = async |filter: FindFilter| {
            let found = search(&overview, &filter, Walk::Older, 10, 10).await;
            found.iter().map(|id| payments.iter().position(|payment| payment.id == *id).unwrap()).collect::<Vec<_>>()
        };
        let all = FindFilter::default;
        assert_eq!(numbers(all()).await, [3, 2, 1, 0]);
        for (filter, expected) in [
            (FindFilter { state: Some(State::InReview), ..all() }, vec![0]),
            (FindFilter { state: Some(State::Failed), ..all() }, vec![2]),
            (FindFilter { merchant_id: Some(build::merchant(2)), ..all() }, vec![1]),
            (FindFilter { merchant_id: Some(build::merchant(2)), state: Some(State::InReview), ..all() }, vec![]),
            (FindFilter { merchant_id: Some(build::merchant(1)), state: Some(State::Failed), ..all() }, vec![2]),
            (FindFilter { psp: Some("sandbox_b".to_owned()), ..all() }, vec![1]),
            (FindFilter { amount_minor: 700..=800, ..all() }, vec![1]),
            (FindFilter { currency: Some("usd".parse().unwrap()), ..all() }, vec![1]),
            (FindFilter { error_code: Some("card_declined".to_owned()), ..all() }, vec![2]),
            (FindFilter { error_code: Some("card".to_owned()), ..all() }, vec![]),
            (FindFilter { waiting_since: Some(at(0)), ..all() }, vec![3, 1]),
            (FindFilter { waiting_since: Some(at(10)), ..all() }, vec![3, 1, 0]),
            (FindFilter { min_attempts: 1, ..all() }, vec![]),
            (FindFilter { definition_version: Some(99), ..all() }, vec![]),
            (FindFilter { definition_version: Some(payments[0].definition_version), ..all() }, vec![3, 2, 1, 0]),
        ] {
            assert_eq!(numbers(filter.clone()).await, expected, "{filter:?}");
        }
    }

    async fn a_search_goes_on_from_where_its_look_ended_either_way(database: TestDatabase) {
        let store = database.store().await;
        let overview = database.desk().await.overview;
        let payments = started(&store, (1..=9).map(build::payment)).await;
        ended(&store, &payments[1], State::Failed, None).await;
        ended(&store, &payments[7], State::Failed, None).await;
        let filter = FindFilter { state: Some(State::Failed), ..FindFilter::default() };
        let step = FindStep { filter: &filter, walk: Walk::Older, after: None, look_at: 4, limit: 10 };
        let first = overview.find(&step).await.unwrap();
        assert_eq!(first.payments.iter().map(|found| found.id).collect::<Vec<_>>(), [payments[7].id]);
        assert_eq!(first.next, Some(payments[5].id), "four were looked at");
        for (look_at, limit) in [(1, 1), (2, 1), (4, 10), (100, 1), (100, 100)] {
            assert_eq!(search(&overview, &filter, Walk::Older, look_at, limit).await, [payments[7].id, payments[1].id]);
            assert_eq!(search(&overview, &filter, Walk::Newer, look_at, limit).await, [payments[1].id, payments[7].id]);
            let open = FindFilter { state: Some(State::Created), ..FindFilter::default() };
            assert_eq!(search(&overview, &open, Walk::Older, look_at, limit).await.len(), 7);
        }
    }

    async fn a_payment_is_found_by_any_name(database: TestDatabase) {
        let store = database.store().await;
        let overview = database.desk().await.overview;
        let known = one(&store, 1).await;
        let mut update = build::update(&known, |after| after.psp_reference = Some("pi_1".to_owned()));
        update.learned_reference = Some("pi_1".to_owned());
        apply(&store, update).await;
        assert_eq!(overview.by_any_reference("pi_1", 10).await.unwrap(), [known.id]);
        assert_eq!(overview.by_any_reference("pi_2", 10).await.unwrap(), []);
        assert_eq!(overview.payment_of_event(workflow::ids::EventId::new(at(0), [1, 1])).await.unwrap(), None);
    }

    async fn events_that_a_person_should_look_at_are_listed_newest_first(database: TestDatabase) {
        let store = database.store().await;
        let overview = database.desk().await.overview;
        let event = |number: i64, outcome| WebhookEvent {
            psp: "sandbox".to_owned(),
            event_id: format!("evt_{number}"),
            event_type: "charge.odd".to_owned(),
            body: b"{}".to_vec(),
            received_at: at(number),
            payment_id: None,
            outcome,
        };
        let outcomes = [
            WebhookOutcome::Unmatched,
            WebhookOutcome::Illegal,
            WebhookOutcome::Unreadable,
            WebhookOutcome::Ignored,
            WebhookOutcome::Unmatched,
        ];
        let events: Vec<_> = outcomes.into_iter().zip(1..).map(|(outcome, number)| event(number, outcome)).collect();
        store.keep_webhooks(&events).await.unwrap();
        let names = async |which, before, limit| {
            let found = overview.inbox(which, before, limit).await.unwrap();
            found.into_iter().map(|row| row.event_id).collect::<Vec<_>>()
        };
        assert_eq!(names(Inbox::Unmatched, Timestamp::MAX, 10).await, ["evt_5", "evt_1"]);
        assert_eq!(names(Inbox::Refused, Timestamp::MAX, 10).await, ["evt_3", "evt_2"]);
        assert_eq!(names(Inbox::Refused, at(3), 10).await, ["evt_2"]);
        assert_eq!(names(Inbox::Unmatched, Timestamp::MAX, 1).await, ["evt_5"]);
    }

    async fn endpoints_in_trouble_come_first(database: TestDatabase) {
        let store = database.store().await;
        let overview = database.desk().await.overview;
        for number in 1..=2 {
            store.add_api_key(&build::api_key(number)).await.unwrap();
        }
        let well = endpoint(3, build::merchant(1));
        let mut failing = endpoint(1, build::merchant(1));
        failing.failing_since = Some(at(7));
        let mut gone = endpoint(2, build::merchant(2));
        gone.disabled = Some(Disabled { at: at(9), reason: DisabledReason::Gone });
        for endpoint in [&well, &failing, &gone] {
            store.write_endpoint(&creation(endpoint)).await.unwrap();
        }
        let all = overview.all_endpoints(10).await.unwrap();
        assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [failing.id, gone.id, well.id]);
        assert_eq!(all.iter().map(|row| row.is_in_trouble()).collect::<Vec<_>>(), [true, true, false]);
        assert!(all.iter().all(|row| row.pending == 0 && row.pending_since.is_none()));
        assert_eq!(overview.all_endpoints(1).await.unwrap().len(), 1);
    }
}

/// Moves a payment to a state that it waits in for two hours.
async fn moved(store: &Arc<dyn Store>, payment: &Payment, state: State, since: i64) -> Payment {
    let update = build::update(payment, |after| {
        after.state = state;
        after.state_since = at(since);
        after.next_wake_at = Some(at(since) + SignedDuration::from_hours(2));
    });
    apply(store, update).await
}

async fn ended(store: &Arc<dyn Store>, payment: &Payment, state: State, code: Option<&str>) -> Payment {
    let update = build::update(payment, |after| {
        after.state = state;
        after.next_wake_at = None;
        after.lease_until = None;
        after.failure = code.map(|code| Failure {
            category: FailureCategory::HardDecline,
            code: code.to_owned(),
            decline_code: None,
            advice: None,
        });
    });
    apply(store, update).await
}

/// A whole search, step by step.
async fn search(
    overview: &Arc<dyn Overview>,
    filter: &FindFilter,
    walk: Walk,
    look_at: u32,
    limit: u32,
) -> Vec<PaymentId> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..100 {
        let step = overview.find(&FindStep { filter, walk, after, look_at, limit }).await.unwrap();
        found.extend(step.payments.iter().map(|payment| payment.id));
        after = step.next;
        if after.is_none() {
            return found;
        }
    }
    panic!("the search does not end");
}
