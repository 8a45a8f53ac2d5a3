//! House rules as tests: what no compiler and no lint checks.
//!
//! Every rule reads the files or what cargo says about the packages, and none changes anything. All violations are
//! listed at once, each with what to do. Deliberately not here: rules a clippy lint can hold (`clippy.toml`).

use anyhow::{Result, bail};

use crate::tidy::packages::Packages;
use crate::tidy::tree::Tree;

mod arrows;
mod dependencies;
mod files;
mod instruments;
mod licences;
mod packages;
mod tree;

/// One broken rule in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Violation {
    /// A path, with a line if there is one, or a package.
    place: String,
    problem: String,
    /// What the reader does next.
    remedy: &'static str,
}

impl Violation {
    fn new(place: impl Into<String>, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self { place: place.into(), problem: problem.into(), remedy }
    }
}

/// Fails with the list of all violations.
pub(crate) fn check() -> Result<()> {
    let tree = Tree::read(&crate::root())?;
    let packages = Packages::read()?;
    let mut violations = files::check(&tree);
    violations.extend(instruments::check(&tree));
    violations.extend(arrows::check(&packages));
    violations.extend(dependencies::check(&packages));
    violations.extend(dependencies::check_readme(&tree)?);
    violations.extend(licences::check(&packages));
    if violations.is_empty() {
        println!("{} files and {} packages are tidy", tree.files.len(), packages.all.len());
        return Ok(());
    }
    let lines = violations.iter().map(|found| format!("{}: {}\n    {}", found.place, found.problem, found.remedy));
    bail!("{} violations of the tidy rules:\n{}", violations.len(), lines.collect::<Vec<_>>().join("\n"))
}
