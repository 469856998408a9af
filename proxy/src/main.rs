//! outpost-proxy: see the library.

fn main() -> std::process::ExitCode {
    outpost_proxy::main()
}
