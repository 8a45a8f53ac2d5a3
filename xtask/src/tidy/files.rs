//! Rules about the files themselves: headers, sizes, names and words.

use std::collections::BTreeSet;

use super::Violation;
use super::tree::{SourceFile, Tree};

/// A file a person can hold in the head.
const MAX_LINES: usize = 400;
/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// The hand-written kinds of file the limit is for.
const LIMITED_EXTENSIONS: [&str; 4] = ["rs", "sql", "sh", "html"];

/// Names that say nothing about what is inside; anything ends up in them.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "mod"];

/// One word per kind of unfinished work, in halves so that this file is no place where it stands.
const WORK_MARKERS: [[&str; 2]; 2] = [["TO", "DO"], ["FIX", "ME"]];

/// The payment service providers we name, in halves for the same reason.
const PSP_NAMES: [[&str; 2]; 2] = [["str", "ipe"], ["ad", "yen"]];
/// Where a provider may be named: its gateway, the wiring, configuration, what is written for people, and tests.
const PSP_PLACES: [&str; 9] = [
    "activities/src/gateway",
    "activities/lambda/",
    "cli/",
    "tests/",
    "bench/",
    "deploy/",
    "docs/",
    "README.md",
    "CHANGELOG.md",
];

/// The two folders that hold the same migrations.
const MIGRATIONS: [&str; 2] = ["migrations/postgres/", "migrations/sqlite/"];

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let per_file = |file| [header(file), length(file), name(file)].into_iter().flatten().chain(words(file));
    let mut violations: Vec<_> = tree.files.iter().flat_map(per_file).collect();
    violations.extend(needless_exceptions(tree));
    violations.extend(unequal_migrations(tree));
    violations
}

fn header(file: &SourceFile) -> Option<Violation> {
    let text = file.text.as_deref().filter(|_| file.has_extension("rs"))?;
    if text.starts_with("//!") {
        return None;
    }
    let remedy = "open it with //! and say what it is for, and what is deliberately not there";
    Some(Violation::new(&file.path, "does not start with //!", remedy))
}

fn length(file: &SourceFile) -> Option<Violation> {
    let text = file.text.as_deref().filter(|_| LIMITED_EXTENSIONS.iter().any(|kind| file.has_extension(kind)))?;
    let lines = text.lines().count();
    if lines <= MAX_LINES || LONG_FILES.iter().any(|(path, _)| *path == file.path) {
        return None;
    }
    let remedy = "split it by what it is about, or give a reason in LONG_FILES (xtask/src/tidy/files.rs)";
    Some(Violation::new(&file.path, format!("has {lines} lines; {MAX_LINES} is the limit"), remedy))
}

/// An exception nobody needs any more would hide the next long file of that name.
fn needless_exceptions(tree: &Tree) -> impl Iterator<Item = Violation> + '_ {
    let is_long = |path: &str| {
        let text = tree.file(path).and_then(|file| file.text.as_deref());
        text.is_some_and(|text| text.lines().count() > MAX_LINES)
    };
    LONG_FILES.iter().filter(move |(path, _)| !is_long(path)).map(|(path, _)| {
        Violation::new(*path, "is no long file any more", "remove it from LONG_FILES (xtask/src/tidy/files.rs)")
    })
}

fn name(file: &SourceFile) -> Option<Violation> {
    if !file.has_extension("rs") {
        return None;
    }
    let rooms = file.path.strip_suffix(".rs")?.split('/');
    let empty = rooms.into_iter().find(|room| EMPTY_NAMES.contains(room))?;
    let remedy = match empty {
        "mod" => "name it after its folder, next to the folder: foo.rs and foo/",
        _ => "name it after what is inside, or move that to where it is used",
    };
    Some(Violation::new(&file.path, format!("`{empty}` says nothing about what is inside"), remedy))
}

