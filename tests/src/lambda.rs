//! A Lambda function in the emulator, behind a queue with a dead-letter queue: what stands between a message and the
//! worker in production, without AWS.
//!
//! The function is a real process that speaks the runtime API, and gets its batches from an event source mapping that
//! reports failures item by item. The zip holds a script that starts the binary where it lies, so that no test waits for
//! a binary to be packed; the package that ships is checked by `cargo xtask package`.
//!
//! What the emulator does otherwise than AWS: a batch has at most 10 messages.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::emulators::{Emulator, unique};

/// What the runtime asks for in a role; nobody checks it here.
const ROLE: &str = "arn:aws:iam::000000000000:role/fincore-test";
/// How long a queue may take to come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Messages in one answer, which is what SQS allows.
const RECEIVED_AT_ONCE: u32 = 10;

/// How a function and its queues are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Environment of the function.
    pub env: Vec<(String, String)>,
    /// Seconds after which an invocation is ended.
    pub timeout_s: u32,
    /// Memory of the function, in megabytes; more of it also means more of a processor, on AWS.
    pub memory_mb: u32,
    /// Seconds for which a message that was handed out is not handed out again.
    pub visibility_s: u32,
    /// How often a message is handed out before it goes to the dead-letter queue.
    pub max_receives: u32,
    /// Messages in a batch, at most.
    pub batch_size: u32,
    /// Whether the order of messages is kept.
    pub order: Order,
}

/// Kinds of queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Any order, now and then twice.
    Standard,
    /// First in, first out, within each group.
    Fifo,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            env: Vec::new(),
            timeout_s: 10,
            memory_mb: 256,
            visibility_s: 10,
            max_receives: 3,
            batch_size: 10,
            order: Order::Standard,
        }
    }
}

/// A function with its queues. Dropping it leaves them to the emulator's end; [`Lambda::delete`] removes them.
#[derive(Clone, Debug)]
pub struct Lambda {
    emulator: Emulator,
    name: String,
    /// The queue the function is fed from.
    pub queue_url: String,
    /// Where messages go that were handed out too often.
    pub dead_letters_url: String,
    mapping: String,
    order: Order,
}

/// What became of an invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What the function answered, or what it or the runtime says of the failure.
    pub payload: Value,
    /// Whether it failed.
    pub failed: bool,
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

impl Lambda {
    /// Sets everything up; `bootstrap` is the path of the function's binary.
    ///
    /// # Panics
    /// When the emulator refuses anything.
    pub async fn deploy(emulator: &Emulator, bootstrap: &Path, setup: &Setup) -> Self {
        let name = unique("fincore");
        let dead_letters_url = queue(emulator, &format!("{name}-dead"), setup.order, json!({})).await;
        let redrive = json!({
            "deadLetterTargetArn": arn(emulator, &dead_letters_url).await,
            "maxReceiveCount": setup.max_receives.to_string(),
        });
        let attributes = json!({
            "VisibilityTimeout": setup.visibility_s.to_string(),
            "RedrivePolicy": redrive.to_string(),
        });
        let queue_url = queue(emulator, &name, setup.order, attributes).await;
        let function = json!({
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Role": ROLE,
            "Handler": "bootstrap",
            "Timeout": setup.timeout_s,
            "MemorySize": setup.memory_mb,
            "Environment": { "Variables": variables(&setup.env) },
            "Code": { "ZipFile": BASE64_STANDARD.encode(zip(bootstrap)) },
        });
        emulator.lambda("POST", "/2015-03-31/functions", function).await;
        let mapping = json!({
            "EventSourceArn": arn(emulator, &queue_url).await,
            "FunctionName": name,
            "BatchSize": setup.batch_size,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        });
        let mapping = emulator.lambda("POST", "/2015-03-31/event-source-mappings", mapping).await;
        let mapping = mapping["UUID"].as_str().expect("a mapping has an id").to_owned();
        Self { emulator: emulator.clone(), name, queue_url, dead_letters_url, mapping, order: setup.order }
    }

    /// The emulator it runs in.
    #[must_use]
    pub fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Sends messages to the queue, in one batch for each ten.
    ///
    /// # Panics
    /// When the queue refuses one.
    pub async fn send<T: AsRef<str>>(&self, bodies: &[T]) {
        for (batch, bodies) in bodies.chunks(RECEIVED_AT_ONCE as usize).enumerate() {
            let entry = |(number, body): (usize, &T)| {
                let mut entry = json!({ "Id": number.to_string(), "MessageBody": body.as_ref() });
                if self.order == Order::Fifo {
                    entry["MessageGroupId"] = json!("one");
                    entry["MessageDeduplicationId"] = json!(unique(&format!("{batch}-{number}")));
                }
                entry
            };
            let entries: Vec<Value> = bodies.iter().enumerate().map(entry).collect();
            let sent = self.sqs("SendMessageBatch", &self.queue_url, json!({ "Entries": entries })).await;
            assert!(sent["Failed"].as_array().is_none_or(Vec::is_empty), "{sent}");
        }
    }

