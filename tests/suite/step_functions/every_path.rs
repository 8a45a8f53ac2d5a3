//! Every transition of the document that ships, taken: from and to every state, backoffs, times that are over, messages that
//! nobody answers, and reports that it does not know. The test answers in the worker's place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fincore_tests::emulators::Emulator;
use fincore_tests::queue::{Shape, TestQueue};
use fincore_tests::state_machine::{StateMachine, document, impatient, strict, transitions};
use serde_json::{Value, json};
use strum::VariantArray;
use workflow::definition::{self, Definition, Kind, StateKind};

const PATIENCE: Duration = Duration::from_secs(120);

/// What an execution is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// That the payment stands in this state, and backs off for so many seconds.
    Stands(&'static str, u64),
    /// That the worker can do nothing with it.
    Fails,
    /// Nothing.
    Silence,
}

/// Where an execution begins, and what it is answered, in order; nothing afterwards.
struct Plot {
    kind: Kind,
    begins: &'static str,
    answers: Vec<Answer>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transition_is_taken_by_an_interpreter_that_is_not_ours() {
    let Some(emulator) = Emulator::moto() else { return };
    let queue = TestQueue::create(emulator.clone(), "paths", Shape::default()).await;
    let patient = StateMachine::deploy(emulator.clone(), &document()).await;
    let hopeless = StateMachine::deploy(emulator.clone(), &unanswered(document())).await;
    let hasty = StateMachine::deploy(emulator.clone(), &impatient(3)).await;
    let deaf = StateMachine::deploy(emulator, &unanswered(strict(impatient(3), 3))).await;
    let mut plots = BTreeMap::new();
    for kind in Kind::VARIANTS {
        let definition = definition::current(*kind);
        for (number, plot) in answered(definition).into_iter().enumerate() {
            plots.insert(format!("{kind}-{number}"), (&patient, plot));
        }
        for (number, plot) in failing(definition).into_iter().enumerate() {
            plots.insert(format!("{kind}-failing-{number}"), (&hopeless, plot));
        }
        for (number, plot) in overdue(definition).into_iter().enumerate() {
            let machine = if plot.answers.is_empty() { &deaf } else { &hasty };
            plots.insert(format!("{kind}-overdue-{number}"), (machine, plot));
        }
    }
    for (name, (machine, plot)) in &plots {
        let report = json!({ "state": plot.begins, "seq": 1, "wait_s": 0 });
        let input = json!({
            "payment": name, "kind": plot.kind.to_string(), "queue_url": queue.url,
            "trace": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "report": report,
        });
        machine.start(name, &input).await;
    }
    let taken = play(&queue, &plots).await;
    let all = transitions(&document());
    let missing: Vec<_> = all.difference(&taken).collect();
    assert!(missing.is_empty(), "never taken: {missing:?}");
    assert!(taken.is_subset(&all), "{:?}", taken.difference(&all).collect::<Vec<_>>());
    queue.delete().await;
}

/// Each state that has not ended goes to its backoff and to an end; what begins goes to every end, and to a state that the
/// document does not know.
fn answered(definition: &'static Definition) -> Vec<Plot> {
    let (kind, mut plots) = (definition.kind, Vec::new());
    let ends = definition.reached().filter(|row| matches!(row.kind, StateKind::Ended)).map(|row| row.state.into());
    for end in ends.chain(["no_such_state"]) {
        plots.push(Plot { kind, begins: "created", answers: vec![Answer::Stands(end, 0)] });
    }
    for row in definition.reached() {
        let begins = row.state.into();
        let end = Answer::Stands("succeeded", 0);
        match row.kind {
            StateKind::Works(_) => plots.push(Plot { kind, begins, answers: vec![Answer::Stands(begins, 1), end] }),
            StateKind::Waits { .. } => plots.push(Plot { kind, begins, answers: vec![end] }),
            StateKind::Ended | StateKind::Outside => {}
        }
    }
    plots
}

/// In a state that waits, workers say that they can do nothing with it.
fn failing(definition: &'static Definition) -> Vec<Plot> {
    let waits = definition.reached().filter(|row| matches!(row.kind, StateKind::Waits { .. }));
    let fails = |begins| Plot { kind: definition.kind, begins, answers: vec![Answer::Fails; 2] };
    waits.map(|row| fails(row.state.into())).collect()
}

/// Nobody answers, ever; or only when the time is over.
fn overdue(definition: &'static Definition) -> Vec<Plot> {
    let (kind, mut plots) = (definition.kind, Vec::new());
    for row in definition.reached() {
        let begins = row.state.into();
        match row.kind {
            StateKind::Works(_) => plots.push(Plot { kind, begins, answers: Vec::new() }),
            StateKind::Waits { .. } => {
                plots.push(Plot { kind, begins, answers: Vec::new() });
                let late = vec![Answer::Silence, Answer::Stands("succeeded", 0)];
                plots.push(Plot { kind, begins, answers: late });
            }
            StateKind::Ended | StateKind::Outside => {}
        }
    }
    plots
}

/// The same, which tells again once and no more, and soon.
fn unanswered(mut document: Value) -> Value {
    for state in document["States"].as_object_mut().unwrap().values_mut() {
        for retry in state.get_mut("Retry").and_then(Value::as_array_mut).into_iter().flatten() {
            if retry["MaxAttempts"] != 0 {
                (retry["MaxAttempts"], retry["MaxDelaySeconds"], retry["IntervalSeconds"]) =
                    (json!(1), json!(1), json!(1));
            }
        }
    }
    document
}

/// Answers as the plots say until every execution is over. Returns the transitions that were taken.
async fn play(queue: &TestQueue, plots: &BTreeMap<String, (&StateMachine, Plot)>) -> BTreeSet<(String, String)> {
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    let mut running: BTreeSet<&String> = plots.keys().collect();
    let (mut taken, mut next) = (BTreeSet::new(), 0);
    let begun = Instant::now();
    while !running.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "still running: {running:?}");
        for letter in queue.take(&queue.url).await {
            let message: Value = serde_json::from_str(&letter.body).unwrap();
            let name = message["payment"].as_str().unwrap();
            let (_, plot) = &plots[name];
            let told = answered.entry(name.to_owned()).or_default();
            let answer = plot.answers.get(*told).copied().unwrap_or(Answer::Silence);
            *told += 1;
            assert!(letter.raw["MessageAttributes"]["traceparent"]["StringValue"].is_string(), "{letter:?}");
            let mut word = json!({ "taskToken": message["task_token"] });
            let said = match answer {
                Answer::Stands(state, wait_s) => {
                    word["output"] = json!(json!({ "state": state, "seq": *told + 1, "wait_s": wait_s }).to_string());
                    queue.emulator.step_functions("SendTaskSuccess", word).await
                }
                Answer::Fails => {
                    word["error"] = json!("NotWorkedOn");
                    queue.emulator.step_functions("SendTaskFailure", word).await
                }
                Answer::Silence => continue,
            };
            said.unwrap_or_else(|refused| panic!("{name} {told} {answer:?}: {refused:?}"));
        }
        // A few at a time: those that wait for an answer must not wait for this.
        let some: Vec<&String> = running.iter().copied().skip(next % running.len()).take(5).collect();
        next += some.len();
        for name in some {
            let (machine, _) = &plots[name];
            if machine.status(name).await.as_deref() != Some("RUNNING") {
                let entered = machine.entered(name).await;
                taken.extend(entered.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
                running.remove(name);
            }
        }
    }
    taken
}
