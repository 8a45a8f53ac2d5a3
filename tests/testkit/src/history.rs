//! Histories compared as text that a person can read, with the difference when they differ.

use similar_asserts::SimpleDiff;
use workflow::history::HistoryRow;
use workflow::timeline;

/// Compares a history with what it should be. Indentation and empty lines do not count.
///
/// # Panics
/// When it is another; the message shows where.
#[track_caller]
pub fn assert_history(rows: &[HistoryRow], expected: &str) {
    assert_ledger(&timeline::ledger(rows), expected);
}

/// The same for a ledger that is text already: a history's, or [`crate::Effects`].
///
/// # Panics
/// When it is another; the message shows where.
#[track_caller]
pub fn assert_ledger(ledger: &str, expected: &str) {
    let (seen, expected) = (outline(ledger), outline(expected));
    if seen != expected {
        panic!(
            "it went another way than expected.\n{}",
            SimpleDiff::from_str(&expected, &seen, "expected", "happened")
        );
    }
}

/// The lines with something in them, without the indentation they share a test with.
fn outline(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}
