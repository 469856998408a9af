//! Prints `docs/agent-cli.md`.

fn main() {
    print!("{}", outpost_agent::command_line_reference());
}
