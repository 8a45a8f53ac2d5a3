//! What Step Functions is still to be told: kept, replaced, forgotten and looked at.

use fincore_tests::build::{at, payment_id};
use jiff::SignedDuration;
use workflow::definition::State;
use workflow::port::executions::{Execution, FIRST_LOOK_US, GROWTHS};

fincore_tests::on_each_database_and_behind_a_pooler! {
    async fn a_later_task_takes_the_place_of_an_earlier_one_and_not_the_other_way_round(database: TestDatabase) {
        let store = database.store().await;
        let (first, other) = (task(1, "a", 3), Execution { token: None, ..task(2, "", 1) });
        store.keep_executions(&[first.clone(), other.clone()], at(60)).await.unwrap();
        assert_eq!(kept(&*store, &[1, 2, 3]).await, [first.clone(), other]);
        let later = Execution { state: State::Authorized, since: at(9), ..task(1, "b", 5) };
        store.keep_executions(std::slice::from_ref(&later), at(60)).await.unwrap();
        store.keep_executions(std::slice::from_ref(&first), at(60)).await.unwrap();
        assert_eq!(kept(&*store, &[1]).await, std::slice::from_ref(&later), "the first is over");
        let again = Execution { token: Some("c".to_owned()), ..later.clone() };
        store.keep_executions(&[first, again.clone(), later], at(60)).await.unwrap();
        let kept = kept(&*store, &[1]).await;
        assert_eq!(kept[0].seq, again.seq, "of several in one batch one of the latest counts");
    }

    async fn only_the_task_that_was_answered_is_forgotten(database: TestDatabase) {
        let store = database.store().await;
        let (answered, started) = (task(1, "a", 3), Execution { token: None, ..task(2, "", 1) });
        let later = task(1, "b", 4);
        store.keep_executions(&[answered.clone(), started.clone()], at(60)).await.unwrap();
        store.keep_executions(std::slice::from_ref(&later), at(60)).await.unwrap();
        store.forget_executions(&[answered, started]).await.unwrap();
        assert_eq!(kept(&*store, &[1, 2]).await, [later]);
        store.forget_executions(&[]).await.unwrap();
        store.keep_executions(&[], at(0)).await.unwrap();
    }

    async fn looks_come_less_and_less_often(database: TestDatabase) {
        let store = database.store().await;
        let tasks: Vec<Execution> = (1..=3).map(|number| task(number, "a", 1)).collect();
        for (task, second) in tasks.iter().zip(0..) {
            store.keep_executions(std::slice::from_ref(task), at(second)).await.unwrap();
        }
        assert_eq!(store.watch_executions(at(-1), 10).await.unwrap(), []);
        assert_eq!(store.watch_executions(at(1), 1).await.unwrap(), tasks[..1], "the longest waiting first");
        assert_eq!(store.watch_executions(at(1), 10).await.unwrap(), tasks[1..2], "nobody else gets the first one");
        store.forget_executions(&tasks[1..]).await.unwrap();
        let mut looked = at(1);
        for looks in 0..GROWTHS + 3 {
            let pause = SignedDuration::from_micros(FIRST_LOOK_US * 4_i64.pow(looks.min(GROWTHS).unsigned_abs()));
            let early = looked + pause - SignedDuration::from_micros(1);
            assert_eq!(store.watch_executions(early, 10).await.unwrap(), [], "look {looks}");
            looked += pause;
            assert_eq!(store.watch_executions(looked, 10).await.unwrap(), tasks[..1], "look {looks}");
        }
    }
}

fn task(number: u64, token: &str, seq: i64) -> Execution {
    let (payment_id, token) = (payment_id(number), Some(token.to_owned()));
    Execution { payment_id, token, state: State::AwaitingWebhook, since: at(5), seq }
}

async fn kept(store: &dyn workflow::port::store::Store, numbers: &[u64]) -> Vec<Execution> {
    let ids: Vec<_> = numbers.iter().map(|number| payment_id(*number)).collect();
    let mut kept = store.executions(&ids).await.unwrap();
    kept.sort_by_key(|execution| execution.payment_id);
    kept
}
