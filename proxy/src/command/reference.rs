//! `docs/cli.md`, made from the command line.

use clap::{Arg, Command};

use super::{EXIT_CODES, program};

const HEAD: &str = "# The command line

Made from the program by `cargo run -p outpost-proxy --example cli > docs/cli.md`; a test compares. `outpost-proxy COMMAND --help` says the same.

`outpost-proxy` without a command is the server. The commands ask the admin interface of one that runs, which they find at `--admin`, else as the
environment (`OUTPOST__ADMIN`) and the configuration say: that of `--config`, or else `/etc/outpost/proxy.toml`. They print tables for people and, with
`--json`, what the admin interface says, for scripts; a list is one JSON object per line. Output that goes elsewhere than to a terminal has no colours and no bars.

Completions: `source <(outpost-proxy completions bash)`, or for zsh, fish, elvish and powershell. Manual pages: `outpost-proxy manual DIR`.
";

/// What `client` adds to each command that asks a proxy.
const SHARED: [&str; 5] = ["json", "timeout", "admin", "config", "token-file"];

const SHARED_HEADING: &str = "Every command that asks a proxy";

/// The page.
pub fn text() -> String {
    let mut program = program();
    program.build();
    let mut text = String::from(HEAD);
    text.push_str("\n## Exit codes\n\n| code | meaning |\n| ---: | --- |\n");
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("| {code} | {meaning} |\n"));
    }
    text.push_str("\n## The commands\n\n| command | what it does |\n| --- | --- |\n");
    for command in program.get_subcommands() {
        text.push_str(&format!("| [`{0}`](#outpost-proxy-{0}) | {1} |\n", command.get_name(), about(command)));
    }
    if let Some(asks) = program.get_subcommands().find(|command| asks(command)) {
        text.push_str(&format!("\n## {SHARED_HEADING}\n"));
        text.push_str(&arguments(asks, |name| SHARED.contains(&name)));
    }
    for command in program.get_subcommands() {
        let asks = asks(command);
        text.push_str(&heading(command, &format!("outpost-proxy {}", command.get_name())));
        text.push_str(&arguments(command, |name| !(asks && SHARED.contains(&name))));
        if asks {
            text.push_str("\nAnd those of [every command that asks a proxy](#every-command-that-asks-a-proxy).\n");
        }
    }
    text.push_str(&heading(&program, "outpost-proxy"));
    text.push_str(&arguments(&program, |_| true));
    text
}

/// Whether it asks a proxy, and so has what `client` adds.
fn asks(command: &Command) -> bool {
    SHARED.iter().all(|name| command.get_arguments().any(|argument| argument.get_id() == name))
}

fn heading(command: &Command, name: &str) -> String {
    format!("\n## `{name}`\n\n{}.\n", about(command).trim_end_matches('.'))
}

/// A table of those whose names are wanted.
fn arguments(command: &Command, wanted: impl Fn(&str) -> bool) -> String {
    let shown = command.get_arguments().filter(|argument| {
        let name = argument.get_id().as_str();
        !argument.is_hide_set() && !["help", "version"].contains(&name) && wanted(name)
    });
    let lines: Vec<_> = shown.map(|argument| format!("| {} | {} |\n", form(argument), meaning(argument))).collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n| argument | meaning |\n| --- | --- |\n{}", lines.concat())
    }
}

fn about(command: &Command) -> String {
    command.get_about().map(|about| cell(&about.to_string())).unwrap_or_default()
}

/// As it is written.
fn form(argument: &Arg) -> String {
    let names: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes = argument.get_action().takes_values();
    let value = if takes { names.join(" ") } else { String::new() };
    let flags =
        [argument.get_short().map(|letter| format!("-{letter}")), argument.get_long().map(|name| format!("--{name}"))];
    let flags: Vec<_> = flags.into_iter().flatten().collect();
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
    let words: Vec<_> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let words = if words.is_empty() || !argument.get_action().takes_values() {
        String::new()
    } else {
        format!(" [one of: {}]", words.join(", "))
    };
    cell(&format!("{help}{words}{default}"))
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
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap_or_default();
        let says =
            "docs/cli.md is not what the program says; run: cargo run -p outpost-proxy --example cli > docs/cli.md";
        assert!(page == text(), "{says}");
    }
}
