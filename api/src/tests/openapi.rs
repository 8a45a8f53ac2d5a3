//! The OpenAPI document says what the code does.

use std::collections::HashSet;

use serde_json::{Value, json};
use strum::VariantArray;
use workflow::definition::State;

use workflow::view::openapi::example_charge;

fn document() -> Value {
    serde_json::from_str(&crate::openapi_json()).unwrap()
}

/// Every reference in the document.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_document_is_the_same_every_time_and_ends_with_a_line() {
    let text = crate::openapi_json();
    assert_eq!(text, crate::openapi_json());
    assert!(text.ends_with("}\n"));
    assert!(document()["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_its_problems() {
    let document = document();
    let mut names = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["headers"]["Request-Id"].is_object(), "{method} {path} {status}");
                let is_problem = response["content"]["application/problem+json"].is_object();
                assert_eq!(is_problem, !status.starts_with('2'), "{method} {path} {status}");
            }
        }
    }
    assert_eq!(names.len(), 12);
}

#[test]
fn the_status_is_one_of_the_states_of_the_definition() {
    let states: Vec<&str> = State::VARIANTS.iter().map(<&str>::from).collect();
    assert_eq!(document()["components"]["schemas"]["ChargeStatus"]["enum"], json!(states));
}

#[test]
fn the_example_charge_has_the_fields_of_the_schema() {
    let document = document();
    let schema = document["components"]["schemas"]["Charge"]["properties"].as_object().unwrap();
    let example = example_charge();
    let named: HashSet<_> = schema.keys().collect();
    assert_eq!(named, example.as_object().unwrap().keys().collect());
    let required = document["components"]["schemas"]["Charge"]["required"].as_array().unwrap();
    assert_eq!(required.len(), schema.len(), "every field is always there, if only as null");
}
