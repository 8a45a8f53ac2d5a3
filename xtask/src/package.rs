//! `cargo xtask package`: what is handed on: the Lambda function as a zip that can be uploaded, and `fincore` as a tarball
//! with what a machine needs to run it. Each comes with its bill of materials and its licences.
//!
//! The same sources, compiler and C compiler make the same bytes, in whatever folder: no package names the machine it was built on.
//! Deliberately not here: uploading them, the container's image (`deploy/container`), and what the programs do.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{prerequisites, process};

mod bill;
mod needs;

use bill::Bill;

/// The cargo package of the function, and the profile it is built in.
pub(crate) const FUNCTION: &str = "fincore-lambda";
pub(crate) const PROFILE: &str = "lambda";
/// The name that a custom runtime starts.
pub(crate) const BOOTSTRAP: &str = "bootstrap";
/// The other program, its package and its profile.
const PROGRAM: &str = "fincore";
const DIST: &str = "dist";

/// Anybody may read and start it.
const MODE: u32 = 0o755;
/// As small as it gets; packing takes a second.
const COMPRESSION_LEVEL: i64 = 9;

/// Tells the tests where the function's package is.
pub(crate) const VARIABLE: &str = "FINCORE_TEST_FUNCTION";

/// The machine that we check packages for, and on.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What stands beside the program in its tarball, from the workspace's root.
const BESIDE: [&str; 3] = ["LICENSE", "CHANGELOG.md", "deploy/single-host"];

#[derive(Args)]
pub(crate) struct Options {
    /// Build for this target of Rust, for example aarch64-unknown-linux-gnu: it and a C compiler for it have to be installed
    #[arg(long, default_value = TARGET)]
    target: String,
    /// Only one of the packages
    #[arg(long, value_enum)]
    only: Option<Only>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// The Lambda function
    Function,
    /// `fincore`
    Program,
}

/// Builds, checks and packs.
pub(crate) async fn run(options: Options) -> Result<()> {
    prerequisites::c_compiler()?;
    if options.only != Some(Only::Program) {
        function(&options.target).await?;
    }
    if options.only != Some(Only::Function) {
        program(&options.target).await?;
    }
    Ok(())
}

/// The function's package, as it ships to machines like this one.
pub(crate) async fn function_here() -> Result<PathBuf> {
    function(TARGET).await
}

async fn function(target: &str) -> Result<PathBuf> {
    let built = built(FUNCTION, BOOTSTRAP, PROFILE, target).await?;
    let package = zip(&built.bytes)?;
    let path = folder()?.join(name("fincore-lambda", target, ".zip"));
    write(&path, &package)?;
    papers(FUNCTION, target)?;
    println!("{}", path.display());
    println!(
        "bootstrap {}, zip {}, needs glibc {}",
        megabytes(built.bytes.len()),
        megabytes(package.len()),
        built.glibc
    );
    Ok(path)
}

async fn program(target: &str) -> Result<()> {
    let built = built(PROGRAM, PROGRAM, DIST, target).await?;
    let name = name(PROGRAM, target, "");
    let contents = tempfile::tempdir().context("no temporary folder")?;
    let inside = contents.path().join(&name);
    fs::create_dir(&inside)?;
    process::run_quietly(Command::new("install").args(["-m", "755"]).arg(&built.path).arg(inside.join(PROGRAM)))
        .await?;
    for file in BESIDE {
        process::run_quietly(Command::new("cp").arg("-r").arg(crate::root().join(file)).arg(&inside)).await?;
    }
    for paper in papers(PROGRAM, target)? {
        fs::copy(&paper, inside.join(paper.file_name().context("it has a name")?))?;
    }
    let path = folder()?.join(format!("{name}.tar.gz"));
    tarball(contents.path(), &name, &path).await?;
    let size = fs::metadata(&path)?.len();
    println!("{}", path.display());
    println!(
        "fincore {}, tarball {}, needs glibc {}",
        megabytes(built.bytes.len()),
        megabytes(usize::try_from(size)?),
        built.glibc
    );
    Ok(())
}

/// `fincore` as the tests have it, which is linked to the same C library: packing it takes too long for each change.
pub(crate) fn check_unpacked() -> Result<()> {
    let path = crate::root().join("target/debug/fincore-under-test");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    println!("fincore needs glibc {}", needs::check(PROGRAM, &bytes)?);
    Ok(())
}