fn words(file: &SourceFile) -> Vec<Violation> {
    let Some(text) = &file.text else { return Vec::new() };
    let psp_allowed = PSP_PLACES.iter().any(|place| file.path.starts_with(place));
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = || format!("{}:{}", file.path, index + 1);
        if let Some(marker) = WORK_MARKERS.iter().map(|halves| halves.concat()).find(|word| has_word(line, word)) {
            let remedy = "do it now, or write down elsewhere that it is left to do";
            violations.push(Violation::new(place(), format!("{marker} in the tree"), remedy));
        }
        let lower = line.to_lowercase();
        if let Some(psp) = PSP_NAMES.iter().map(|halves| halves.concat()).find(|psp| lower.contains(psp.as_str()))
            && !psp_allowed
        {
            let remedy =
                "a provider is known to its gateway file, the wiring, docs and tests only: say it without the name";
            violations.push(Violation::new(place(), format!("names the provider {psp}"), remedy));
        }
    }
    violations
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|letter: char| !letter.is_alphanumeric()).any(|found| found == word)
}

fn unequal_migrations(tree: &Tree) -> Vec<Violation> {
    let names = |folder: &'static str| -> BTreeSet<&str> {
        tree.files.iter().filter_map(move |file| file.path.strip_prefix(folder)).collect()
    };
    let [one, other] = MIGRATIONS;
    let missing = |from: &'static str, to: &'static str| {
        names(from).difference(&names(to)).map(|name| format!("{to}{name}")).collect::<Vec<_>>()
    };
    let remedy = "both databases have the same migrations under the same names: write it for this one too";
    let paths = missing(one, other).into_iter().chain(missing(other, one));
    paths.map(|path| Violation::new(path, "is missing", remedy)).collect()
}

#[cfg(test)]
mod tests {
    use super::{SourceFile, Tree, Violation, check};

    fn told(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: Some(text.to_owned()) };
        let line = |found: Violation| format!("{}: {}", found.place, found.problem);
        check(&Tree { files: vec![file] }).into_iter().map(line).collect()
    }

    #[test]
    fn a_short_file_with_a_header_is_tidy() {
        assert!(told("api/src/charges.rs", "//! Charges.\n").is_empty());
    }

    #[test]
    fn a_file_without_header_is_named() {
        assert_eq!(told("api/src/a.rs", "use b;\n"), ["api/src/a.rs: does not start with //!"]);
    }

    #[test]
    fn a_long_file_is_named_with_its_size() {
        let text = format!("//! Long.\n{}", "\n".repeat(400));
        assert_eq!(told("api/src/a.rs", &text), ["api/src/a.rs: has 401 lines; 400 is the limit"]);
        assert!(told("docs/a.md", &text).is_empty());
    }

    #[test]
    fn a_name_that_says_nothing_is_named_even_as_a_folder() {
        assert_eq!(told("api/src/utils/a.rs", "//! A.\n").len(), 1);
        assert_eq!(told("api/src/mod.rs", "//! A.\n").len(), 1);
        assert!(told("api/src/modes.rs", "//! A.\n").is_empty());
    }

    #[test]
    fn a_work_marker_is_named_with_its_line() {
        let marker = ["TO", "DO"].concat();
        assert_eq!(told("docs/a.md", &format!("one\n{marker}: two\n")), [format!("docs/a.md:2: {marker} in the tree")]);
        assert!(told("docs/a.md", &format!("{marker}s and {}\n", marker.to_lowercase())).is_empty());
    }

    #[test]
    fn a_provider_may_be_named_in_its_gateway_but_not_in_the_core() {
        let psp = ["ad", "yen"].concat();
        let text = format!("//! Speaks to {}.\n", psp.to_uppercase());
        let expected = [format!("workflow/src/a.rs:1: names the provider {psp}")];
        assert_eq!(told("workflow/src/a.rs", &text), expected);
        assert!(told("activities/src/gateway/a.rs", &text).is_empty());
    }

    #[test]
    fn a_migration_for_one_database_only_is_named() {
        assert_eq!(told("migrations/sqlite/0001_a.sql", ""), ["migrations/postgres/0001_a.sql: is missing"]);
    }
}
