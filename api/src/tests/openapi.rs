//! The OpenAPI document says what the code does.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use strum::{IntoEnumIterator, VariantArray};
use workflow::definition::{self, Kind, State};
use workflow::view::openapi::example_charge;

use crate::expand::Expansion;

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
            assert!(operation["description"].is_string() && operation["summary"].is_string(), "{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let place = format!("{method} {path} {status}");
                let (headers, content) = (&response["headers"], &response["content"]);
                for named in ["Request-Id", "FinCore-Version"] {
                    assert!(headers[named].is_object(), "{place} lacks {named}");
                }
                let all = headers.as_object().unwrap();
                let undescribed: Vec<_> = all.iter().filter(|(_, header)| header.get("$ref").is_none()).collect();
                assert!(undescribed.is_empty(), "{place}: describe {undescribed:?} in document/everywhere.rs");
                let problem = &content["application/problem+json"];
                assert_eq!(problem.is_object(), !status.starts_with('2'), "{place}");
                for code in problem["examples"].as_object().into_iter().flat_map(Map::keys) {
                    let example = &document["components"]["examples"][code]["value"];
                    assert_eq!(
                        (&example["code"], example["status"].to_string()),
                        (&json!(code), status.clone()),
                        "{place}"
                    );
                }
            }
        }
    }
    assert!(names.contains("create_charge"), "{names:?}");
}

#[test]
fn the_status_is_one_of_the_states_of_the_definition() {
    let document = document();
    let words = |schema: &str| document["components"]["schemas"][schema]["enum"].clone();
    for (kind, schema) in [(Kind::Charge, "ChargeStatus"), (Kind::Refund, "RefundStatus")] {
        let states: Vec<State> = definition::current(kind).reached().map(|row| row.state).collect();
        assert_eq!(words(schema), json!(states), "{schema}");
    }
    assert_eq!(words("PaymentStatus"), json!(State::VARIANTS));
}

#[test]
fn the_example_charge_has_the_fields_of_the_schema() {
    let document = document();
    let schema = document["components"]["schemas"]["Charge"]["properties"].as_object().unwrap();
    let example = example_charge();
    let expanded: HashSet<_> = Expansion::iter().map(<&str>::from).collect();
    let always: HashSet<_> = schema.keys().map(String::as_str).filter(|name| !expanded.contains(name)).collect();
    assert_eq!(always, example.as_object().unwrap().keys().map(String::as_str).collect());
    let required = document["components"]["schemas"]["Charge"]["required"].as_array().unwrap();
    let required: HashSet<_> = required.iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(required, always, "every field is always there, if only as null, but for what has to be asked for");
    assert_eq!(always.len() + expanded.len(), schema.len(), "what can be asked for has its field");
}

#[test]
fn what_needs_a_key_says_so_and_takes_a_version_and_everything_else_says_that_it_needs_none() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap();
            let parameters = operation["parameters"].as_array().unwrap();
            let takes = |name: &str| parameters.contains(&json!({"$ref": format!("#/components/parameters/{name}")}));
            assert_eq!(!security.is_empty(), takes("FinCore-Version"), "{method} {path}");
            let is_keyed = method != "get" && !security.is_empty();
            assert_eq!(is_keyed && method == "post", takes("Idempotency-Key"), "{method} {path}");
            let counted = operation["responses"].as_object().unwrap().iter().filter(|(status, _)| *status != "401");
            for (status, response) in counted {
                assert_eq!(
                    response["headers"].get("RateLimit").is_some(),
                    !security.is_empty(),
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[test]
fn whatever_creates_something_links_to_all_that_can_be_done_with_it() {
    let document = document();
    let links = |path: &str| {
        let links = document["paths"][path]["post"]["responses"]["202"]["links"].as_object();
        links.map_or_else(Vec::new, |links| links.keys().cloned().collect())
    };
    let created = links("/v1/charges");
    for operation in ["cancel_charge", "capture_charge", "list_charge_history", "retrieve_charge"] {
        assert!(created.iter().any(|link| link == operation), "{operation} is not among {created:?}");
    }
    assert!(links("/v1/charges/{id}/capture").is_empty(), "a capture creates no charge");
}
