//! Dead letters on AWS: an SNS topic is told, and the dead-letter queue holds what the workflow has given up.

use std::sync::Arc;

use fincore_tests::build;
use fincore_tests::emulators::{Emulator, unique};
use fincore_tests::queue::{Shape, TestQueue, sdk_config};
use fincore_tests::world::World;
use serde_json::{Value, json};
use workflow::decide::Decided;
use workflow::definition::State;
use workflow_aws::alerts::{DeadLetterQueue, TopicAlert};
use workflow_aws::sqs::Listening;

async fn dead_letter_queue(queue: &TestQueue) -> DeadLetterQueue {
    let client = aws_sdk_sqs::Client::new(&sdk_config(queue.emulator.url()).await);
    DeadLetterQueue::over(client, &queue.dead_letter_url)
}

crate::on_each_store! {
    async fn what_the_workflow_gives_up_lies_on_the_dead_letter_queue_once_until_it_is_redriven(world: World) {
        let Some(emulator) = Emulator::ministack() else { return };
            let queue = TestQueue::create(emulator, "letters", Shape::default()).await;
            let worker = world.worker.clone().alerting(vec![Arc::new(dead_letter_queue(&queue).await)]);
            let id = world.charge("pm_sandbox_always_500", "automatic").await;
            while world.payment(id).await.state != State::InReview {
                worker.run_once().await.unwrap();
                world.clock.skip(std::time::Duration::from_secs(1_800));
            }
            for _ in 0..3 {
                worker.tell_of_dead_letters().await.unwrap();
            }
            queue.until_dead_letters(1).await;
            queue.send(&["not one of ours"]).await;
            let letters = queue.take(&queue.dead_letter_url).await;
            let told = |name: &str| letters[0].raw["MessageAttributes"][name]["StringValue"].clone();
            assert_eq!((told("payment"), told("psp")), (json!(id), json!("sandbox")));
            assert!(told("reason").as_str().is_some_and(|reason| reason.ends_with("_exhausted")), "{}", told("reason"));
            assert!(!told("last_error").as_str().unwrap().is_empty());
            // Put it back as the queue's own policy would, beside one of another payment and one that nobody can read.
            let other = json!({"v": 1, "payment": "ch_0197f3c2a1b47c6e8d5f00112233aaba", "seq": 1}).to_string();
            for body in [letters[0].body.as_str(), &other, "not one of ours"] {
                queue.emulator.sqs("SendMessage", json!({"QueueUrl": queue.dead_letter_url, "MessageBody": body})).await;
            }
            queue.take(&queue.url).await;
            build::redriven(&world.engine, id, Decided::No).await;
            let carrier = queue.adapter(Listening::No).await;
            let moved = dead_letter_queue(&queue).await.move_back(&carrier, |payment| payment == id).await.unwrap();
            assert_eq!(moved, 1);
            queue.until_dead_letters(2).await;
            let back = queue.take(&queue.url).await;
            assert_eq!(back.len(), 1);
            assert_eq!(serde_json::from_str::<Value>(&back[0].body).unwrap()["payment"], json!(id));
            queue.delete().await;
    }

    async fn a_topic_is_told_of_a_dead_letter_once(world: World) {
        for emulator in [Emulator::ministack(), Emulator::moto()].into_iter().flatten() {
            let queue = TestQueue::create(emulator, "subscriber", Shape::default()).await;
            let sns = aws_sdk_sns::Client::new(&sdk_config(queue.emulator.url()).await);
            let topic = sns.create_topic().name(unique("alerts")).send().await.unwrap().topic_arn.unwrap();
            let subscriber = queue.arn(&queue.url).await;
            sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(subscriber).send().await.unwrap();
            let worker = world.worker.clone().alerting(vec![Arc::new(TopicAlert::over(sns, &topic))]);
            let id = world.charge("pm_sandbox_amount_mismatch", "automatic").await;
            worker.run_once().await.unwrap();
            assert_eq!(world.payment(id).await.state, State::InReview);
            for _ in 0..3 {
                worker.tell_of_dead_letters().await.unwrap();
            }
            let told = queue.take(&queue.url).await;
            assert_eq!(told.len(), 1, "{told:?}");
            let envelope: Value = serde_json::from_str(&told[0].body).unwrap();
            let message: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
            assert_eq!((&message["type"], &message["data"]["charge"]), (&json!("dead_letter.created"), &json!(id)));
            assert!(envelope["Subject"].as_str().unwrap().contains("amounts_disagree"), "{envelope}");
            queue.delete().await;
        }
    }
}
