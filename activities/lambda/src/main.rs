//! The binary that AWS Lambda starts. Not here: everything; see the library of this package.

fn main() -> std::process::ExitCode {
    fincore_lambda::main()
}
