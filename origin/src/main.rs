//! The binary `outpost-origin`.

fn main() -> std::process::ExitCode {
    outpost_origin::main()
}
