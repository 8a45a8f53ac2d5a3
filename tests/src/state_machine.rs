//! State machines of Step Functions at an emulator, which runs what they say: ours as it is rendered, with timeouts that a
//! test can wait for.
//!
//! Not here: the engine's side of it (`workflow-aws`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workflow::definition::{self, State};
use workflow::payment::Payment;
use workflow::port::store::Store;

use crate::emulators::{Emulator, unique};

/// How long an execution may take to come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the service asks for; nobody checks it here.
const ROLE: &str = "arn:aws:iam::000000000000:role/fincore-test";

/// The document that ships.
///
/// # Panics
/// When it is no JSON.
#[must_use]
pub fn document() -> Value {
    serde_json::from_str(&workflow::asl::render()).expect("the document is JSON")
}

/// The same, in which nobody waits for longer than this for somebody outside.
#[must_use]
pub fn impatient(seconds: u64) -> Value {
    let mut document = document();
    for state in states_mut(&mut document) {
        let is_over = state["Parameters"]["MessageBody"].get("timed_out").is_some();
        if state["Type"] == "Task" && state.get("HeartbeatSeconds").is_none() && !is_over {
            state["TimeoutSeconds"] = json!(seconds);
        }
    }
    document
}

/// The same as this document, in which a worker has to answer within so many seconds.
///
/// # Panics
/// When the document has no states.
#[must_use]
pub fn strict(mut document: Value, seconds: u64) -> Value {
    for state in states_mut(&mut document) {
        if state.get("HeartbeatSeconds").is_some() {
            state["HeartbeatSeconds"] = json!(seconds);
        } else if state["Parameters"]["MessageBody"].get("timed_out").is_some() {
            state["TimeoutSeconds"] = json!(seconds);
        }
    }
    document
}

fn states_mut(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    document["States"].as_object_mut().expect("a document has states").values_mut()
}

/// A state machine.
#[derive(Clone, Debug)]
pub struct StateMachine {
    emulator: Emulator,
    /// Its name at AWS.
    pub arn: String,
}

impl StateMachine {
    /// Has an emulator run this document.
    ///
    /// # Panics
    /// When it refuses it.
    pub async fn deploy(emulator: Emulator, document: &Value) -> Self {
        emulator.runs_state_machines().await;
        let machine = json!({ "name": unique("payments"), "definition": document.to_string(), "roleArn": ROLE });
        let created = emulator.step_functions("CreateStateMachine", machine).await.expect("the document is taken");
        let arn = created["stateMachineArn"].as_str().expect("a state machine has a name").to_owned();
        Self { emulator, arn }
    }

    /// One that somebody else has set up, by its name.
    #[must_use]
    pub fn deployed(emulator: Emulator, arn: String) -> Self {
        Self { emulator, arn }
    }

    /// Gives later executions another document.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn update(&self, document: &Value) {
        let update = json!({ "stateMachineArn": self.arn, "definition": document.to_string() });
        self.emulator.step_functions("UpdateStateMachine", update).await.expect("the document is taken");
    }

    /// Starts an execution of this name.
    ///
    /// # Panics
    /// When the emulator refuses it.
    pub async fn start(&self, name: &str, input: &Value) {
        let start = json!({ "stateMachineArn": self.arn, "name": name, "input": input.to_string() });
        self.emulator.step_functions("StartExecution", start).await.expect("it is started");
    }

    /// How an execution stands: `RUNNING`, `SUCCEEDED`, …; nothing when there is none of this name.
    pub async fn status(&self, name: &str) -> Option<String> {
        let which = json!({ "executionArn": self.execution(name) });
        let described = self.emulator.step_functions("DescribeExecution", which).await.ok()?;
        Some(described["status"].as_str().expect("an execution has a status").to_owned())
    }

    /// The states that an execution has entered, in order.
    ///
    /// # Panics
    /// When the emulator has no such execution.
    pub async fn entered(&self, name: &str) -> Vec<String> {
        let events = self.history(name).await;
        let names = events.iter().filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// What has happened in an execution.
    ///
    /// # Panics
    /// When the emulator has no such execution.
    pub async fn history(&self, name: &str) -> Vec<Value> {
        let which = json!({ "executionArn": self.execution(name), "maxResults": 1000 });
        let history = self.emulator.step_functions("GetExecutionHistory", which).await.expect("it is there");
        history["events"].as_array().expect("a history has events").clone()
    }

    /// Waits until an execution stands so.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until(&self, name: &str, status: &str) {
        let begun = Instant::now();
        while self.status(name).await.as_deref() != Some(status) {
            let entered = async { (self.status(name).await, self.entered(name).await) };
            assert!(begun.elapsed() < PATIENCE, "{name} is not {status}: {:?}", entered.await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a payment's execution is where the payment is, if that is at rest.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until_followed(&self, payment: &Payment) {
        let name = payment.id.to_string();
        if definition::has_ended(payment.state) {
            self.until(&name, "SUCCEEDED").await;
        }
        if definition::has_ended(payment.state) || definition::waits(payment.state) {
            self.until_in(&name, payment.state).await;
        }
    }

    /// Waits until a payment that waits for somebody outside has its task kept, so that whoever moves it can answer it.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until_kept(&self, store: &dyn Store, payment: &Payment) {
        let begun = Instant::now();
        while definition::waits(payment.state) {
            let kept = store.executions(&[payment.id]).await.expect("the store answers");
            if kept.iter().any(|execution| execution.token.is_some() && execution.state == payment.state) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{} has no task: {kept:?}", payment.id);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until an execution is in this state, or has been in it last.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until_in(&self, name: &str, state: State) {
        let wanted = format!("{state:?}");
        let is_there =
            |entered: &[String]| entered.last().is_some_and(|last| last.trim_start_matches("Refund") == wanted);
        self.until_it(name, &wanted, is_there).await;
    }

    /// Waits until an execution has been in the state of this name.
    ///
    /// # Panics
    /// When it does not come to that.
    pub async fn until_entered(&self, name: &str, state: &str) {
        self.until_it(name, state, |entered| entered.iter().any(|name| name == state)).await;
    }

    async fn until_it(&self, name: &str, wanted: &str, is_there: impl Fn(&[String]) -> bool) {
        let begun = Instant::now();
        loop {
            let entered = if self.status(name).await.is_some() { self.entered(name).await } else { Vec::new() };
            if is_there(&entered) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{name} does not come to be {wanted}: {entered:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn execution(&self, name: &str) -> String {
        format!("{}:{name}", self.arn.replace(":stateMachine:", ":execution:"))
    }
}

/// The transitions of a document, as pairs of names.
///
/// # Panics
/// When the document has no states.
#[must_use]
pub fn transitions(document: &Value) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for (name, state) in document["States"].as_object().expect("a document has states") {
        let many = |key: &str| state[key].as_array().into_iter().flatten().map(|each| &each["Next"]);
        let next = many("Choices").chain(many("Catch")).chain([&state["Next"], &state["Default"]]);
        all.extend(next.filter_map(Value::as_str).map(|next| (name.clone(), next.to_owned())));
    }
    all
}
