//! `docs/agent-cli.md`, made from the command line.

use clap::{Arg, Command, CommandFactory};

use super::{Program, ending::EXIT_CODES};

const HEAD: &str = "# The agent's command line

Made from the program by `cargo run -p outpost-agent --example cli > docs/agent-cli.md`; a test compares. `outpost-agent COMMAND --help` says the same.
";

/// The page.
pub fn text() -> String {
    let mut program = Program::command();
    program.build();
    let mut text = String::from(HEAD);
    text.push_str("\n## Exit codes\n\n| code | meaning |\n| ---: | --- |\n");
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("| {code} | {meaning} |\n"));
    }
    text.push_str("\n## The commands\n\n| command | what it does |\n| --- | --- |\n");
    for command in program.get_subcommands() {
        text.push_str(&format!("| [`{0}`](#outpost-agent-{0}) | {1} |\n", command.get_name(), about(command)));
    }
    for command in program.get_subcommands() {
        push(&mut text, command, &format!("outpost-agent {}", command.get_name()));
    }
    text
}

fn push(text: &mut String, command: &Command, name: &str) {
    text.push_str(&format!("\n## `{name}`\n\n{}.\n", about(command).trim_end_matches('.')));
    let shown = command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()));
    let lines: Vec<_> = shown.map(|argument| format!("| {} | {} |\n", form(argument), meaning(argument))).collect();
    if !lines.is_empty() {
        text.push_str(&format!("\n| argument | meaning |\n| --- | --- |\n{}", lines.concat()));
    }
    for inner in command.get_subcommands() {
        push(text, inner, &format!("{name} {}", inner.get_name()));
    }
}

fn about(command: &Command) -> String {
    command.get_about().map(|about| cell(&about.to_string())).unwrap_or_default()
}

/// As it is written.
fn form(argument: &Arg) -> String {
    let names: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = if argument.get_action().takes_values() { names.join(" ") } else { String::new() };
    let short = argument.get_short().map(|letter| format!("-{letter}"));
    let long = argument.get_long().map(|name| format!("--{name}"));
    let flags: Vec<_> = short.into_iter().chain(long).collect();
    let form = match (flags.is_empty(), value.is_empty()) {
        (true, _) if argument.is_required_set() => value,
        (true, _) => format!("[{value}]"),
        (false, true) => flags.join(", "),
        (false, false) => format!("{} {value}", flags.join(", ")),
    };
    format!("`{}`", cell(&form))
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let shows = argument.get_action().takes_values() && !defaults.is_empty();
    let default = if shows { format!(" [default: {}]", defaults.join(", ")) } else { String::new() };
    let environment = argument.get_env().map(|name| format!(" [`{}`]", name.to_string_lossy())).unwrap_or_default();
    cell(&format!("{help}{default}{environment}"))
}

/// What stands in a cell of a table has no bars of its own.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_command_line_says() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/agent-cli.md");
        let page = std::fs::read_to_string(place).unwrap_or_default();
        let says = "docs/agent-cli.md is not what the program says; run: cargo run -p outpost-agent --example cli > docs/agent-cli.md";
        assert!(page == text(), "{says}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }
}