/// A program that may be handed on.
struct Built {
    path: PathBuf,
    bytes: Vec<u8>,
    glibc: needs::Version,
}

async fn built(package: &str, binary: &str, profile: &str, target: &str) -> Result<Built> {
    let path = compile(package, binary, profile, target).await?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for place in [crate::root(), cargo_home()] {
        let place = place.to_string_lossy().into_owned();
        if bytes.windows(place.len()).any(|window| window == place.as_bytes()) {
            bail!(
                "{binary} names {place}: another machine would build other bytes. Find where: strings {}",
                path.display()
            );
        }
    }
    let glibc = needs::check(binary, &bytes)?;
    Ok(Built { path, bytes, glibc })
}

/// Builds a program as it is handed on, and says where it is.
pub(crate) async fn compile(package: &str, binary: &str, profile: &str, target: &str) -> Result<PathBuf> {
    process::run(build(profile).args(["--package", package, "--bin", binary, "--target", target])).await?;
    Ok(crate::root().join("target").join(target).join(profile).join(binary))
}

/// A build in which this machine's folders have the names they have everywhere, in Rust and in C.
fn build(profile: &str) -> Command {
    let places = [(cargo_home(), "/cargo"), (crate::root(), "/fincore")];
    let renamed = |option: &str| -> String {
        let each = places.iter().map(|(from, to)| format!("{option}={}={to}", from.display()));
        each.collect::<Vec<_>>().join(" ")
    };
    let mut build = process::cargo(["build", "--profile", profile, "--locked"]);
    build.env("RUSTFLAGS", renamed("--remap-path-prefix")).env("CFLAGS", renamed("-ffile-prefix-map"));
    build
}

/// Where cargo keeps the sources of others.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Writes the bill of materials and the licences of a package, and says where they are.
fn papers(package: &str, target: &str) -> Result<[PathBuf; 2]> {
    let bill = Bill::of(package, target)?;
    let paths = [".cdx.json", ".licences.txt"].map(|suffix| Ok(folder()?.join(name(package, target, suffix))));
    let [materials, licences]: [Result<PathBuf>; 2] = paths;
    let (materials, licences) = (materials?, licences?);
    write(&materials, bill.cyclonedx()?.as_bytes())?;
    write(&licences, bill.licences().as_bytes())?;
    Ok([materials, licences])
}

/// The machine we run on most has no suffix: deployments name `fincore-lambda.zip`.
fn name(package: &str, target: &str, suffix: &str) -> String {
    match target.split('-').next().unwrap_or_default() {
        "x86_64" => format!("{package}{suffix}"),
        other => format!("{package}-{other}{suffix}"),
    }
}

fn folder() -> Result<PathBuf> {
    let folder = crate::root().join("target/package");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The same bytes for the same contents, whoever owns them and whenever they were written.
async fn tarball(folder: &Path, name: &str, to: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=go=rX"]);
    tar.args(["--use-compress-program", "gzip -9 -n", "--file"]).arg(to).arg("--directory").arg(folder).arg(name);
    process::run_quietly(&mut tar).await
}

/// A size for people.
pub(crate) fn megabytes(bytes: usize) -> String {
    let hundredths = bytes / 10_000;
    format!("{}.{:02} MB", hundredths / 100, hundredths % 100)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_makes_the_same_package_and_can_be_started() {
        let package = zip(b"program").unwrap();
        assert_eq!(package, zip(b"program").unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(package)).unwrap();
        let file = archive.by_index(0).unwrap();
        assert_eq!((file.name().unwrap().as_ref(), file.unix_mode().map(|mode| mode & 0o777)), (BOOTSTRAP, Some(MODE)));
    }

    #[tokio::test]
    async fn the_same_contents_make_the_same_tarball_whenever_they_were_written() {
        let made = async |content: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("inside")).unwrap();
            for file in ["b", "a"] {
                fs::write(folder.path().join("inside").join(file), content).unwrap();
            }
            let to = folder.path().join("tarball");
            tarball(folder.path(), "inside", &to).await.unwrap();
            fs::read(to).unwrap()
        };
        let first = made("one").await;
        // Times of files are told by the second.
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
        assert_eq!(first, made("one").await);
        assert_ne!(first, made("two").await);
    }
}
