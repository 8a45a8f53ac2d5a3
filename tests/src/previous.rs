//! The previous release's program, for tests of rollouts: `cargo xtask previous` builds it and names it in the environment. Where
//! it is not named, the tests say on stderr that they did not run.

use std::io::Write as _;

/// Names the program.
pub const PROGRAM: &str = "FINCORE_TEST_PREVIOUS_RELEASE";

/// Where the program is, for as long as the tests run.
///
/// # Panics
/// When what is named is no file.
#[must_use]
pub fn program() -> Option<&'static str> {
    let Ok(program) = std::env::var(PROGRAM) else {
        // Written past the test harness, which would swallow it.
        let note = format!("\nNOT RUN: the tests with the previous release, because {PROGRAM} is not set.\n\n");
        let _ = std::io::stderr().write_all(note.as_bytes());
        return None;
    };
    assert!(std::path::Path::new(&program).is_file(), "{PROGRAM}={program} is no file: cargo xtask previous");
    Some(program.leak())
}
