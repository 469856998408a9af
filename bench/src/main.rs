//! outpost-bench: see the library.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outpost_bench::main()
}
