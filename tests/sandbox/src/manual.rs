//! Renders `docs/SANDBOX.md`, so that its table cannot drift from the one the machine reads. `cargo xtask generate`
//! writes it.
//!
//! Not here: the words around the tables (`manual.md`).

use std::fmt::Write;

use crate::scenario::{Aftermath, Fault, On, Operation, Outcome, SCENARIOS, Scenario};

const TEXT: &str = include_str!("manual.md");

/// A title, and which rows stand under it.
type Section = (&'static str, fn(&Scenario) -> bool);

/// The parts of the table.
const SECTIONS: [Section; 8] = [
    ("Approved", |row| row.outcome == Outcome::Approved && row.plan.is_none() && row.aftermath == Aftermath::Quiet),
    ("The card says no", |row| matches!(row.outcome, Outcome::Declined(_))),
    ("The payer is asked (3-D Secure)", |row| {
        matches!(row.outcome, Outcome::ActionRequired | Outcome::ApprovedAfterCancel)
    }),
    ("The card takes its time", |row| {
        matches!(row.outcome, Outcome::Processing | Outcome::ProcessingDeclined(_) | Outcome::ProcessingLong)
    }),
    ("Something breaks around a call", |row| row.plan.is_some_and(|plan| plan.on != On::Every)),
    ("Webhooks", |row| row.plan.is_some_and(|plan| plan.on == On::Every)),
    ("Captures and refunds that change their mind", |row| {
        row.aftermath != Aftermath::Quiet && !matches!(row.aftermath, Aftermath::Disputed(_))
    }),
    ("Disputes", |row| matches!(row.aftermath, Aftermath::Disputed(_))),
];

/// The whole page.
#[must_use]
pub fn render() -> String {
    let mut tables = String::new();
    for (title, belongs) in SECTIONS {
        // Writing to a string cannot fail.
        let _ =
            write!(tables, "### {title}\n\n| `payment_method` | what the PSP does | a charge ends |\n|---|---|---|\n");
        for row in SCENARIOS.iter().filter(|row| belongs(row)) {
            let _ = writeln!(tables, "| `{}` | {} | `{}` |", row.name, row.summary, row.ends);
        }
        tables.push('\n');
    }
    TEXT.replace("{{tables}}", tables.trim_end())
        .replace("{{operations}}", &words(&Operation::ALL.map(|(word, _)| word)))
        .replace("{{faults}}", &words(&Fault::ALL.map(|(word, _)| word)))
}

fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{SCENARIOS, render};

    #[test]
    fn every_payment_method_stands_in_the_page_once() {
        let page = render();
        for row in SCENARIOS {
            assert_eq!(page.matches(&format!("\n| `{}` |", row.name)).count(), 1, "{}", row.name);
        }
        assert!(!page.contains("{{"), "a place was not filled in");
    }
}
