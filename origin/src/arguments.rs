//! The server's command line. What sets an option is in the tables of `config`; here is what tells the program what to do.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use config::{
    ConfigFile, Refused, Said, Sources,
    origin::{Loaded, flags, load},
};

const AFTER_HELP: &str = "\
Simplest use: outpost-origin --share /srv/share
All options: docs/origin-config.md. Messages and what to do: docs/messages.md. RUST_LOG=debug logs more, RUST_LOG=warn less.
Exit codes: 0 told to end, 1 cannot start, 2 wrong command line, 78 wrong configuration.";

/// What the command line said.
pub(crate) struct Arguments {
    /// Check only.
    pub(crate) check_config: bool,
    file: Option<PathBuf>,
    flags: Vec<Said>,
}

impl Arguments {
    pub(crate) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            check_config: matches.get_flag("check-config"),
            file: matches.get_one::<PathBuf>("config").cloned(),
            flags: flags::said(matches),
        }
    }

    /// Reads file and environment as they are now, under these flags. Called again for a reload.
    pub(crate) fn load(&self) -> Result<Loaded, Refused> {
        let file = self.file.as_deref().map(ConfigFile::read).transpose()?;
        load(&sources(file, self.flags.clone()))
    }
}

/// What a configuration is made from: the environment and the working directory are as they are now.
pub(crate) fn sources(file: Option<ConfigFile>, flags: Vec<Said>) -> Sources {
    let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    Sources {
        file,
        environment: std::env::vars_os().filter_map(unicode).collect(),
        flags,
        working_directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
        ..Sources::default()
    }
}

/// The server's part of the command line.
pub(crate) fn command() -> Command {
    let program = Command::new("outpost-origin")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Publishes a directory, tells the digests of its files, and knows who is to get them from where")
        .after_help(AFTER_HELP)
        .arg(Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf)).help(
            "Configuration in TOML; the environment (OUTPOST__SECTION__KEY) overrules it, and flags overrule both",
        ));
    flags::arguments(program).arg(
        Arg::new("check-config")
            .long("check-config")
            .action(ArgAction::SetTrue)
            .help("Reads and checks the configuration, then ends with 0 or 78"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_a_configuration() {
        let matches = command().get_matches_from(["outpost-origin", "--share", "/srv/share", "--check-config"]);
        let arguments = Arguments::from_matches(&matches);
        assert!(arguments.check_config);
        assert_eq!(arguments.load().unwrap().settings.directory.to_str(), Some("/srv/share"));
    }
}
