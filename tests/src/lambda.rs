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

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::emulators::{Emulator, unique};
use crate::queue::TestQueue;

/// What the runtime asks for in a role; nobody checks it here.
const ROLE: &str = "arn:aws:iam::000000000000:role/fincore-test";

/// How a function and its queues are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Environment of the function.
    pub env: Vec<(String, String)>,
    /// Seconds after which an invocation is ended.
    pub timeout_s: u32,
    /// Memory of the function, in megabytes; more of it also means more of a processor, on AWS.
    pub memory_mb: u32,
    /// Messages in a batch, at most.
    pub batch_size: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self { env: Vec::new(), timeout_s: 10, memory_mb: 256, batch_size: 10 }
    }
}

/// A function with its queues. Dropping it leaves them to the emulator's end; [`Lambda::delete`] removes them.
#[derive(Clone, Debug)]
pub struct Lambda {
    emulator: Emulator,
    name: String,
    /// The queue the function is fed from.
    pub queue: TestQueue,
    mapping: String,
}

/// What became of an invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What the function answered, or what it or the runtime says of the failure.
    pub payload: Value,
    /// Whether it failed.
    pub failed: bool,
}

impl Lambda {
    /// Sets the function up behind a queue; `bootstrap` is the path of its binary.
    ///
    /// # Panics
    /// When the emulator refuses anything.
    pub async fn deploy(queue: TestQueue, bootstrap: &Path, setup: &Setup) -> Self {
        let (name, emulator) = (unique("fincore"), queue.emulator.clone());
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
            "EventSourceArn": queue.arn(&queue.url).await,
            "FunctionName": name,
            "BatchSize": setup.batch_size,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        });
        let mapping = emulator.lambda("POST", "/2015-03-31/event-source-mappings", mapping).await;
        let mapping = mapping["UUID"].as_str().expect("a mapping has an id").to_owned();
        Self { emulator, name, queue, mapping }
    }

    /// A function that somebody else has set up, by its name and by that of its mapping.
    #[must_use]
    pub fn deployed(queue: TestQueue, name: String, mapping: String) -> Self {
        Self { emulator: queue.emulator.clone(), name, queue, mapping }
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

    /// Removes the function and its queues.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn delete(self) {
        let mapping = format!("/2015-03-31/event-source-mappings/{}", self.mapping);
        self.emulator.lambda("DELETE", &mapping, Value::Null).await;
        self.emulator.lambda("DELETE", &format!("/2015-03-31/functions/{}", self.name), Value::Null).await;
        self.queue.delete().await;
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

/// A package with a `bootstrap` that becomes the binary.
pub(crate) fn zip(binary: &Path) -> Vec<u8> {
    let binary = binary.to_str().expect("a path that a script can name");
    assert!(!binary.contains('\''), "{binary} cannot be quoted");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let executable = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    zip.start_file("bootstrap", executable).expect("memory takes it");
    write!(zip, "#!/bin/sh\nexec '{binary}'\n").expect("memory takes it");
    zip.finish().expect("memory takes it").into_inner()
}