    /// Calls the function by itself, as a schedule does, and waits for its answer.
    ///
    /// # Panics
    /// When the emulator does not answer.
    pub async fn invoke(&self, event: Value) -> Invocation {
        let path = format!("/2015-03-31/functions/{}/invocations", self.name);
        let (payload, failed) = self.emulator.invoke(&path, event).await;
        Invocation { payload, failed }
    }

    /// Gives the function another environment; processes with the old one get no more events.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn set_env(&self, env: &[(String, String)]) {
        let environment = json!({ "Environment": { "Variables": variables(env) } });
        self.emulator.lambda("PUT", &format!("/2015-03-31/functions/{}/configuration", self.name), environment).await;
    }

    /// Stops feeding the function, or starts again. What it has in hand goes on.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn feed(&self, feeding: Feeding) {
        let enabled = json!({ "Enabled": feeding == Feeding::On });
        self.emulator.lambda("PUT", &format!("/2015-03-31/event-source-mappings/{}", self.mapping), enabled).await;
    }

    /// What the function has written, line by line.
    pub async fn logs(&self) -> Vec<String> {
        let group = json!({ "logGroupName": format!("/aws/lambda/{}", self.name) });
        // A function that has not run has no log.
        let Ok(found) = self.emulator.logs("FilterLogEvents", group).await else { return Vec::new() };
        let events = found["events"].as_array().cloned().unwrap_or_default();
        let texts = events.iter().filter_map(|event| event["message"].as_str());
        texts.flat_map(str::lines).map(str::to_owned).collect()
    }

    /// How many messages a queue has: one of this function's, by its URL.
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

    /// Waits until the function's queue has nothing left: ready, in flight or delayed.
    ///
    /// # Panics
    /// When it does not come to that within a minute.
    pub async fn until_drained(&self) {
        self.until_counted(&self.queue_url, Counts::default()).await;
    }

    /// Waits until so many messages lie in the dead-letter queue.
    ///
    /// # Panics
    /// When it does not come to that within a minute.
    pub async fn until_dead_letters(&self, count: u64) {
        self.until_counted(&self.dead_letters_url, Counts { ready: count, ..Counts::default() }).await;
    }

    async fn until_counted(&self, queue_url: &str, wanted: Counts) {
        let reached = async {
            while self.counts(queue_url).await != wanted {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            let (counts, logs) = (self.counts(queue_url).await, self.logs().await.join("\n"));
            panic!("{queue_url} has {counts:?} and not {wanted:?}; the function's log:\n{logs}");
        }
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

    /// Removes the function and its queues.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn delete(self) {
        let mapping = format!("/2015-03-31/event-source-mappings/{}", self.mapping);
        self.emulator.lambda("DELETE", &mapping, Value::Null).await;
        self.emulator.lambda("DELETE", &format!("/2015-03-31/functions/{}", self.name), Value::Null).await;
        for queue_url in [&self.queue_url, &self.dead_letters_url] {
            self.sqs("DeleteQueue", queue_url, json!({})).await;
        }
    }

    async fn sqs(&self, action: &str, queue_url: &str, mut input: Value) -> Value {
        input["QueueUrl"] = json!(queue_url);
        self.emulator.sqs(action, input).await
    }
}

/// Whether a function is fed from its queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feeding {
    /// It is.
    On,
    /// It is not.
    Off,
}

fn variables(env: &[(String, String)]) -> Map<String, Value> {
    env.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
}

async fn queue(emulator: &Emulator, name: &str, order: Order, mut attributes: Value) -> String {
    let name = match order {
        Order::Standard => name.to_owned(),
        Order::Fifo => {
            attributes["FifoQueue"] = json!("true");
            format!("{name}.fifo")
        }
    };
    let created = emulator.sqs("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
    created["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
}

async fn arn(emulator: &Emulator, queue_url: &str) -> String {
    let asked = json!({ "QueueUrl": queue_url, "AttributeNames": ["QueueArn"] });
    let answer = emulator.sqs("GetQueueAttributes", asked).await;
    answer["Attributes"]["QueueArn"].as_str().expect("a queue has a name").to_owned()
}

/// A package with a `bootstrap` that becomes the binary.
fn zip(binary: &Path) -> Vec<u8> {
    let binary = binary.to_str().expect("a path that a script can name");
    assert!(!binary.contains('\''), "{binary} cannot be quoted");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let executable = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", executable).expect("memory takes it");
    write!(zip, "#!/bin/sh\nexec '{binary}'\n").expect("memory takes it");
    zip.finish().expect("memory takes it").into_inner()
}
