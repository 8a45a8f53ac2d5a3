//! That the emulators of AWS do what the tests on them rely on.

use std::path::Path;

use fincore_tests::emulators::{Emulator, unique};
use fincore_tests::lambda::{Feeding, Lambda, Setup};
use fincore_tests::queue::{Counts, Kind, Shape, TestQueue};
use serde_json::json;

#[tokio::test]
async fn both_emulators_carry_a_message_through_a_queue() {
    for emulator in [Emulator::ministack(), Emulator::moto()].into_iter().flatten() {
        let queue = emulator.sqs("CreateQueue", json!({ "QueueName": unique("carries") })).await["QueueUrl"].clone();
        assert!(queue.as_str().unwrap().starts_with(emulator.url()), "{queue} is not on the loopback interface");
        emulator.sqs("SendMessage", json!({ "QueueUrl": queue, "MessageBody": "look" })).await;
        let received = emulator.sqs("ReceiveMessage", json!({ "QueueUrl": queue })).await;
        assert_eq!(received["Messages"][0]["Body"], "look");
        let receipt = &received["Messages"][0]["ReceiptHandle"];
        emulator.sqs("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": receipt })).await;
        emulator.sqs("DeleteQueue", json!({ "QueueUrl": queue })).await;
    }
}

/// A function that does what each message says.
async fn bare_lambda(shape: Shape, setup: &Setup) -> Option<Lambda> {
    let queue = TestQueue::create(Emulator::ministack()?, "bare", shape).await;
    Some(Lambda::deploy(queue, Path::new(env!("CARGO_BIN_EXE_bare-lambda")), setup).await)
}

/// How often the function has seen a message with this text.
async fn seen(lambda: &Lambda, word: &str) -> usize {
    let line = format!("saw {word}");
    lambda.logs().await.iter().filter(|logged| **logged == line).count()
}

/// The dead letters, in any order.
async fn dead_letters(lambda: &Lambda) -> Vec<String> {
    let mut bodies: Vec<String> =
        lambda.queue.take(&lambda.queue.dead_letter_url).await.into_iter().map(|letter| letter.body).collect();
    bodies.sort();
    bodies
}

#[tokio::test]
async fn of_a_batch_only_what_failed_comes_back_until_it_is_a_dead_letter() {
    let shape = Shape { visibility_s: 1, max_receives: 3, ..Shape::default() };
    let Some(lambda) = bare_lambda(shape, &Setup::default()).await else { return };
    lambda.feed(Feeding::Off).await;
    let words: Vec<String> = (0..9).map(|number| format!("good-{number}")).chain(["fail".to_owned()]).collect();
    lambda.queue.send(&words).await;
    assert_eq!(lambda.queue.counts(&lambda.queue.url).await, Counts { ready: 10, ..Counts::default() });
    lambda.feed(Feeding::On).await;
    lambda.queue.until_dead_letters(1).await;
    lambda.queue.until_drained().await;
    assert_eq!(dead_letters(&lambda).await, ["fail"]);
    assert_eq!((seen(&lambda, "fail").await, seen(&lambda, "good-7").await), (3, 1));
    lambda.delete().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_gives_back_its_whole_batch() {
    let shape = Shape { visibility_s: 2, max_receives: 2, ..Shape::default() };
    let Some(lambda) = bare_lambda(shape, &Setup { timeout_s: 1, ..Setup::default() }).await else { return };
    lambda.feed(Feeding::Off).await;
    lambda.queue.send(&["good", "hang"]).await;
    lambda.feed(Feeding::On).await;
    lambda.queue.until_dead_letters(2).await;
    assert_eq!(dead_letters(&lambda).await, ["good", "hang"]);
    assert_eq!(seen(&lambda, "hang").await, 2);
    lambda.delete().await;
}

#[tokio::test]
async fn a_function_that_crashes_is_started_again_for_the_next_batch() {
    let shape = Shape { visibility_s: 1, max_receives: 2, ..Shape::default() };
    let Some(lambda) = bare_lambda(shape, &Setup { batch_size: 1, ..Setup::default() }).await else { return };
    lambda.queue.send(&["crash", "good"]).await;
    lambda.queue.until_dead_letters(1).await;
    lambda.queue.until_drained().await;
    assert_eq!(dead_letters(&lambda).await, ["crash"]);
    assert_eq!((seen(&lambda, "crash").await, seen(&lambda, "good").await), (2, 1));
    lambda.delete().await;
}

#[tokio::test]
async fn a_first_in_first_out_queue_keeps_the_order() {
    let shape = Shape { kind: Kind::Fifo, ..Shape::default() };
    let Some(lambda) = bare_lambda(shape, &Setup { batch_size: 3, ..Setup::default() }).await else { return };
    let words: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    lambda.queue.send(&words).await;
    lambda.queue.until_drained().await;
    let mut saw = lambda.logs().await;
    saw.retain_mut(|line| {
        let word = line.strip_prefix("saw ").map(str::to_owned);
        word.map(|word| *line = word).is_some()
    });
    assert_eq!(saw, words);
    lambda.delete().await;
}

#[tokio::test]
async fn a_function_that_is_called_by_itself_answers_with_its_environment_of_now() {
    let told = |word: &str| vec![("TOLD".to_owned(), word.to_owned())];
    let Some(lambda) = bare_lambda(Shape::default(), &Setup { env: told("first"), ..Setup::default() }).await else {
        return;
    };
    for word in ["first", "second"] {
        lambda.set_env(&told(word)).await;
        let answer = lambda.invoke(json!({ "sweep": true })).await;
        assert!(!answer.failed);
        assert_eq!(answer.payload, json!({ "heard": { "sweep": true }, "told": word }));
    }
    lambda.delete().await;
}
