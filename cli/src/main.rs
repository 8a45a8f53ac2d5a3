//! The `fincore` program. All of it is in the library, so that tests and benchmarks wire the same parts.

fn main() -> std::process::ExitCode {
    fincore::main()
}
