//! The package of the Lambda function that ships, where `cargo xtask test` has built it; and what stands in for it elsewhere.
//!
//! Not here: how it is built and checked (`cargo xtask package`).

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use crate::lambda::zip;

/// Names the zip.
const VARIABLE: &str = "FINCORE_TEST_FUNCTION";
/// The program in it.
const BOOTSTRAP: &str = "bootstrap";

/// The package that ships, or else one with this program, which tests build.
///
/// # Panics
/// When what is named cannot be read.
#[must_use]
pub fn function(otherwise: &Path) -> Vec<u8> {
    shipped().unwrap_or_else(|| zip(otherwise))
}

/// The program in the package that ships, put into this folder; or else this program, where it is.
///
/// # Panics
/// When what is named has no such program, or cannot be unpacked.
#[must_use]
pub fn program(folder: &Path, otherwise: &Path) -> PathBuf {
    let Some(package) = shipped() else { return otherwise.to_owned() };
    let mut package = zip::ZipArchive::new(Cursor::new(package)).expect("the package is a zip");
    package.extract(folder).expect("the folder takes it, with its rights");
    folder.join(BOOTSTRAP)
}

fn shipped() -> Option<Vec<u8>> {
    let Some(package) = std::env::var_os(VARIABLE) else {
        // Written past the test harness, which would swallow it.
        let note = format!("\nNOT the packaged function but the development build, because {VARIABLE} is not set.\n\n");
        let _ = std::io::stderr().write_all(note.as_bytes());
        return None;
    };
    Some(std::fs::read(&package).unwrap_or_else(|error| panic!("{VARIABLE}={}: {error}", package.display())))
}
