//! The command line's part of the table: the flags for the common few options.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::{layers::Said, option::Setting, settings::Settings, table::SETTINGS};

/// The flag that stands for a whole upstream.
const UPSTREAM: &str = "upstream";

/// Adds the flags to a program's own.
pub fn arguments(command: Command) -> Command {
    let upstream = Arg::new(UPSTREAM)
        .long(UPSTREAM)
        .value_name("DIR_OR_URL")
        .help("What is served: a directory, http(s)://HOST/ or outpost+http(s)://HOST/. In place of the [[upstream]]s of the file");
    rows(command.arg(upstream), SETTINGS, &Settings::default())
}

/// Adds those of a table.
pub(crate) fn rows<T>(command: Command, rows: &'static [Setting<T>], defaults: &T) -> Command {
    command.args(rows.iter().filter_map(|row| argument(row, defaults)))
}

/// The command `check-config` of a program that reads this file where none is named. Its options of the server are the program's own.
pub fn check_config(usual_file: &str) -> Command {
    Command::new("check-config")
        .about("Reads and checks a configuration as a start would, and ends with 0, or with 78 and all that is wrong")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help(format!("The configuration [default: {usual_file}, if it is there]")),
        )
        .arg(
            Arg::new("effective")
                .long("effective")
                .action(ArgAction::SetTrue)
                .help("Prints what holds in the end, and where each value came from"),
        )
}

/// The flag by which a command that asks a running program finds it.
pub fn config_of_it(usual_file: &str) -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("Its configuration, to find it by [default: {usual_file}, if it is there]"))
}

fn argument<T>(row: &'static Setting<T>, defaults: &T) -> Option<Arg> {
    let flag = row.flag?;
    let default = row.show(defaults).replace(['"', '[', ']'], "");
    let default = if default.is_empty() { "none".into() } else { default };
    let words = row.words().map(|words| format!(" [one of: {}]", words.join(", "))).unwrap_or_default();
    let action = if row.is_list() { ArgAction::Append } else { ArgAction::Set };
    let help = format!("{}{words} [default: {default}]", row.what.replace('`', ""));
    Some(Arg::new(row.key).long(flag).value_name(row.value_name()).action(action).help(help))
}

/// What the command line said.
pub fn said(matches: &ArgMatches) -> Vec<Said> {
    said_of(matches, SETTINGS, Some(UPSTREAM))
}

/// Of the flags of a table, and the one that stands for whole blocks.
pub(crate) fn said_of<T>(matches: &ArgMatches, rows: &'static [Setting<T>], whole: Option<&'static str>) -> Vec<Said> {
    let flags = rows.iter().filter_map(|row| Some((row.key, row.flag?)));
    flags
        .chain(whole.map(|whole| (whole, whole)))
        .filter_map(|(key, flag)| {
            let values: Vec<String> = matches.get_many::<String>(key)?.cloned().collect();
            Some(Said { key, flag: format!("--{flag}"), value: values.join(",") })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_was_written() {
        let matches = arguments(Command::new("x")).get_matches_from([
            "x",
            "--upstream",
            "/srv",
            "--listen",
            "127.0.0.1:1",
            "--listen",
            "127.0.0.1:2",
            "--max-size",
            "30%",
        ]);
        let said: Vec<_> = said(&matches).into_iter().map(|said| (said.key, said.flag, said.value)).collect();
        assert_eq!(
            said,
            [
                ("listen", "--listen".into(), "127.0.0.1:1,127.0.0.1:2".into()),
                ("cache.max_size", "--max-size".into(), "30%".into()),
                ("upstream", "--upstream".into(), "/srv".to_owned()),
            ]
        );
    }

    #[test]
    fn the_command_line_is_consistent() {
        arguments(Command::new("x")).debug_assert();
    }
}
