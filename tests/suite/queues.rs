//! What a queue between processes has to do, on two emulators of SQS that have nothing in common, with standard and with
//! FIFO queues.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use fincore_tests::emulators::Emulator;
use fincore_tests::queue::{Kind, Shape, TestQueue, adapter};
use jiff::Timestamp;
use workflow::ids::PaymentId;
use workflow::port::queue::{Delivery, Queue, Settlement, Wake};
use workflow::trace::TraceContext;
use workflow_aws::sqs::Listening;

/// Longer than any message should take here.
const PATIENCE: Duration = Duration::from_secs(30);

fn wake(number: u64) -> Wake {
    Wake::of(PaymentId::new(Timestamp::UNIX_EPOCH, [number, 1]), 3)
}

async fn next(queue: &dyn Queue) -> Delivery {
    let received = tokio::time::timeout(PATIENCE, queue.receive(1)).await.expect("a message comes");
    received.into_iter().next().unwrap()
}

/// Runs each test on each emulator and with each kind of queue.
macro_rules! on_each_queue {
    ($(async fn $name:ident($queue:ident: TestQueue, $shape:expr) $body:block)+) => {
        $(async fn $name($queue: TestQueue) $body)+

        on_each_queue!(@emulator ministack $($name $shape;)+);
        on_each_queue!(@emulator moto $($name $shape;)+);
    };
    (@emulator $emulator:ident $($name:ident $shape:expr;)+) => {
        mod $emulator {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    for kind in [Kind::Standard, Kind::Fifo] {
                        let Some(emulator) = Emulator::$emulator() else { return };
                        let shape = Shape { kind, ..$shape };
                        super::$name(TestQueue::create(emulator, "conformance", shape).await).await;
                    }
                }
            )+
        }
    };
}

on_each_queue! {
    async fn what_is_told_arrives_with_its_trace_and_is_gone_when_it_has_served(queue: TestQueue, Shape::default()) {
        let sqs = queue.adapter(Listening::Yes).await;
        let trace = TraceContext::new([1, 2, 3]);
        sqs.tell(vec![Wake { trace: Some(trace), ..wake(1) }]);
        let delivery = next(&*sqs).await;
        assert_eq!((delivery.wake.payment_id, delivery.wake.seq), (wake(1).payment_id, 3));
        assert_eq!((delivery.wake.trace, delivery.receives), (Some(trace), 1));
        assert!(delivery.wake.snapshot.is_none(), "a queue between processes carries no payment");
        sqs.settle(delivery.receipt.unwrap(), Settlement::Done);
        sqs.close().await;
        queue.until_drained().await;
    }

    async fn what_is_to_come_again_comes_after_its_time(queue: TestQueue, Shape::default()) {
        let sqs = queue.adapter(Listening::Yes).await;
        sqs.tell(vec![wake(1)]);
        let delivery = next(&*sqs).await;
        let put_off = Instant::now();
        sqs.settle(delivery.receipt.unwrap(), Settlement::Again(Duration::from_millis(1_100)));
        let again = next(&*sqs).await;
        assert!(put_off.elapsed() >= Duration::from_millis(1_100), "after {:?}", put_off.elapsed());
        assert_eq!((again.wake.payment_id, again.receives), (wake(1).payment_id, 2));
        // So long that SQS cannot: the sweeper finds it, and the queue forgets it.
        sqs.settle(again.receipt.unwrap(), Settlement::Again(Duration::from_secs(86_400)));
        sqs.close().await;
        queue.until_drained().await;
    }

    async fn hundreds_of_wakes_all_arrive(queue: TestQueue, Shape::default()) {
        let sqs = queue.adapter(Listening::Yes).await;
        sqs.tell((0..300).map(wake).collect());
        let mut seen = HashSet::new();
        while seen.len() < 300 {
            for delivery in tokio::time::timeout(PATIENCE, sqs.receive(64)).await.expect("messages come") {
                seen.insert(delivery.wake.payment_id);
                sqs.settle(delivery.receipt.unwrap(), Settlement::Done);
            }
        }
        sqs.close().await;
        queue.until_drained().await;
    }

    async fn a_message_that_cannot_be_read_ends_on_the_dead_letter_queue(
        queue: TestQueue,
        Shape { visibility_s: 1, max_receives: 2, ..Shape::default() }
    ) {
        let sqs = queue.adapter(Listening::Yes).await;
        queue.send(&["{\"v\":99}"]).await;
        sqs.tell(vec![wake(1)]);
        let delivery = next(&*sqs).await;
        assert_eq!(delivery.wake.payment_id, wake(1).payment_id, "the other one is not in the way");
        sqs.settle(delivery.receipt.unwrap(), Settlement::Done);
        queue.until_dead_letters(1).await;
        sqs.close().await;
        assert_eq!(queue.take(&queue.dead_letter_url).await[0].body, "{\"v\":99}");
        queue.until_drained().await;
    }

    async fn who_ends_hands_back_what_nobody_took(queue: TestQueue, Shape::default()) {
        let (ending, other) = (queue.adapter(Listening::Yes).await, queue.adapter(Listening::No).await);
        other.tell((0..5).map(wake).collect());
        other.flush().await;
        // One is taken and held, so the others are in hand as well.
        let held = next(&*ending).await;
        ending.close().await;
        let other = queue.adapter(Listening::Yes).await;
        let mut seen = HashSet::new();
        while seen.len() < 4 {
            seen.insert(next(&*other).await.wake.payment_id);
        }
        assert!(!seen.contains(&held.wake.payment_id), "what is in somebody's hands stays there");
        other.close().await;
    }

    async fn shortcomings_of_a_queue_are_named(queue: TestQueue, Shape::default()) {
        let sqs = queue.adapter(Listening::No).await;
        let found = sqs.shortcomings().await.unwrap().join("\n");
        assert!(found.contains("visibility timeout is 30 s") && found.contains("90 s or more"), "{found}");
        assert!(found.contains("after 100 deliveries") && found.contains("200 or more"), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_down_holds_up_nobody() {
    let port = fincore_tests::process::free_port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let sqs = adapter(&format!("{endpoint}/000000000000/payments"), &endpoint, Listening::Yes).await;
    let told = Instant::now();
    sqs.tell((0..100).map(wake).collect());
    assert!(told.elapsed() < Duration::from_secs(1), "telling waits for no answer");
    assert_eq!(sqs.send(vec![wake(1), wake(2)]).await.len(), 2, "who asks is told what was not taken");
    let closed = tokio::time::timeout(PATIENCE, sqs.close()).await;
    assert!(closed.is_ok(), "ending waits only as long as the tries take");
}
