//! Which packages of others may be in the lock file, in which versions, and that the README explains them.

use anyhow::{Context, Result};

use super::Violation;
use super::packages::{Package, Packages, Version};
use super::tree::Tree;

/// Package, the first version that is allowed if any is, and why.
const BANNED: &[(&str, Option<Version>, &str)] = &[
    ("sqlx", Some(Version(0, 9, 0)), "0.8 bundles a SQLite that can corrupt a database when its WAL is reset"),
    ("sqlx-core", Some(Version(0, 9, 0)), "0.8 bundles a SQLite that can corrupt a database when its WAL is reset"),
    ("hyper", Some(Version(1, 0, 0)), "0.14 is not maintained any more and brings the old TLS packages"),
    ("backoff", None, "not maintained since 2021: retries are data of the workflow (RUSTSEC-2025-0012)"),
    ("instant", None, "not maintained: std's clock does the same (RUSTSEC-2024-0384)"),
    ("openssl-sys", None, "the one TLS library is rustls"),
    ("native-tls", None, "the one TLS library is rustls"),
    ("aws-lc-rs", None, "the one provider of cryptography for TLS is ring"),
];

/// Package, the first version without known holes, and why.
const FLOORS: &[(&str, Version, &str)] = &[
    ("rustls", Version(0, 23, 45), "security fixes"),
    ("rustls-webpki", Version(0, 103, 13), "security fixes"),
    ("h2", Version(0, 4, 16), "security fixes"),
    ("time", Version(0, 3, 47), "security fixes"),
];

/// Packages of which two versions would be two sets of behaviour on the wire.
const SINGLE: [&str; 2] = ["rustls", "hyper"];

const README: &str = "README.md";
const HEADING: &str = "## Dependencies";

pub(super) fn check(packages: &Packages) -> Vec<Violation> {
    let mut violations: Vec<_> =
        packages.all.iter().flat_map(|package| banned(package).into_iter().chain(too_old(package))).collect();
    violations.extend(SINGLE.iter().filter_map(|name| doubled(packages, name)));
    violations
}

fn banned(package: &Package) -> Option<Violation> {
    let (_, allowed_from, why) = BANNED.iter().find(|(name, ..)| *name == package.name)?;
    if allowed_from.is_some_and(|version| package.version >= version) {
        return None;
    }
    let remedy = "see who brings it: cargo tree --target all --invert --package <name>@<version>";
    Some(Violation::new(place(package), format!("is banned: {why}"), remedy))
}

fn too_old(package: &Package) -> Option<Violation> {
    let (_, floor, why) = FLOORS.iter().find(|(name, ..)| *name == package.name)?;
    if package.version >= *floor {
        return None;
    }
    Some(Violation::new(place(package), format!("is below {floor}: {why}"), "cargo update --package <name>"))
}

fn doubled(packages: &Packages, name: &str) -> Option<Violation> {
    let versions: Vec<_> = packages.all.iter().filter(|package| package.name == name).map(place).collect();
    if versions.len() < 2 {
        return None;
    }
    let remedy = "keep one: see who brings the other with cargo tree --target all --invert --package <name>@<version>";
    Some(Violation::new(versions.join(" and "), "are both in the lock file", remedy))
}

fn place(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

/// Every package of others that the workspace names is explained in a row of the README's table.
pub(super) fn check_readme(tree: &Tree) -> Result<Vec<Violation>> {
    let manifest = tree.file("Cargo.toml").and_then(|file| file.text.as_deref()).context("no Cargo.toml")?;
    let readme = tree.file(README).and_then(|file| file.text.as_deref()).unwrap_or_default();
    unexplained(manifest, readme)
}

fn unexplained(manifest: &str, readme: &str) -> Result<Vec<Violation>> {
    let manifest: toml::Table = manifest.parse().context("Cargo.toml is not TOML")?;
    let named = manifest["workspace"]["dependencies"].as_table().context("Cargo.toml has no workspace dependencies")?;
    let others = named.iter().filter(|(_, value)| value.get("path").is_none()).map(|(name, _)| name);
    let Some(explained) = first_cells(readme) else {
        let problem = format!("has no heading \"{HEADING}\"");
        let remedy = "write that section with a table: a row per dependency, its name in the first column, and why";
        return Ok(vec![Violation::new(README, problem, remedy)]);
    };
    let missing = others.filter(|name| !explained.contains(name));
    let remedy = "add a row to its table of dependencies: the name in the first column, and why it is here";
    Ok(missing.map(|name| Violation::new(README, format!("does not explain {name}"), remedy)).collect())
}

/// The names in the first column of the section's tables; a row may explain several.
fn first_cells(readme: &str) -> Option<Vec<String>> {
    let mut lines = readme.lines().skip_while(|line| line.trim_end() != HEADING);
    lines.next()?;
    let rows = lines.take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix('|'));
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let names =
        rows.filter_map(|row| row.split('|').next()).flat_map(|cell| cell.split(move |letter| !is_name(letter)));
    Some(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{Package, Packages, Version, check, unexplained};

    fn told(packages: &[(&str, Version)]) -> Vec<String> {
        let package =
            |&(name, version): &(&str, Version)| Package { name: name.to_owned(), version, licence: None, ours: None };
        let found = check(&Packages { all: packages.iter().map(package).collect() });
        found.into_iter().map(|found| found.place).collect()
    }

    #[test]
    fn banned_outdated_and_doubled_packages_are_named() {
        assert_eq!(told(&[("sqlx", Version(0, 8, 6))]), ["sqlx 0.8.6"]);
        assert_eq!(told(&[("native-tls", Version(9, 0, 0))]), ["native-tls 9.0.0"]);
        assert_eq!(told(&[("h2", Version(0, 4, 15))]), ["h2 0.4.15"]);
        let doubled = [("hyper", Version(1, 1, 0)), ("hyper", Version(2, 0, 0))];
        assert_eq!(told(&doubled), ["hyper 1.1.0 and hyper 2.0.0"]);
        assert!(told(&[("sqlx", Version(0, 9, 0)), ("h2", Version(0, 4, 16)), ("hyper", Version(1, 1, 0))]).is_empty());
    }

    const MANIFEST: &str =
        "[workspace.dependencies]\nworkflow = { path = \"workflow\" }\naxum = \"0.8\"\naxum-extra = \"0.12\"\n";

    #[test]
    fn a_dependency_without_a_row_is_named() {
        let readme = "# A\n## Dependencies\n| crate | why |\n|---|---|\n| `axum` | not axum-extra |\n## More\n| axum-extra | |\n";
        let found = unexplained(MANIFEST, readme).unwrap();
        assert_eq!(found.into_iter().map(|found| found.problem).collect::<Vec<_>>(), ["does not explain axum-extra"]);
    }

    #[test]
    fn a_readme_without_the_section_is_told_so_once() {
        let found = unexplained(MANIFEST, "# A\n").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].problem, "has no heading \"## Dependencies\"");
    }
}
