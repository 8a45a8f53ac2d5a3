//! What cargo says about our packages and everything they depend on.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Every package in the lock file, ours included.
pub(super) struct Packages {
    pub(super) all: Vec<Package>,
}

pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: Version,
    /// An SPDX expression.
    pub(super) licence: Option<String>,
    /// Nothing for packages of others.
    pub(super) ours: Option<Ours>,
}

/// What we know about a package of this workspace only.
pub(super) struct Ours {
    pub(super) dependencies: Vec<Dependency>,
}

pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Part of the built library or program, or of building it.
    Normal,
    /// For its own tests only.
    Test,
}

/// Major, minor, patch. What comes after a `-` or `+` is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u64, pub(super) u64, pub(super) u64);

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let plain = text.split(['-', '+']).next()?;
        let mut numbers = plain.split('.').map(|number| number.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??, numbers.next()??))
    }
}

impl Packages {
    /// Runs `cargo metadata`; it may fetch packages of other platforms, whose licences count too.
    pub(super) fn read() -> Result<Self> {
        let mut command: Command = crate::process::cargo(["metadata", "--format-version", "1", "--locked"]).into_std();
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", output.status);
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata wrote no JSON")?;
        Self::parse(&metadata).context("cargo metadata wrote something we do not know")
    }

    pub(super) fn parse(metadata: &Value) -> Option<Self> {
        let members: Vec<&str> = metadata["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
        let packages = metadata["packages"].as_array()?.iter().map(|package| {
            let is_ours = members.contains(&package["id"].as_str()?);
            Some(Package {
                name: package["name"].as_str()?.to_owned(),
                version: Version::parse(package["version"].as_str()?)?,
                licence: package["license"].as_str().map(str::to_owned),
                ours: if is_ours { Some(Ours { dependencies: dependencies(package)? }) } else { None },
            })
        });
        Some(Self { all: packages.collect::<Option<_>>()? })
    }

    pub(super) fn ours(&self) -> impl Iterator<Item = (&Package, &Ours)> {
        self.all.iter().filter_map(|package| Some((package, package.ours.as_ref()?)))
    }
}

fn dependencies(package: &Value) -> Option<Vec<Dependency>> {
    let dependency = |value: &Value| {
        let kind = if value["kind"].as_str() == Some("dev") { Kind::Test } else { Kind::Normal };
        Some(Dependency { name: value["name"].as_str()?.to_owned(), kind })
    };
    package["dependencies"].as_array()?.iter().map(dependency).collect()
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn a_version_is_read_without_its_suffix() {
        assert_eq!(Version::parse("1.20.3-rc.1"), Some(Version(1, 20, 3)));
        assert_eq!(Version::parse("1.0.4+wasi-0.2.12"), Some(Version(1, 0, 4)));
        assert!(Version::parse("0.103.13") > Version::parse("0.103.9"));
        assert_eq!(Version::parse("1.2"), None);
    }
}
