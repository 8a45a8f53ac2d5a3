//! The Lambda function, built for tests that have an emulator start it, kill it and start it again.

fn main() -> std::process::ExitCode {
    fincore_lambda::main()
}
