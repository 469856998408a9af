//! The command line of who runs a proxy: what asks the admin interface of one that runs, and what needs none.
//!
//! | file | what it is |
//! | --- | --- |
//! | here | the registry: each subcommand has one file, and one entry in [`ALL`] |
//! | `client` | asks the admin interface; `place` is where it is |
//! | `what` | a path or a digest, as people write it |
//! | `table`, `live`, `output` | what output looks like, the line that is written over and over, standard output itself |
//! | `job` | what `import` and `export` have in common |
//! | `belonging` | what `status` shows of an origin |
//! | `check_config` | asks nobody |
//! | `completions`, `manual`, `reference` | the command line told to shells, to `man`, and in `docs/cli.md` |
//! | `status` and the others | a subcommand each: what its command line is, what it asks, and how the answer is shown |
//!
//! A subcommand shows a person tables and a script, with `--json`, what the admin interface said; its exit code is one of
//! [`EXIT_CODES`]. Without a subcommand the program is the server.

mod belonging;
mod catalogue;
mod check_config;
mod client;
mod completions;
mod drain;
mod export;
mod health;
mod import;
mod job;
mod live;
mod manual;
mod objects;
mod output;
mod place;
mod preload;
mod purge;
pub(crate) mod reference;
mod scrub;
mod status;
mod table;
mod what;
mod why;

use clap::{ArgMatches, Command};

use crate::{
    arguments::{self, Arguments},
    failure::{self, Failure},
};

/// What each exit code means, for help and manual. 2 comes from clap.
const EXIT_CODES: [(u8, &str); 7] = [
    (0, "done; of the server: told to end"),
    (failure::RUN_TIME, "failed or refused; of the server: cannot start"),
    (2, "wrong command line"),
    (failure::NOT_HERE, "not here, or nothing found"),
    (failure::UNAVAILABLE, "no proxy answers at the admin address"),
    (failure::NOT_ALLOWED, "not allowed: a token is missing or wrong, or the socket may not be opened"),
    (failure::CONFIGURATION, "wrong configuration"),
];

/// One of them.
pub(crate) struct Subcommand {
    /// Its part of the command line; what it is called stands there.
    define: fn() -> Command,
    run: fn(&ArgMatches) -> Result<(), Failure>,
}

/// In the order of the help.
static ALL: &[Subcommand] = &[
    status::STATUS,
    objects::OBJECTS,
    why::WHY,
    preload::PRELOAD,
    purge::PURGE,
    scrub::SCRUB,
    import::IMPORT,
    export::EXPORT,
    catalogue::CATALOGUE,
    drain::DRAIN,
    health::HEALTH,
    check_config::CHECK_CONFIG,
    completions::COMPLETIONS,
    manual::MANUAL,
];

/// What the command line asks for.
pub(crate) enum Asked {
    /// The server.
    Serve(Box<Arguments>),
    /// A subcommand, with its arguments.
    Command(&'static Subcommand, ArgMatches),
}

impl Asked {
    /// Ends the program with 2 if the command line is wrong, with 0 after `--help` and `--version`.
    pub(crate) fn parse() -> Self {
        Self::from_matches(program().get_matches())
    }

    fn from_matches(mut matches: ArgMatches) -> Self {
        let named = matches.remove_subcommand();
        let found = named.and_then(|(name, matches)| {
            let command = ALL.iter().find(|command| (command.define)().get_name() == name)?;
            Some(Self::Command(command, matches))
        });
        found.unwrap_or_else(|| Self::Serve(Box::new(Arguments::from_matches(&matches))))
    }
}

impl Subcommand {
    pub(crate) fn run(&self, matches: &ArgMatches) -> Result<(), Failure> {
        (self.run)(matches)
    }
}

/// The whole command line: help, manual and completions are made from it.
pub(crate) fn program() -> Command {
    let subcommands = ALL.iter().map(|subcommand| (subcommand.define)().after_help(exit_codes()));
    arguments::command()
        .after_help(format!(
            "Simplest use: outpost-proxy --upstream /srv/share\n\
             Without a command it serves. Commands have a help of their own: outpost-proxy status --help\n\
             All options: docs/config.md. Messages and what to do: docs/messages.md.\n\n{}",
            exit_codes()
        ))
        .subcommands(subcommands)
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
}

fn exit_codes() -> String {
    let lines = EXIT_CODES.iter().map(|(code, meaning)| format!("  {code:>2}  {meaning}"));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        program().debug_assert();
    }

    #[test]
    fn without_a_command_it_is_the_server() {
        let of = |line: &[&str]| Asked::from_matches(program().try_get_matches_from(line).unwrap());
        assert!(matches!(of(&["outpost-proxy", "--upstream", "/srv"]), Asked::Serve(_)));
        assert!(matches!(of(&["outpost-proxy", "status", "--json"]), Asked::Command(..)));
        let mixed = program().try_get_matches_from(["outpost-proxy", "--upstream", "/srv", "status"]);
        assert!(mixed.is_err(), "options of the server are not those of a command");
    }
}
