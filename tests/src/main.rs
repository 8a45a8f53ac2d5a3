//! The `fincore` program, built for tests that start it, kill it and start it again.

fn main() -> std::process::ExitCode {
    fincore::main()
}
