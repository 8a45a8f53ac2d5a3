//! SQS queues at an emulator: a queue with a dead-letter queue behind it, the adapter over it, and what a test does to
//! messages behind everybody's back.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Value, json};
use workflow_aws::connect::{self, AwsOptions, SdkConfig};
use workflow_aws::sqs::{Listening, SqsQueue};

use crate::emulators::{Emulator, unique};

/// How long a queue may take to come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);
/// Messages in one answer, which is what SQS allows.
const RECEIVED_AT_ONCE: u32 = 10;

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

/// Messages of a queue, as it counts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Ready to be handed out.
    pub ready: u64,
    /// Handed out and not deleted.
    pub in_flight: u64,
    /// Not ready yet.
    pub delayed: u64,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its text.
    pub body: String,
    /// Its attributes, of the queue's and the sender's own: `Attributes` and `MessageAttributes`.
    pub raw: Value,
}

/// A queue and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct TestQueue {
    /// Where they are.
    pub emulator: Emulator,
    /// The queue.
    pub url: String,
    /// Where messages go that were handed out too often, and what the workflow gives up.
    pub dead_letter_url: String,
}

impl TestQueue {
    /// Makes both.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn create(emulator: Emulator, name: &str, shape: Shape) -> Self {
        let name = unique(name);
        let dead_letter_url = create(&emulator, &format!("{name}-dead"), shape.kind, json!({})).await;
        let mut queue = Self { emulator, url: String::new(), dead_letter_url };
        let target = queue.arn(&queue.dead_letter_url).await;
        let redrive = json!({ "deadLetterTargetArn": target, "maxReceiveCount": shape.max_receives.to_string() });
        let attributes = json!({
            "VisibilityTimeout": shape.visibility_s.to_string(),
            "RedrivePolicy": redrive.to_string(),
        });
        queue.url = create(&queue.emulator, &name, shape.kind, attributes).await;
        queue
    }

    /// The adapter over it, with credentials that only an emulator takes.
    pub async fn adapter(&self, listening: Listening) -> Arc<SqsQueue> {
        adapter(&self.url, self.emulator.url(), listening).await
    }

    /// AWS's name for one of the two.
    ///
    /// # Panics
    /// When the emulator does not say.
    pub async fn arn(&self, url: &str) -> String {
        let answer = self.sqs("GetQueueAttributes", url, json!({ "AttributeNames": ["QueueArn"] })).await;
        answer["Attributes"]["QueueArn"].as_str().expect("a queue has a name").to_owned()
    }

    /// Sends messages to the queue, in one batch for each ten.
    ///
    /// # Panics
    /// When the queue refuses one.
    pub async fn send<T: AsRef<str>>(&self, bodies: &[T]) {
        for (batch, bodies) in bodies.chunks(RECEIVED_AT_ONCE as usize).enumerate() {
            let entry = |(number, body): (usize, &T)| {
                let mut entry = json!({ "Id": number.to_string(), "MessageBody": body.as_ref() });
                if self.url.ends_with(".fifo") {
                    entry["MessageGroupId"] = json!("one");
                    entry["MessageDeduplicationId"] = json!(unique(&format!("{batch}-{number}")));
                }
                entry
            };
            let entries: Vec<Value> = bodies.iter().enumerate().map(entry).collect();
            let sent = self.sqs("SendMessageBatch", &self.url, json!({ "Entries": entries })).await;
            assert!(sent["Failed"].as_array().is_none_or(Vec::is_empty), "{sent}");
        }
    }

    /// How many messages a queue has: one of the two, by its URL.
    ///
    /// # Panics
    /// When the emulator does not say.
    pub async fn counts(&self, queue_url: &str) -> Counts {
        let answer = self.sqs("GetQueueAttributes", queue_url, json!({ "AttributeNames": ["All"] })).await;
        let count = |name: &str| {
            let text = answer["Attributes"][format!("ApproximateNumberOfMessages{name}")].as_str();
            text.and_then(|text| text.parse().ok()).expect("a queue counts its messages")
        };
        Counts { ready: count(""), in_flight: count("NotVisible"), delayed: count("Delayed") }
    }

    /// Waits until one of the two holds so many messages.
    ///
    /// # Panics
    /// When it does not come to that within two minutes.
    pub async fn until(&self, url: &str, wanted: Counts) {
        self.until_counted(url, |counts| *counts == wanted).await;
    }

    /// Waits until one of the two counts its messages as wanted.
    ///
    /// # Panics
    /// When it does not come to that within two minutes.
    pub async fn until_counted(&self, url: &str, is_wanted: impl Fn(&Counts) -> bool) {
        let reached = async {
            while !is_wanted(&self.counts(url).await) {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("{url} has {:?}, which is not what was waited for", self.counts(url).await);
        }
    }

    /// Waits until the queue has nothing left: ready, in flight or delayed.
    pub async fn until_drained(&self) {
        self.until(&self.url, Counts::default()).await;
    }

    /// Waits until so many messages lie in the dead-letter queue.
    pub async fn until_dead_letters(&self, count: u64) {
        self.until(&self.dead_letter_url, Counts { ready: count, ..Counts::default() }).await;
    }

    /// Takes messages out of one of the queues: at most ten, those that are ready now.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn take(&self, queue_url: &str) -> Vec<Letter> {
        let all = json!({
            "MaxNumberOfMessages": RECEIVED_AT_ONCE,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let received = self.sqs("ReceiveMessage", queue_url, all).await;
        let mut letters = Vec::new();
        for raw in received["Messages"].as_array().cloned().unwrap_or_default() {
            self.sqs("DeleteMessage", queue_url, json!({ "ReceiptHandle": raw["ReceiptHandle"] })).await;
            let body = raw["Body"].as_str().expect("a message has a body").to_owned();
            letters.push(Letter { body, raw });
        }
        letters
    }

    /// Removes both.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn delete(self) {
        for url in [&self.url, &self.dead_letter_url] {
            self.sqs("DeleteQueue", url, json!({})).await;
        }
    }

    async fn sqs(&self, action: &str, queue_url: &str, mut input: Value) -> Value {
        input["QueueUrl"] = json!(queue_url);
        self.emulator.sqs(action, input).await
    }
}

async fn create(emulator: &Emulator, name: &str, kind: Kind, mut attributes: Value) -> String {
    let name = match kind {
        Kind::Standard => name.to_owned(),
        Kind::Fifo => {
            attributes["FifoQueue"] = json!("true");
            format!("{name}.fifo")
        }
    };
    let created = emulator.sqs("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
    created["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
}

/// The adapter over a queue at this endpoint.
pub async fn adapter(queue_url: &str, endpoint: &str, listening: Listening) -> Arc<SqsQueue> {
    Arc::new(SqsQueue::over(&sdk_config(endpoint).await, queue_url, listening))
}

/// How AWS's clients reach an emulator, with credentials that only an emulator takes.
pub async fn sdk_config(endpoint: &str) -> SdkConfig {
    let options = AwsOptions { endpoint_url: Some(endpoint.to_owned()), region: Some("us-east-1".to_owned()) };
    let credentials = SharedCredentialsProvider::new(Credentials::for_tests());
    connect::config(&options).await.into_builder().credentials_provider(credentials).build()
}
