//! `outpost-proxy check-config`: whether a configuration can be used, before it is. Asks no proxy: it looks at what a start would look at.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use config::{Fault, Loaded, Refused, flags, load::ConfigFile};
use serde_json::{Value, json};

use super::{Subcommand, output, place::USUAL_FILE};
use crate::{arguments, failure::Failure, preflight};

/// The entry in the registry.
pub(super) const CHECK_CONFIG: Subcommand = Subcommand { define, run };

fn define() -> Command {
    let command = flags::check_config(USUAL_FILE)
        .mut_arg("effective", |effective| effective.conflicts_with("json"))
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Prints JSON, for scripts: file, good, and faults with message, help, file, line"),
        )
        .next_help_heading("As the server has them");
    flags::arguments(command)
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let path = matches.get_one::<PathBuf>("file").cloned();
    let path = path.or_else(|| Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists()));
    let judged = judge(path.as_deref(), matches);
    if matches.get_flag("json") {
        output::print(&format!("{:#}\n", report(path.as_deref(), judged.as_ref().err())))?;
    }
    let loaded = judged?;
    if matches.get_flag("effective") {
        output::print(&config::print::effective(&loaded))?;
    } else if !matches.get_flag("json") {
        let whose = path.map_or_else(|| "the configuration".into(), |path| path.display().to_string());
        output::print(&format!("{whose} is good\n"))?;
    }
    Ok(())
}

fn judge(path: Option<&Path>, matches: &ArgMatches) -> Result<Loaded, Refused> {
    let file = path.map(ConfigFile::read).transpose()?;
    let loaded = config::load(&arguments::sources(file, flags::said(matches)))?;
    preflight::all(&loaded.settings)?;
    Ok(loaded)
}

fn report(path: Option<&Path>, refused: Option<&Refused>) -> Value {
    let faults = refused.map(|refused| refused.faults.as_slice()).unwrap_or_default();
    let fault = |fault: &Fault| {
        let place = fault.place();
        json!({
            "message": fault.message,
            "help": fault.help,
            "file": place.map(|(file, _)| file),
            "line": place.map(|(_, line)| line),
        })
    };
    json!({ "file": path, "good": refused.is_none(), "faults": faults.iter().map(fault).collect::<Vec<_>>() })
}
