//! Every package's licence must let us ship it, whatever platform it is for.

use super::Violation;
use super::packages::Packages;

/// Licences that ask for no more than a notice.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];
/// Not a licence but a dedication to the public, which asks for even less.
const PUBLIC_DOMAIN: &str = "Unlicense";

/// Packages that are allowed with another licence, and why there is no way around them.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub(super) fn check(packages: &Packages) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &packages.all {
        let licence = package.licence.as_deref().unwrap_or_default();
        if is_allowed(licence) || EXCEPTIONS.iter().any(|(name, _)| *name == package.name) {
            continue;
        }
        let problem = format!("has the licence \"{licence}\", which is not on our list");
        let remedy = "use another package, or give a reason in EXCEPTIONS (xtask/src/tidy/licences.rs)";
        violations.push(Violation::new(format!("{} {}", package.name, package.version), problem, remedy));
    }
    violations
}

/// Reads an SPDX expression; what cannot be read is not allowed.
fn is_allowed(expression: &str) -> bool {
    // The old spelling of OR is a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest) == Some(true) && rest.is_empty()
}

/// `all OR all OR …`; nothing if it cannot be read. The reading goes as deep as the parentheses do, in names that
/// come from a package somebody chose for this workspace.
fn either(words: &mut &[&str]) -> Option<bool> {
    let mut allowed = all(words)?;
    while take(words, "OR") {
        allowed |= all(words)?;
    }
    Some(allowed)
}

/// `one AND one AND …`
fn all(words: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(words)?;
    while take(words, "AND") {
        allowed &= one(words)?;
    }
    Some(allowed)
}

/// A licence, a licence with an exception, or an expression in parentheses.
fn one(words: &mut &[&str]) -> Option<bool> {
    if take(words, "(") {
        let allowed = either(words)?;
        return take(words, ")").then_some(allowed);
    }
    let licence = next(words)?;
    if !take(words, "WITH") {
        return Some(licence == PUBLIC_DOMAIN || ALLOWED.contains(&licence));
    }
    let exception = next(words)?;
    Some(ALLOWED.contains(&format!("{licence} WITH {exception}").as_str()))
}

fn take(words: &mut &[&str], expected: &str) -> bool {
    let found = words.first() == Some(&expected);
    if found {
        *words = &words[1..];
    }
    found
}

fn next<'a>(words: &mut &[&'a str]) -> Option<&'a str> {
    let (first, rest) = words.split_first()?;
    *words = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn permissive_expressions_are_allowed() {
        for expression in [
            "MIT",
            "Unlicense/MIT",
            "Apache-2.0 / MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(is_allowed(expression), "{expression}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for expression in ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0", "(MIT", "MIT Apache-2.0", "MIT OR"] {
            assert!(!is_allowed(expression), "{expression}");
        }
    }
}
