//! Prints `docs/cli.md`.

fn main() {
    print!("{}", outpost_proxy::command_line_reference());
}
