//! The templates in `deploy/aws` by two tools that know CloudFormation and what people expect of it, and, in `facts`, by
//! ourselves for what neither sees.
//!
//! Not here: whether a stack made of them works (`deployment`).

mod facts;

use std::path::{Path, PathBuf};

use fincore_tests::third_party::Tools;

/// The folder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/aws")
}

/// The templates, the one that holds the others together among them.
fn templates() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut templates: Vec<_> = files.filter(|path| path.extension().is_some_and(|is| is == "yaml")).collect();
    templates.sort();
    assert_eq!(templates.len(), 7, "{templates:?}");
    templates
}

/// A copy of one template with a mistake.
fn with_a_mistake(folder: &Path, name: &str, right: &str, wrong: &str) -> PathBuf {
    let text = std::fs::read_to_string(self::folder().join(name)).unwrap();
    assert!(text.contains(right), "{name} does not say {right}");
    let path = folder.join(name);
    std::fs::write(&path, text.replace(right, wrong)).unwrap();
    path
}

#[tokio::test]
async fn cfn_lint_has_nothing_to_say_and_what_it_is_told_to_ignore_has_a_reason() {
    let Some(tools) = Tools::find() else { return };
    assert_eq!(tools.cfn_lint(&templates()).await, "");
    for template in templates() {
        let text = std::fs::read_to_string(&template).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("ignore_checks")) {
            assert!(lines[number - 1].starts_with("# "), "{}: {line} has no reason above it", template.display());
        }
    }
    let wrong = tempfile::tempdir().unwrap();
    let wrong = with_a_mistake(wrong.path(), "worker.yaml", "Mode: Active", "Mode: Alert");
    let said = tools.cfn_lint(&[wrong]).await;
    assert!(said.contains("Alert"), "{said}");
}

#[tokio::test]
async fn a_policy_check_finds_nothing_but_what_is_accepted_with_a_reason() {
    let Some(tools) = Tools::find() else { return };
    let report = tools.checkov(&folder()).await;
    let found = |what: &str| report["results"][what].as_array().cloned().unwrap_or_default();
    assert_eq!(report["summary"]["parsing_errors"], 0);
    let failed: Vec<_> =
        found("failed_checks").iter().map(|it| format!("{} {}", it["check_id"], it["resource"])).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(found("passed_checks").len() > 80, "{}", report["summary"]);
    for accepted in found("skipped_checks") {
        let reason = accepted["check_result"]["suppress_comment"].as_str().unwrap_or_default();
        assert!(
            reason.split(' ').count() > 5,
            "{} of {} is accepted for no reason",
            accepted["check_id"],
            accepted["resource"]
        );
    }
    let wrong = tempfile::tempdir().unwrap();
    with_a_mistake(wrong.path(), "data.yaml", "PubliclyAccessible: false", "PubliclyAccessible: true");
    let report = tools.checkov(wrong.path()).await;
    assert_eq!(report["results"]["failed_checks"][0]["check_id"], "CKV_AWS_17", "{}", report["summary"]);
}
