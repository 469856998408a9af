//! `outpost-proxy completions SHELL`: what a shell needs to complete our command line.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::{Shell, generate};

use super::{Subcommand, output, program};
use crate::failure::Failure;

/// The entry in the registry.
pub(super) const COMPLETIONS: Subcommand = Subcommand { define, run };

fn define() -> Command {
    Command::new("completions")
        .about("Prints the completions for a shell: source <(outpost-proxy completions bash)")
        .arg(
            Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("Which shell"),
        )
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(shell) = matches.get_one::<Shell>("shell").copied() else { return Ok(()) };
    output::print(&String::from_utf8_lossy(&script(shell)))
}

fn script(shell: Shell) -> Vec<u8> {
    let (mut script, mut program) = (Vec::new(), program());
    let name = program.get_name().to_owned();
    generate(shell, &mut program, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for name in program().get_subcommands().map(Command::get_name) {
                assert!(script.contains(name), "{shell} is not told of {name}");
            }
        }
    }
}
