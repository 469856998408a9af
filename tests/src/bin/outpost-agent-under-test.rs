//! The agent, for the scenarios to start.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outpost_agent::main()
}
