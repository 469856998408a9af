//! The command line's part of the table.

use clap::{ArgMatches, Command};

use super::{settings::Settings, table::SETTINGS};
use crate::{flags, layers::Said};

/// Adds the flags to a program's own.
pub fn arguments(command: Command) -> Command {
    flags::rows(command, SETTINGS, &Settings::default())
}

/// What the command line said.
pub fn said(matches: &ArgMatches) -> Vec<Said> {
    flags::said_of(matches, SETTINGS, None)
}
