//! outpost-proxy: see the library.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    outpost_proxy::main()
}
