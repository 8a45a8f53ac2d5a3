//! `cargo xtask package`: the Lambda function as a zip that can be uploaded, with a check that it runs where Lambda runs
//! it.
//!
//! Deliberately not here: uploading it, and what the function does (`activities/lambda`).

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, StringTable};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{prerequisites, process};

/// The cargo package that is packed, and the profile it is built in.
pub(crate) const FUNCTION: &str = "fincore-lambda";
pub(crate) const PROFILE: &str = "lambda";
/// The name that a custom runtime starts.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// The C library of Amazon Linux 2023, on which `provided.al2023` runs functions. A newer one on the machine that builds is
/// no harm as long as nothing that only the newer one has is used.
const GLIBC: Version = Version(2, 34);
/// What is in that runtime's image of what a Rust program links to: the C library's parts, and the compiler's.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libgcc_s.so.1"];

/// Anybody may read and start it.
const MODE: u32 = 0o755;
/// As small as it gets; packing takes a second.
const COMPRESSION_LEVEL: i64 = 9;

/// Builds, checks and packs.
pub(crate) async fn run() -> Result<()> {
    prerequisites::c_compiler()?;
    process::run(&mut process::cargo(["build", "--profile", PROFILE, "--locked", "--package", FUNCTION])).await?;
    let binary = built(BOOTSTRAP);
    let program = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let newest = runs_on_lambda(&program)?;
    let package = zip(&program)?;
    let path = crate::root().join("target/package/fincore-lambda.zip");
    write(&path, &package)?;
    println!("{}", path.display());
    println!("bootstrap {}, zip {}, needs glibc {newest}", megabytes(program.len()), megabytes(package.len()));
    Ok(())
}

/// Where the profile's binary of this name is.
pub(crate) fn built(binary: &str) -> PathBuf {
    crate::root().join("target").join(PROFILE).join(binary)
}

/// A size for people.
pub(crate) fn megabytes(bytes: usize) -> String {
    let hundredths = bytes / 10_000;
    format!("{}.{:02} MB", hundredths / 100, hundredths % 100)
}

fn write(path: &Path, package: &[u8]) -> Result<()> {
    let folder = path.parent().context("a path below target/")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(path, package).with_context(|| format!("cannot write {}", path.display()))
}

/// The same bytes for the same program, whenever and wherever it is packed.
pub(crate) fn zip(program: &[u8]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(COMPRESSION_LEVEL))
        .last_modified_time(DateTime::default())
        .unix_permissions(MODE);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

/// A release of the C library.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Version(u32, u32);

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

/// Refuses a program that the runtime could not start, and says which release of the C library it needs.
fn runs_on_lambda(program: &[u8]) -> Result<Version> {
    let needs = Needs::of(program).context("cannot read the binary")?;
    if let Some(library) = needs.libraries.iter().find(|library| !LIBRARIES.contains(&library.as_str())) {
        bail!("bootstrap needs {library}, which provided.al2023 does not have: link it statically, or do without");
    }
    let newest = needs.glibc().max().context("bootstrap needs no C library: is it the right binary?")?;
    if newest > GLIBC {
        bail!(
            "bootstrap needs glibc {newest} and Amazon Linux 2023 has {GLIBC}: build on a system with {GLIBC} or older, \
             or find what uses the newer symbols: objdump -T target/{PROFILE}/{BOOTSTRAP} | grep GLIBC_{newest}"
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

    #[test]
    fn the_same_program_makes_the_same_package_and_can_be_started() {
        let package = zip(b"program").unwrap();
        assert_eq!(package, zip(b"program").unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(package)).unwrap();
        let file = archive.by_index(0).unwrap();
        assert_eq!((file.name().unwrap().as_ref(), file.unix_mode().map(|mode| mode & 0o777)), (BOOTSTRAP, Some(MODE)));
    }
}
