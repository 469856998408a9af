//! `outpost-agent run`: the service.

use std::{
    ffi::OsString,
    io::{IsTerminal, Write},
    path::PathBuf,
};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use config::{
    ConfigFile, Refused, Said, Sources,
    agent::{self, flags},
};
use tokio::runtime::Builder;

use super::ending::Ending;
use crate::service::{begin::Begun, life::Service};

/// The arguments of `run`: the common few options have flags, made from their table.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    file: Option<PathBuf>,
    said: Vec<Said>,
    check: bool,
    print: bool,
}

impl Args for Arguments {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config").long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
        let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        let command = command
            .arg(file.help(
                "Configuration in TOML; the environment (OUTPOST__SECTION__KEY) overrules it, and flags overrule both",
            ))
            .arg(switch("check-config").help("Reads and checks the configuration, then ends with 0 or 78"))
            .arg(
                switch("print-config")
                    .help("Prints the effective configuration and where each value came from, then ends"),
            );
        flags::arguments(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Arguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            said: flags::said(matches),
            check: matches.get_flag("check-config"),
            print: matches.get_flag("print-config"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Arguments {
    /// File and environment as they are now, under these flags. Called again for a reload.
    fn sources(&self) -> Result<Sources, Refused> {
        let unicode = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Ok(Sources {
            file: self.file.as_deref().map(ConfigFile::read).transpose()?,
            environment: std::env::vars_os().filter_map(unicode).collect(),
            flags: self.said.clone(),
            working_directory: std::env::current_dir().unwrap_or_else(|_| "/".into()),
            ..Sources::default()
        })
    }
}

/// Runs until it is told to end.
pub(super) fn run(arguments: &Arguments) -> Result<(), Ending> {
    let begun = arguments.sources().and_then(Begun::load).map_err(|refused| {
        let shown = refused.render(std::io::stderr().is_terminal());
        Ending::Configuration(format!("cannot use this configuration:\n{shown}"))
    })?;
    if arguments.print {
        print(&agent::reference::effective(&begun.loaded));
        return Ok(());
    }
    if arguments.check {
        print("the configuration is good\n");
        return Ok(());
    }
    os::process::raise_open_files();
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(4).enable_all().build();
    let runtime = runtime.map_err(|error| Ending::Failed(format!("cannot start: {error}")))?;
    let service = {
        // Servers and timers of the store are made within the runtime.
        let _entered = runtime.enter();
        Service::start(begun, runtime.handle()).map_err(Ending::Failed)?
    };
    print(&format!("{}\n", service.describe()));
    let ended = runtime.block_on(service.until_ended(|| arguments.sources()));
    runtime.shutdown_background();
    ended.map_err(|error| Ending::Failed(format!("cannot listen for signals: {error}")))
}

/// Whoever closed the pipe has read enough.
fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}
