//! Endpoints that fail, are gone, or ask for peace, and what each gets of what is due.

use fincore_tests::build::outbound::{again, change, delivered, delivery_claim, endpoint, telling};
use fincore_tests::build::{self, at};
use workflow::notification::EventType;
use workflow::payment::Payment;
use workflow::port::outbound::{DeliveryClaim, DeliveryOutcome, Disabled, DisabledReason, Dispatch, Endpoint};
use workflow::port::store::Updated;

use super::{apply, claim, log, made, settle, started, tell, with_merchants};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn no_endpoint_gets_more_than_its_share_and_one_that_fails_gets_one(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let [many, few] = [1, 2].map(|number| endpoint(number, build::merchant(number)));
        let failing = Endpoint { failing_since: Some(at(0)), ..endpoint(3, build::merchant(3)) };
        let (many, few) = (made(&store, many).await, made(&store, few).await);
        let failing = made(&store, failing).await;
        for number in 1..=40 {
            tell(&store, number, EventType::ChargeSucceeded).await;
        }
        for merchant in [2, 3] {
            for number in 0..3 {
                let payment = Payment { merchant_id: build::merchant(merchant), ..build::payment(100 * merchant + number) };
                let payment = started(&store, [payment]).await.remove(0);
                apply(&store, telling(build::end(&payment), EventType::ChargeSucceeded)).await;
            }
        }
        let share = |claimed: &[Dispatch], id| claimed.iter().filter(|dispatch| dispatch.endpoint_id == id).count();
        let claimed = store.claim_deliveries(delivery_claim(at(1_000))).await.unwrap();
        assert_eq!([many.id, few.id, failing.id].map(|id| share(&claimed, id)), [10, 3, 1]);
        assert!(claimed.iter().all(|dispatch| dispatch.endpoint_fails == (dispatch.endpoint_id == failing.id)));
        let busy = [many.id];
        let without = DeliveryClaim { busy: &busy, ..delivery_claim(at(1_000)) };
        let claimed = store.claim_deliveries(without).await.unwrap();
        assert_eq!([many.id, few.id, failing.id].map(|id| share(&claimed, id)), [0, 0, 1]);
        let limited = DeliveryClaim { limit: 4, ..delivery_claim(at(1_000)) };
        assert_eq!(store.claim_deliveries(limited).await.unwrap().len(), 4);
    }

    async fn an_endpoint_fails_until_something_arrives_and_is_disabled_after_long(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let to = made(&store, endpoint(1, build::merchant(1))).await;
        for number in 1..=3 {
            tell(&store, number, EventType::ChargeSucceeded).await;
        }
        let claimed = store.claim_deliveries(delivery_claim(at(10))).await.unwrap();
        let read = async || store.endpoint(build::merchant(1), to.id).await.unwrap().unwrap();
        settle(&store, delivered(&claimed[0], at(11), 500, again(at(20)))).await;
        settle(&store, delivered(&claimed[1], at(12), 500, again(at(20)))).await;
        assert_eq!((read().await.failing_since, read().await.version), (Some(at(11)), 1));
        settle(&store, delivered(&claimed[2], at(13), 200, DeliveryOutcome::Delivered)).await;
        assert_eq!(read().await.failing_since, None);
        let claimed = store.claim_deliveries(delivery_claim(at(20))).await.unwrap();
        settle(&store, delivered(&claimed[0], at(30), 500, again(at(40)))).await;
        let result = delivered(&claimed[1], at(50), 500, again(at(60)));
        assert_eq!(store.settle_deliveries(&[result], at(29)).await.unwrap(), [], "not yet for long");
        let claimed = claim(&store, 60).await.unwrap();
        let result = delivered(&claimed, at(61), 500, again(at(70)));
        assert_eq!(store.settle_deliveries(&[result], at(30)).await.unwrap(), [to.id]);
        let disabled = read().await;
        assert_eq!(disabled.disabled, Some(Disabled { at: at(61), reason: DisabledReason::Failing }));
        assert_eq!((disabled.version, disabled.updated_at), (2, at(61)));
        assert_eq!(claim(&store, 1_000).await, None, "nothing is sent any more");
        tell(&store, 9, EventType::ChargeSucceeded).await;
        assert_eq!(log(&store, to.id).await.len(), 3, "nor recorded");
        // Enabled again, it gets what has waited.
        let write = change(&disabled, "enable", |after| (after.disabled, after.failing_since) = (None, None));
        assert_eq!(store.write_endpoint(&write).await.unwrap(), Updated::Applied);
        assert_eq!(store.claim_deliveries(delivery_claim(at(1_001))).await.unwrap().len(), 2);
    }

    async fn one_that_is_gone_is_disabled_at_once_and_one_that_asks_for_peace_has_it(database: TestDatabase) {
        let store = with_merchants(database.store().await).await;
        let gone = made(&store, endpoint(1, build::merchant(1))).await;
        tell(&store, 1, EventType::ChargeSucceeded).await;
        let dispatch = claim(&store, 10).await.unwrap();
        let result = delivered(&dispatch, at(11), 410, DeliveryOutcome::Gone);
        assert_eq!(store.settle_deliveries(&[result], at(-1_000)).await.unwrap(), [gone.id]);
        let read = store.endpoint(build::merchant(1), gone.id).await.unwrap().unwrap();
        assert_eq!(read.disabled, Some(Disabled { at: at(11), reason: DisabledReason::Gone }));
        assert_eq!(claim(&store, 1_000).await, None);

        let busy = made(&store, endpoint(2, build::merchant(1))).await;
        for number in 2..=3 {
            tell(&store, number, EventType::ChargeSucceeded).await;
        }
        let limited = DeliveryClaim { limit: 1, ..delivery_claim(at(20)) };
        let dispatch = store.claim_deliveries(limited).await.unwrap().remove(0);
        let rest = DeliveryOutcome::Again { next_at: at(25), endpoint_rests_until: Some(at(40)) };
        settle(&store, delivered(&dispatch, at(21), 429, rest)).await;
        assert_eq!(claim(&store, 39).await, None, "also the other event");
        let claimed = store.claim_deliveries(delivery_claim(at(40))).await.unwrap();
        assert_eq!(claimed.len(), 1, "{} fails, so one at a time", busy.id);
    }
}
