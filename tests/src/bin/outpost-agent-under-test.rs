//! outpost-agent: see the library.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outpost_agent::main()
}
