//! The Lambda function, built for tests that have an emulator start it, kill it and start it again. Where a test conducts
//! it, its clock can be moved, and it dies at the write it is told.

use std::path::Path;
use std::sync::Arc;

use fincore_lambda::function::Parts;
use fincore_tests::conduct::{Conduct, FOLDER};
use fincore_tests::crash::CrashStore;

fn main() -> std::process::ExitCode {
    let Some(folder) = std::env::var_os(FOLDER) else { return fincore_lambda::main() };
    let conduct = Conduct::in_folder(Path::new(&folder));
    fincore_lambda::main_with(|parts| Parts {
        clock: Arc::new(conduct.clone()),
        store: CrashStore::conducted(parts.store, conduct),
        ..parts
    })
}
