//! The binary `outpost-origin`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outpost_origin::main()
}
