//! The state machine that ships, by two validators that have nothing in common and miss different things.

use fincore_tests::state_machine::document;
use fincore_tests::third_party::Tools;
use serde_json::{Value, json};

#[tokio::test]
async fn two_validators_have_nothing_to_say() {
    let Some(tools) = Tools::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statemachine.asl.json");
    let said = async |document: &Value| {
        std::fs::write(&path, document.to_string()).unwrap();
        (tools.asl_validator(&path).await, tools.statelint(&path).await)
    };
    assert_eq!(said(&document()).await, (String::new(), String::new()));
    // They do look: both miss a target, and one of them also knows which numbers are allowed.
    let mut nowhere = document();
    nowhere["States"]["Route"]["Choices"][1]["Next"] = json!("Nowhere");
    let (one, other) = said(&nowhere).await;
    assert!(one.contains("Nowhere") && other.contains("Nowhere"), "{one}\n{other}");
    let mut shrinking = document();
    shrinking["States"]["Authorizing"]["Retry"][0]["BackoffRate"] = json!(0.5);
    let (_, other) = said(&shrinking).await;
    assert!(other.contains("BackoffRate"), "{other}");
}
