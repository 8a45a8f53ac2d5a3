//! What is rendered from the definition: structurally right, and the same as the committed files.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use strum::{IntoEnumIterator, VariantArray};
use workflow::definition::{EventKind, Goal, State};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The quoted names in the migrations' last constraint of this name.
fn constraint(database: &str, name: &str) -> Vec<String> {
    let folder = root().join("migrations").join(database);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let sql: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let start = sql.rfind(&format!("constraint {name} check")).unwrap_or_else(|| panic!("{database}: no {name}"));
    let list = &sql[start..];
    let open = list.find(" in (").unwrap() + 5;
    let close = open + list[open..].find(')').unwrap();
    list[open..close].split(',').map(|quoted| quoted.trim().trim_matches('\'').to_owned()).collect()
}

fn names<T: Copy + Into<&'static str>>(variants: impl IntoIterator<Item = T>) -> Vec<String> {
    variants.into_iter().map(|variant| variant.into().to_owned()).collect()
}

#[test]
fn the_check_constraints_of_both_databases_are_the_definitions() {
    for database in ["postgres", "sqlite"] {
        assert_eq!(constraint(database, "payments_state_known"), names(State::VARIANTS.iter().copied()), "{database}");
        assert_eq!(constraint(database, "payments_goal_known"), names(Goal::VARIANTS.iter().copied()), "{database}");
        assert_eq!(
            constraint(database, "payment_history_event_known"),
            names(EventKind::VARIANTS.iter().copied()),
            "{database}"
        );
        assert_eq!(
            constraint(database, "payments_capture_method_known"),
            names(workflow::payment::CaptureMethod::iter()),
            "{database}"
        );
        assert_eq!(
            constraint(database, "webhook_events_outcome_known"),
            names(workflow::port::store::WebhookOutcome::iter()),
            "{database}"
        );
    }
}

#[test]
fn the_committed_state_machine_and_workflow_page_are_the_definitions() {
    for (path, rendered) in
        [("statemachine.asl.json", workflow::asl::render()), ("docs/WORKFLOW.md", workflow::diagram::render())]
    {
        let committed = fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(committed == rendered, "{path} differs from the definition: run `cargo xtask generate`");
    }
}

#[test]
fn the_state_machine_is_valid_amazon_states_language() {
    let document: Value = serde_json::from_str(&workflow::asl::render()).unwrap();
    let states = document["States"].as_object().unwrap();
    let exists = |name: &Value| assert!(states.contains_key(name.as_str().unwrap()), "no state {name}");
    exists(&document["StartAt"]);
    let mut targets = BTreeSet::from([document["StartAt"].as_str().unwrap().to_owned()]);
    for (name, state) in states {
        assert!(name.len() <= 80, "{name}: a state's name has at most 80 characters");
        let mut next = Vec::new();
        match state["Type"].as_str().unwrap() {
            "Task" => {
                assert!(state["TimeoutSeconds"].as_u64().unwrap() <= 99_999_999);
                assert!(state["Parameters"]["MessageBody"]["task_token.$"] == "$$.Task.Token");
                next.push(&state["Next"]);
                next.extend(state["Catch"].as_array().unwrap().iter().map(|catch| &catch["Next"]));
                let heartbeat = state.get("HeartbeatSeconds").map_or(1, |seconds| seconds.as_u64().unwrap());
                assert!((1..state["TimeoutSeconds"].as_u64().unwrap()).contains(&heartbeat), "{name}");
                // A waiting state's timeout is no error: it is not tried again.
                let retries = state["Retry"].as_array().unwrap().iter().filter(|retry| retry["MaxAttempts"] != 0);
                for retry in retries {
                    assert!(retry["IntervalSeconds"].as_u64().unwrap() >= 1);
                    assert!(retry["BackoffRate"].as_f64().unwrap() >= 1.0);
                    assert!((1..31_622_400).contains(&retry["MaxDelaySeconds"].as_u64().unwrap()));
                    assert!(retry["MaxAttempts"].as_u64().unwrap() <= 99_999_999);
                    assert_eq!(retry["JitterStrategy"], "FULL");
                }
            }
            "Choice" => {
                next.push(&state["Default"]);
                next.extend(state["Choices"].as_array().unwrap().iter().map(|choice| &choice["Next"]));
            }
            "Wait" => {
                assert_eq!(state["SecondsPath"], "$.report.wait_s");
                next.push(&state["Next"]);
            }
            "Succeed" | "Fail" => assert!(state.get("Next").is_none()),
            other => panic!("{name}: unknown type {other}"),
        }
        for target in next {
            exists(target);
            targets.insert(target.as_str().unwrap().to_owned());
        }
    }
    assert_eq!(targets.len(), states.len(), "every state is the target of a transition");
}
