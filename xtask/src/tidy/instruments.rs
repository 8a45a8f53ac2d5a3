//! Rules about metrics: what is counted stands in the table of instruments, and what stands there is counted.

use std::collections::{BTreeMap, BTreeSet};

use workflow::instruments::{ALL, InstrumentKind};

use super::Violation;
use super::tree::{SourceFile, Tree};

/// Whose macros count.
const MACROS: [&str; 3] = ["metrics::counter!(", "metrics::gauge!(", "metrics::histogram!("];
/// What Prometheus makes of one histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];
/// What a name in a text has to end with to be taken for a metric's.
const ENDS: [&str; 4] = ["_total", "_seconds", "_payments", "_size"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let table: BTreeMap<&str, InstrumentKind> = ALL.iter().map(|row| (row.name, row.kind)).collect();
    let counted: Vec<(&SourceFile, &str)> = tree.files.iter().filter(|file| is_code(file)).flat_map(counted).collect();
    let missing = counted.iter().filter(|(_, name)| !table.contains_key(name)).map(|(file, name)| {
        Violation::new(
            &file.path,
            format!("counts {name}"),
            "add it to workflow/src/instruments.rs, with what it tells",
        )
    });
    let names: BTreeSet<&str> = counted.iter().map(|(_, name)| *name).collect();
    let idle = table.keys().filter(|name| !names.contains(*name)).map(|name| {
        Violation::new("workflow/src/instruments.rs", format!("nothing counts {name}"), "remove its row, or count it")
    });
    let written = tree.files.iter().filter(|file| file.has_extension("md")).flat_map(|file| {
        let unknown = metrics_in(file).filter(|name| !table.contains_key(without_part(name)));
        unknown.map(|name| {
            Violation::new(&file.path, format!("speaks of {name}"), "there is no such metric: see docs/METRICS.md")
        })
    });
    missing.chain(idle).chain(written).collect()
}

fn is_code(file: &SourceFile) -> bool {
    file.has_extension("rs") && !file.path.starts_with("xtask/") && !file.path.starts_with("tests/")
}

/// The names that stand in calls of the macros.
fn counted(file: &SourceFile) -> impl Iterator<Item = (&SourceFile, &str)> {
    let text = file.text.as_deref().unwrap_or_default();
    let calls = MACROS.into_iter().flat_map(move |name| text.split(name).skip(1));
    calls.filter_map(move |call| Some((file, call.trim_start().strip_prefix('"')?.split('"').next()?)))
}

/// What looks like a metric's name in a text for people.
fn metrics_in(file: &SourceFile) -> impl Iterator<Item = &str> {
    let text = file.text.as_deref().unwrap_or_default();
    let words = text.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
    words.filter(|word| word.starts_with("fincore_") && ENDS.iter().any(|end| without_part(word).ends_with(end)))
}

fn without_part(name: &str) -> &str {
    PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_code_and_in_prose() {
        let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: Some(text.to_owned()) };
        let code = file("a.rs", "metrics::counter!(\n \"fincore_a_total\", \"b\" => 1); metrics::gauge!(name)");
        assert_eq!(counted(&code).map(|(_, name)| name).collect::<Vec<_>>(), ["fincore_a_total"]);
        let page = file("a.md", "`fincore_b_seconds_bucket{le=\"1\"}` in the database fincore_test");
        assert_eq!(metrics_in(&page).collect::<Vec<_>>(), ["fincore_b_seconds_bucket"]);
    }
}
