//! That the emulators of AWS do what the tests on them rely on.

use fincore_tests::emulators::{Emulator, unique};
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
