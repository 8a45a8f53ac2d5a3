//! What a run of the checklist came to.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one check came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not; what was seen, case by case, and what to fix.
    Broken {
        /// What was seen.
        seen: Vec<String>,
        /// What to fix.
        fix: &'static str,
    },
    /// It does not concern this PSP, for this reason.
    NotConcerned(&'static str),
}

/// One check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Its name: a sentence.
    pub name: &'static str,
    /// What it came to.
    pub verdict: Verdict,
}

/// All checks of a run. As text, a list to tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    psp: String,
    /// In the order in which they ran.
    pub checks: Vec<Checked>,
}

/// Cases shown of one broken check: the first ones tell the story.
const MAX_SHOWN: usize = 5;

/// Collects what is wrong in the cases of one check.
#[derive(Default)]
pub(super) struct Cases {
    seen: Vec<String>,
}

impl Cases {
    /// One case; what is wrong is written down.
    pub(super) fn expect(&mut self, holds: bool, seen: impl FnOnce() -> String) {
        if !holds {
            self.seen.push(seen());
        }
    }
}

impl Report {
    pub(super) fn new(psp: &str) -> Self {
        Self { psp: psp.to_owned(), checks: Vec::new() }
    }

    /// Runs a check. One that panics is broken: a gateway has to bear anything.
    pub(super) fn check(&mut self, name: &'static str, fix: &'static str, cases: impl FnOnce(&mut Cases)) {
        let mut collected = Cases::default();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| cases(&mut collected))) {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            collected.seen.push(format!("it panicked: {}", words.unwrap_or_default()));
        }
        self.found(name, fix, collected);
    }

    /// A check whose cases have run already.
    pub(super) fn found(&mut self, name: &'static str, fix: &'static str, cases: Cases) {
        let verdict = if cases.seen.is_empty() { Verdict::Holds } else { Verdict::Broken { seen: cases.seen, fix } };
        self.checks.push(Checked { name, verdict });
    }

    pub(super) fn not_concerned(&mut self, name: &'static str, why: &'static str) {
        self.checks.push(Checked { name, verdict: Verdict::NotConcerned(why) });
    }

    /// Names of the checks that are broken.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        let is_broken = |checked: &&Checked| matches!(checked.verdict, Verdict::Broken { .. });
        self.checks.iter().filter(is_broken).map(|checked| checked.name).collect()
    }

    /// Fails the test when anything is broken.
    ///
    /// # Panics
    /// With the whole list.
    #[track_caller]
    pub fn assert_conforms(&self) {
        assert!(self.broken().is_empty(), "\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} of {} checks are broken", self.psp, self.broken().len(), self.checks.len())?;
        for checked in &self.checks {
            match &checked.verdict {
                Verdict::Holds => writeln!(f, "  [x] {}", checked.name)?,
                Verdict::NotConcerned(why) => writeln!(f, "  [-] {}: {why}", checked.name)?,
                Verdict::Broken { seen, fix } => {
                    writeln!(f, "  [ ] {}", checked.name)?;
                    writeln!(f, "      fix: {fix}")?;
                    for case in seen.iter().take(MAX_SHOWN) {
                        writeln!(f, "      seen: {case}")?;
                    }
                    if seen.len() > MAX_SHOWN {
                        writeln!(f, "      … and {} more", seen.len() - MAX_SHOWN)?;
                    }
                }
            }
        }
        Ok(())
    }
}
