//! The `fincore` program. All of it is in the library, so that tests and benchmarks wire the same parts.

/// A fifth of the processor time of a payment went into the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fincore::main()
}
