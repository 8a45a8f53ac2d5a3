//! What a program is made of: a bill of materials (CycloneDX), and its licences as a list.
//!
//! Read from what cargo says a build of it contains, and from the checksums of the lock file. Which licences are allowed at all
//! is a tidy rule. Not here: who depends on whom, and the C sources that SQLite's and ring's packages bring along.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process;

/// The version of CycloneDX that we write.
const SPEC_VERSION: &str = "1.6";
/// Between a package and its licence in what we ask cargo for.
const SEPARATOR: char = '|';

/// What went into one program.
pub(super) struct Bill {
    /// The package it is built from.
    root: String,
    parts: BTreeSet<Part>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Part {
    name: String,
    version: String,
    /// An SPDX expression.
    licence: String,
    /// SHA-256 of the package as the registry has it; our own have none.
    checksum: Option<String>,
}

impl Bill {
    /// Of this package, built for this target.
    pub(super) fn of(package: &str, target: &str) -> Result<Self> {
        let format = format!("{{p}}{SEPARATOR}{{l}}");
        let mut tree = process::cargo(["tree", "--locked", "--package", package, "--target", target]).into_std();
        tree.args(["--edges", "normal,build", "--prefix", "none", "--format", &format]);
        let output = tree.output().context("cannot start cargo tree")?;
        if !output.status.success() {
            bail!("cargo tree: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        let lock = fs::read_to_string(crate::root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
        Self::read(package, &String::from_utf8_lossy(&output.stdout), &checksums(&lock)?)
    }

    fn read(root: &str, tree: &str, checksums: &BTreeMap<(String, String), String>) -> Result<Self> {
        let parts = tree.lines().filter(|line| !line.is_empty()).map(|line| {
            part(line, checksums).with_context(|| format!("cargo tree says something we do not know: {line}"))
        });
        Ok(Self { root: root.to_owned(), parts: parts.collect::<Result<_>>()? })
    }

    /// As CycloneDX's JSON. It has neither a date nor a number of its own: the same build has the same bill.
    pub(super) fn cyclonedx(&self) -> Result<String> {
        let root = self.parts.iter().find(|part| part.name == self.root).context("the program itself is missing")?;
        let components: Vec<Value> = self.parts.iter().filter(|part| *part != root).map(Part::component).collect();
        let bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": SPEC_VERSION,
            "version": 1,
            "metadata": { "component": { "type": "application", "name": root.name, "version": root.version } },
            "components": components,
        });
        Ok(format!("{}\n", serde_json::to_string_pretty(&bill)?))
    }

    /// One line a package: name, version, licence.
    pub(super) fn licences(&self) -> String {
        self.parts.iter().map(|part| format!("{} {}: {}\n", part.name, part.version, part.licence)).collect()
    }
}

impl Part {
    fn component(&self) -> Value {
        let url = format!("pkg:cargo/{}@{}", self.name, self.version.replace('+', "%2B"));
        let mut component = json!({
            "type": "library",
            "bom-ref": url,
            "name": self.name,
            "version": self.version,
            "licenses": [{ "expression": self.licence }],
            "purl": url,
        });
        if let Some(checksum) = &self.checksum {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    }
}

/// `serde v1.0.1 (proc-macro)|MIT OR Apache-2.0 (*)`
fn part(line: &str, checksums: &BTreeMap<(String, String), String>) -> Option<Part> {
    let (package, licence) = line.split_once(SEPARATOR)?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned());
    // The old spelling of OR is a slash.
    let licence = licence.trim_end_matches("(*)").trim().replace('/', " OR ");
    let licence = licence.split_whitespace().collect::<Vec<_>>().join(" ");
    if licence.is_empty() {
        return None;
    }
    let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
    Some(Part { name, version, licence, checksum })
}

/// By name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock cannot be read")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock lists packages")?;
    let text = |package: &toml::Value, key| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    Ok(packages
        .iter()
        .filter_map(|package| Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "ours v0.2.0 (/ours)|Apache-2.0\nserde v1.0.1|MIT/Apache-2.0\nserde v1.0.1|MIT/Apache-2.0 (*)\n\n\
                        macros v2.0.0+x (proc-macro)|MIT OR Unlicense\n";

    fn bill() -> Bill {
        let lock = "[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nchecksum = \"ab12\"\n";
        Bill::read("ours", TREE, &checksums(lock).unwrap()).unwrap()
    }

    #[test]
    fn every_package_is_listed_once_with_its_licence() {
        let expected = "macros 2.0.0+x: MIT OR Unlicense\nours 0.2.0: Apache-2.0\nserde 1.0.1: MIT OR Apache-2.0\n";
        assert_eq!(bill().licences(), expected);
        assert!(Bill::read("ours", "free v1.0.0|", &BTreeMap::new()).is_err(), "a package without a licence");
    }

    #[test]
    fn the_bill_names_the_program_and_its_parts_with_their_checksums() {
        let bill: Value = serde_json::from_str(&bill().cyclonedx().unwrap()).unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], "ours");
        assert_eq!(bill["components"].as_array().unwrap().len(), 2);
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/macros@2.0.0%2Bx");
        assert_eq!(bill["components"][1]["hashes"][0]["content"], "ab12");
    }

    #[test]
    fn what_ships_has_a_bill() {
        for package in ["fincore", "fincore-lambda"] {
            let bill = Bill::of(package, "x86_64-unknown-linux-gnu").unwrap();
            let ours = bill.parts.iter().filter(|part| part.checksum.is_none()).count();
            assert!(bill.parts.len() > 100 && ours < 12, "{} parts, {ours} of them ours", bill.parts.len());
            assert!(bill.cyclonedx().unwrap().contains("pkg:cargo/tokio@"));
        }
    }
}
