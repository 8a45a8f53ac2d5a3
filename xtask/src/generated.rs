//! The files that are written by code and committed for people and tools to read.
//!
//! To add one, add its row to `FILES`. Deliberately not here: how any of them is rendered.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::watching;

/// Where a file is, from the workspace's root, and what must be in it.
type Generated = (&'static str, fn() -> String);

/// Every generated file.
const FILES: &[Generated] = &[
    ("statemachine.asl.json", workflow::asl::render),
    ("docs/WORKFLOW.md", workflow::diagram::render),
    ("docs/METRICS.md", workflow::instruments::render),
    ("deploy/prometheus/alerts.yaml", watching::alerts::render),
    ("deploy/grafana/fincore.json", watching::dashboard::render),
    ("docs/openapi.json", api::openapi_json),
    ("docs/SANDBOX.md", sandbox::manual::render),
];

/// How to bring a drifted file back in step.
const REMEDY: &str = "cargo xtask generate";
/// Enough differing lines to see what happened.
const LINES_SHOWN: usize = 5;

/// Writes every file that differs from what the code renders.
pub(crate) fn write() -> Result<()> {
    for (path, render) in FILES {
        let (target, wanted) = (crate::root().join(path), render());
        if committed(&target)?.is_some_and(|text| text == wanted) {
            println!("unchanged  {path}");
            continue;
        }
        fs::write(&target, wanted).with_context(|| format!("cannot write {path}"))?;
        println!("written    {path}");
    }
    Ok(())
}

/// Fails if any file differs from what the code renders, and shows where.
pub(crate) fn check() -> Result<()> {
    let mut drifted = Vec::new();
    for (path, render) in FILES {
        let found = committed(&crate::root().join(path))?;
        drifted.extend(drift(path, found.as_deref(), &render()));
    }
    if drifted.is_empty() {
        println!("{} generated files are in step with the code", FILES.len());
        return Ok(());
    }
    bail!("generated files differ from what the code renders:\n{}\nto fix it: {REMEDY}", drifted.join("\n"))
}

fn committed(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    fs::read_to_string(path).map(Some).with_context(|| format!("cannot read {}", path.display()))
}

/// What to tell a person about one file; nothing if it is in step.
fn drift(path: &str, found: Option<&str>, wanted: &str) -> Option<String> {
    let Some(found) = found else {
        return Some(format!("{path} is missing"));
    };
    if found == wanted {
        return None;
    }
    let (mut ours, mut theirs) = (wanted.lines(), found.lines());
    let mut shown = Vec::new();
    for number in 1_usize.. {
        let (wanted, found) = (ours.next(), theirs.next());
        if shown.len() == LINES_SHOWN || (wanted.is_none() && found.is_none()) {
            break;
        }
        if wanted != found {
            let text = |line: Option<&str>| line.unwrap_or("(no such line)").to_owned();
            shown.push(format!("  line {number}\n    file: {}\n    code: {}", text(found), text(wanted)));
        }
    }
    if shown.is_empty() {
        shown.push("  only the line ends differ".to_owned());
    }
    Some(format!("{path}\n{}", shown.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::drift;

    #[test]
    fn a_file_in_step_is_not_mentioned() {
        assert_eq!(drift("a", Some("one\n"), "one\n"), None);
    }

    #[test]
    fn a_missing_file_is_named() {
        assert_eq!(drift("a", None, "one\n").as_deref(), Some("a is missing"));
    }

    #[test]
    fn the_first_differing_line_is_shown_with_its_number() {
        let told = drift("a", Some("one\ntwo\n"), "one\nthree\nfour\n").unwrap();
        assert_eq!(
            told,
            "a\n  line 2\n    file: two\n    code: three\n  line 3\n    file: (no such line)\n    code: four"
        );
    }

    #[test]
    fn only_the_first_differing_lines_are_shown() {
        let told = drift("a", Some(&"x\n".repeat(50)), &"y\n".repeat(50)).unwrap();
        assert_eq!(told.matches("file: x").count(), super::LINES_SHOWN);
    }

    #[test]
    fn a_missing_last_line_end_is_a_difference() {
        assert_eq!(drift("a", Some("one"), "one\n").as_deref(), Some("a\n  only the line ends differ"));
    }
}
