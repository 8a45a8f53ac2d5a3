//! What a batch of messages costs the database, through the handler of the Lambda function.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fincore_lambda::function::{Function, Parts};
use fincore_tests::crash::CrashStore;
use fincore_tests::world::World;
use jiff::SignedDuration;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use workflow::definition::State;
use workflow::port::clock::{Clock, SystemClock};
use workflow::port::store::Store;
use workflow::shared::Nothing;
use workflow_aws::sqs::{Listening, SqsOptions, SqsQueue};

/// What SQS hands out at once.
const MESSAGES: usize = 10;

/// Moves of an automatic charge that a worker writes: its claim, and what came of three calls to the PSP.
const MOVES: usize = 4;

fincore_tests::on_each_database! {
    async fn a_batch_is_read_together_and_claimed_together(database: TestDatabase) {
        let world = World::over(database.store().await).await;
        let mut ids = Vec::new();
        for _ in 0..MESSAGES {
            ids.push(world.charge("pm_card_visa", "automatic").await);
        }
        let record = |(number, id)| json!({
            "messageId": format!("{number}"), "receiptHandle": "none",
            "body": json!({"v": 1, "payment": id, "seq": 1}).to_string(),
        });
        let event = json!({"Records": ids.iter().enumerate().map(record).collect::<Vec<Value>>()});
        let parts = |store: Arc<dyn Store>| Parts {
            store,
            queue: Arc::new(SqsQueue::open(SqsOptions::new("http://127.0.0.1:1/none", None), Listening::No)),
            psps: Arc::clone(&world.psps),
            clock: Arc::clone(&world.clock) as Arc<dyn Clock>,
            moves: Arc::new(Nothing),
            step_functions: None,
            alerts: Vec::new(),
            traces: None,
            name: "batch".to_owned(),
        };
        // On one thread and with a store of its own, as the function has it.
        let (answer, store) = std::thread::scope(|scope| {
            let handled = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut context = Context::default();
                    let deadline = SystemClock.now() + SignedDuration::from_secs(60);
                    context.deadline = u64::try_from(deadline.as_millisecond()).unwrap();
                    let store = CrashStore::counting(database.store().await);
                    let function = Function::new(parts(Arc::clone(&store) as _));
                    (function.handle(LambdaEvent::new(event, context)).await.unwrap(), store)
                })
            });
            tokio::task::block_in_place(|| handled.join().unwrap())
        });
        assert_eq!(answer, json!({"batchItemFailures": []}));
        for id in ids {
            assert_eq!(world.payment(id).await.state, State::Succeeded, "{}", world.ledger(id).await);
        }
        assert_eq!(store.loads.load(Ordering::SeqCst), 1);
        let updates = store.updates.lock().unwrap().clone();
        assert_eq!((updates[0], updates.iter().sum::<usize>()), (MESSAGES, MESSAGES * MOVES), "{updates:?}");
        world.finish().await;
    }
}
