//! The server's command line. What sets an option is in the table of `config`; here is what tells the program what to do.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use config::{
    Refused, Sources, flags,
    load::{ConfigFile, Said},
};

/// What the command line said.
pub(crate) struct Arguments {
    /// Check only.
    pub(crate) check_config: bool,
    /// Print only.
    pub(crate) print_config: bool,
    /// Whether a terminal shows the live line.
    pub(crate) line: bool,
    /// Which events are logged.
    pub(crate) log: String,
    file: Option<PathBuf>,
    flags: Vec<Said>,
}

impl Arguments {
    pub(crate) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            check_config: matches.get_flag("check-config"),
            print_config: matches.get_flag("print-config"),
            line: !matches.get_flag("no-line"),
            log: matches.get_one::<String>("log").cloned().unwrap_or_default(),
            file: matches.get_one::<PathBuf>("config").cloned(),
            flags: flags::said(matches),
        }
    }

    /// File and environment as they are now, under these flags. Called again for a reload.
    pub(crate) fn sources(&self) -> Result<Sources, Refused> {
        let file = self.file.as_deref().map(ConfigFile::read).transpose()?;
        Ok(sources(file, self.flags.clone()))
    }
}

/// What a configuration is made from: the environment and the working directory are as they are now.
pub(crate) fn sources(file: Option<ConfigFile>, flags: Vec<Said>) -> Sources {
    let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    Sources {
        file,
        delivered: None,
        environment: std::env::vars_os().filter_map(unicode).collect(),
        flags,
        working_directory: working_directory(),
    }
}

/// What relative paths are below.
pub(crate) fn working_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| "/".into())
}

/// The server's part of the command line.
pub(crate) fn command() -> Command {
    let program = Command::new("outpost-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Serves an existing share or web server from a cache in this branch: each file comes over the line once.",
        )
        .arg(Arg::new("config").long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(
            "Configuration in TOML; the environment (OUTPOST__SECTION__KEY) overrules it, and flags overrule both",
        ));
    flags::arguments(program)
        .arg(switch("check-config", "Reads and checks the configuration, then ends with 0 or 78"))
        .arg(switch("print-config", "Prints the effective configuration and where each value came from, then ends"))
        .arg(switch("no-line", "Shows no live line on a terminal"))
        .arg(
            Arg::new("log")
                .long("log")
                .env("OUTPOST_LOG")
                .value_name("FILTER")
                .default_value("info")
                .help("Which events are logged: error, warn, info or debug, or per module such as info,cache=debug"),
        )
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_common_few_have_flags() {
        let line = [
            "outpost-proxy",
            "--config",
            "a.toml",
            "--upstream",
            "/srv",
            "--listen",
            "127.0.0.1:1",
            "--admin",
            "127.0.0.1:2",
            "--cache-dir",
            "/c",
            "--max-size",
            "1GB",
            "--min-free",
            "1%",
            "--max-requesters",
            "0",
            "--retry-delay",
            "5s",
            "--mode",
            "fetch",
            "--access-log",
            "-",
            "--access-log-format",
            "json",
            "--check-config",
            "--no-line",
        ];
        let arguments = Arguments::from_matches(&command().get_matches_from(line));
        assert!(arguments.check_config && !arguments.print_config && !arguments.line);
        assert_eq!(arguments.file, Some("a.toml".into()));
        assert_eq!(arguments.flags.len(), 11);
    }
}
