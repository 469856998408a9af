//! The command line's part of the origin's table: the flags for the common few options.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{settings::Settings, table::SETTINGS};
use crate::{flags, layers::Said};

/// A flag without a value, from before there was a file.
const NO_WATCH: &str = "no-watch";

/// Adds the flags to a program's own.
pub fn arguments(command: Command) -> Command {
    let no_watch = Arg::new(NO_WATCH)
        .long(NO_WATCH)
        .action(ArgAction::SetTrue)
        .help("Does not ask the kernel for changes (inotify); only the rescan finds them");
    flags::rows(command, SETTINGS, &Settings::default()).arg(no_watch)
}

/// What the command line said.
pub fn said(matches: &ArgMatches) -> Vec<Said> {
    let mut said = flags::said_of(matches, SETTINGS, None);
    if matches.get_flag(NO_WATCH) {
        said.push(Said { key: "catalogue.watch", flag: format!("--{NO_WATCH}"), value: "false".into() });
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layers::Sources, origin::load};

    #[test]
    fn the_flags_of_before_there_was_a_file_are_options() {
        let line = [
            "x",
            "--share",
            "/srv/share",
            "--listen",
            "127.0.0.1:1",
            "--listen",
            "127.0.0.1:2",
            "--admin",
            "127.0.0.1:3",
            "--database",
            "/o.db",
            "--access-log",
            "-",
            "--access-log-format",
            "json",
            "--rescan",
            "1m",
            "--settle",
            "0s",
            "--no-watch",
            "--drain-timeout",
            "5s",
        ];
        let command = arguments(Command::new("x"));
        command.clone().debug_assert();
        let flags = said(&command.get_matches_from(line));
        let loaded = load(&Sources { flags, working_directory: "/etc/outpost".into(), ..Sources::default() }).unwrap();
        let settings = loaded.settings;
        assert_eq!(settings.directory.to_str(), Some("/srv/share"));
        assert_eq!((settings.serve.listen.len(), settings.watch), (2, false));
        assert_eq!((settings.rescan.as_secs(), settings.settle.as_secs()), (60, 0));
        assert_eq!(settings.registry.database.to_str(), Some("/etc/outpost/outpost-registry.db"));
    }
}
