//! SQS queues at an emulator: a queue with a dead-letter queue behind it, the adapter over it, and what a test does to
//! messages behind everybody's back.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Value, json};
use workflow_aws::connect;
use workflow_aws::sqs::{Listening, SqsOptions, SqsQueue};

use crate::emulators::{Emulator, unique};

/// Which kind of queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any order, perhaps twice.
    Standard,
    /// In order within a payment.
    Fifo,
}

/// How a queue is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Which kind.
    pub kind: Kind,
    /// How long a received message stays invisible.
    pub visibility_s: u32,
    /// After how many deliveries it goes to the dead-letter queue.
    pub max_receives: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { kind: Kind::Standard, visibility_s: 30, max_receives: 100 }
    }
}

/// A queue and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct TestQueue {
    /// Where they are.
    pub emulator: Emulator,
    /// The queue.
    pub url: String,
    /// Where messages go that cannot be worked on.
    pub dead_letter_url: String,
}

impl TestQueue {
    /// Makes both.
    pub async fn create(emulator: Emulator, name: &str, shape: Shape) -> Self {
        let suffix = if shape.kind == Kind::Fifo { ".fifo" } else { "" };
        let name = unique(name);
        let create = async |name: String, mut attributes: Value| {
            if shape.kind == Kind::Fifo {
                attributes["FifoQueue"] = json!("true");
            }
            let made = emulator.sqs("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
            made["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
        };
        let dead_letter_url = create(format!("{name}-dead{suffix}"), json!({})).await;
        let asked = json!({ "QueueUrl": dead_letter_url, "AttributeNames": ["QueueArn"] });
        let arn = emulator.sqs("GetQueueAttributes", asked).await["Attributes"]["QueueArn"].clone();
        let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": shape.max_receives }).to_string();
        let attributes = json!({ "VisibilityTimeout": shape.visibility_s.to_string(), "RedrivePolicy": redrive });
        let url = create(format!("{name}{suffix}"), attributes).await;
        Self { emulator, url, dead_letter_url }
    }

    /// The adapter over it, with credentials that only an emulator takes.
    pub async fn adapter(&self, listening: Listening) -> Arc<SqsQueue> {
        adapter(&self.url, self.emulator.url(), listening).await
    }

    /// Puts a body into it that none of us has written.
    pub async fn put(&self, body: &str) {
        let mut message = json!({ "QueueUrl": self.url, "MessageBody": body });
        if self.url.ends_with(".fifo") {
            message["MessageGroupId"] = json!(unique("group"));
            message["MessageDeduplicationId"] = json!(unique("once"));
        }
        self.emulator.sqs("SendMessage", message).await;
    }

    /// The bodies that are visible now, at most ten; those received become invisible for a moment.
    pub async fn peek(&self, url: &str) -> Vec<Value> {
        let asked = json!({
            "QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "MessageAttributeNames": ["All"],
        });
        let received = self.emulator.sqs("ReceiveMessage", asked).await;
        received["Messages"].as_array().cloned().unwrap_or_default()
    }

    /// Messages in a queue, visible or not.
    pub async fn count(&self, url: &str) -> u64 {
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let attributes = self.emulator.sqs("GetQueueAttributes", asked).await["Attributes"].clone();
        let number =
            |name: &str| attributes[name].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        number("ApproximateNumberOfMessages") + number("ApproximateNumberOfMessagesNotVisible")
    }

    /// Waits until a queue holds so many messages.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until_it_holds(&self, url: &str, messages: u64) {
        let mut held = 0;
        for _ in 0..300 {
            held = self.count(url).await;
            if held == messages {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{url} holds {held} messages and not {messages}");
    }
}

/// The adapter over a queue at this endpoint.
pub async fn adapter(queue_url: &str, endpoint: &str, listening: Listening) -> Arc<SqsQueue> {
    let mut options = SqsOptions::new(queue_url, Some(endpoint.to_owned()));
    options.aws.region = Some("us-east-1".to_owned());
    let credentials = SharedCredentialsProvider::new(Credentials::for_tests());
    let config = connect::config(&options.aws).await.into_builder().credentials_provider(credentials).build();
    Arc::new(SqsQueue::over(&config, queue_url, listening))
}
