//! What a built program asks of the machine it is started on.
//!
//! Not here: which programs are packed.

use anyhow::{Context, Result, bail};
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, StringTable};

/// The C library of Amazon Linux 2023, on which `provided.al2023` runs functions. A newer one on the machine that builds is
/// no harm as long as nothing that only the newer one has is used. Debian 12 and all later systems have a newer one.
const GLIBC: Version = Version(2, 34);
/// What is in that runtime's image of what a Rust program links to: the C library's parts, and the compiler's.
const LIBRARIES: [&str; 5] =
    ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libgcc_s.so.1"];

/// A release of the C library.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Version(u32, u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What a program asks of the machine it is started on.
#[derive(Default)]
struct Needs {
    libraries: Vec<String>,
    /// Versions of symbols, such as `GLIBC_2.34`.
    versions: Vec<String>,
}

/// Refuses a program that Amazon Linux 2023 could not start, and says which release of the C library it needs.
pub(super) fn check(name: &str, program: &[u8]) -> Result<Version> {
    let needs = Needs::of(program).context("cannot read the binary")?;
    if let Some(library) = needs.libraries.iter().find(|library| !LIBRARIES.contains(&library.as_str())) {
        bail!("{name} needs {library}, which Amazon Linux 2023 does not have: link it statically, or do without");
    }
    let newest = needs.glibc().max().with_context(|| format!("{name} needs no C library: is it the right binary?"))?;
    if newest > GLIBC {
        bail!(
            "{name} needs glibc {newest} and Amazon Linux 2023 has {GLIBC}: build on a system with {GLIBC} or older, or \
             find what uses the newer symbols: objdump -T {name} | grep GLIBC_{newest}"
        );
    }
    Ok(newest)
}

impl Needs {
    fn of(program: &[u8]) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(program)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, program)?;
        let mut needs = Self::default();
        if let Some((entries, link)) = sections.dynamic(endian, program)? {
            let strings = sections.strings(endian, program, link)?;
            for entry in entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED) {
                let offset = entry.val32(endian).context("a name beyond the table")?;
                needs.libraries.push(text(strings, offset)?);
            }
        }
        if let Some((mut files, link)) = sections.gnu_verneed(endian, program)? {
            let strings = sections.strings(endian, program, link)?;
            while let Some((_, mut versions)) = files.next()? {
                while let Some(version) = versions.next()? {
                    needs.versions.push(String::from_utf8_lossy(version.name(endian, strings)?).into_owned());
                }
            }
        }
        Ok(needs)
    }

    fn glibc(&self) -> impl Iterator<Item = Version> {
        self.versions.iter().filter_map(|version| parse(version.strip_prefix("GLIBC_")?))
    }
}

fn text(strings: StringTable<'_>, offset: u32) -> Result<String> {
    let name = strings.get(offset).ok().context("a name beyond the table")?;
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// `2.34`, and `2.2.5` as 2.2.
fn parse(version: &str) -> Option<Version> {
    let mut numbers = version.split('.').map(str::parse);
    Some(Version(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// This test itself: a Rust program like any other.
    fn own_binary() -> Vec<u8> {
        fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn what_a_program_needs_is_read_from_the_program() {
        let needs = Needs::of(&own_binary()).unwrap();
        assert!(needs.libraries.iter().any(|library| library == "libc.so.6"), "{:?}", needs.libraries);
        assert!(needs.glibc().max().is_some_and(|newest| newest > Version(2, 2)), "{:?}", needs.versions);
        assert!(Needs::of(b"#!/bin/sh").is_err());
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert!(parse("2.4") < parse("2.34") && parse("2.2.5") == Some(Version(2, 2)) && parse("PRIVATE").is_none());
    }
}
