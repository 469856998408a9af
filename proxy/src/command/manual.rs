//! `outpost-proxy manual`: the manual pages for `man`, made from the command line: one of the program, one of each command.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_mangen::Man;

use super::{Subcommand, output, program};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const MANUAL: Subcommand = Subcommand { define, run };

fn define() -> Command {
    Command::new("manual")
        .about("Prints the manual page (outpost-proxy manual | man -l -), or writes those of all commands into a directory")
        .arg(
            Arg::new("directory")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where outpost-proxy.1, outpost-proxy-status.1 and so on are written, such as /usr/share/man/man1"),
        )
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let pages = pages().context("the manual cannot be made")?;
    if let Some(directory) = matches.get_one::<PathBuf>("directory") {
        return Ok(write(directory, &pages)?);
    }
    pages.first().map_or(Ok(()), |(_, page)| output::print(&String::from_utf8_lossy(page)))
}

fn write(directory: &Path, pages: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    for (name, page) in pages {
        let path = directory.join(name);
        std::fs::write(&path, page).with_context(|| format!("cannot write the manual page {}", path.display()))?;
    }
    Ok(())
}

/// The program's own is the first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = program();
    program.build();
    let subcommands: Vec<_> = program.get_subcommands().cloned().collect();
    let mut pages = vec![page("outpost-proxy".into(), program)?];
    for command in subcommands {
        let name = format!("outpost-proxy-{}", command.get_name());
        pages.push(page(name, command)?);
    }
    Ok(pages)
}

fn page(name: String, command: Command) -> io::Result<(String, Vec<u8>)> {
    let mut page = Vec::new();
    Man::new(command).manual("Outpost").render(&mut page)?;
    Ok((format!("{name}.1"), page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_and_the_program_s_names_them() {
        let pages = pages().unwrap();
        let text = |place: usize| String::from_utf8(pages[place].1.clone()).unwrap();
        assert_eq!(pages.len(), program().get_subcommands().count() + 1);
        assert_eq!((pages[0].0.as_str(), pages[1].0.as_str()), ("outpost-proxy.1", "outpost-proxy-status.1"));
        assert!(text(0).contains(r"outpost\-proxy\-status(1)"), "{}", text(0));
        assert!(text(1).contains(r"\-\-json"), "{}", text(1));
    }
}
