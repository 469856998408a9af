//! The configuration of an origin, from its layers.

use super::{blocks, check, settings::Settings, table::SETTINGS};
use crate::{
    fault::Refused,
    layers::{Blocks, Layers, Schema, Sources},
    print,
    value::absolute,
};

/// Shares that one origin may publish; more are refused.
const SHARES_MAX: usize = 64;
/// Domains of the tree, likewise.
const DOMAINS_MAX: usize = 100_000;
/// Machines with options of their own, likewise.
const NODES_MAX: usize = 100_000;
/// Jobs of all agents together, likewise.
const JOBS_MAX: usize = 1_000;

const ENOUGH: &str = "leave out what is not needed, or run a second origin";

/// A configuration that can be used.
pub type Loaded = crate::load::Loaded<Settings>;

/// What can be written for an origin.
pub(super) static ORIGIN: Schema<Settings> = Schema {
    rows: SETTINGS,
    blocks: &[
        Blocks {
            name: "share",
            many: "shares",
            max: SHARES_MAX,
            beyond: ENOUGH,
            required: &["name", "path"],
            read: blocks::share,
        },
        Blocks {
            name: "domain",
            many: "domains",
            max: DOMAINS_MAX,
            beyond: ENOUGH,
            required: &["name"],
            read: blocks::domain,
        },
        Blocks { name: "node", many: "nodes", max: NODES_MAX, beyond: ENOUGH, required: &["name"], read: blocks::node },
        Blocks {
            name: "job",
            many: "jobs",
            max: JOBS_MAX,
            beyond: ENOUGH,
            required: &["name", "package"],
            read: blocks::job,
        },
    ],
    whole: None,
    page: "docs/origin-config.md",
    example: "config/origin.toml",
    shown,
};

/// Puts the layers together and checks the whole.
pub fn load(sources: &Sources) -> Result<Loaded, Refused> {
    let mut layers = Layers::read(sources, &ORIGIN, None);
    if !layers.faults.is_empty() {
        // A value that could not be read would only bring complaints about its default.
        return Err(Refused { faults: layers.faults });
    }
    let base = &sources.working_directory;
    if !layers.settings.directory.as_os_str().is_empty() {
        layers.settings.directory = absolute(&layers.settings.directory, base);
    }
    layers.settings.database = absolute(&layers.settings.database, base);
    layers.settings.registry.database = absolute(&layers.settings.registry.database, base);
    layers.settings.enrolment.database = absolute(&layers.settings.enrolment.database, base);
    for complaint in check::complaints(&layers.settings) {
        layers.complain(complaint);
    }
    Loaded::of(layers)
}

/// The options of these keys alone, for who only wants to know where an origin is: whatever else is wrong is the origin's affair.
pub fn only(sources: &Sources, keys: &[&str]) -> Result<Loaded, Refused> {
    Loaded::of(Layers::read(sources, &ORIGIN, Some(keys)))
}

/// The keys whose values differ and that take effect only with the next start.
pub fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<&'static str> {
    let shares = (old.settings.shares != new.settings.shares).then_some("[[share]]");
    let rows = print::changed_until_restart(SETTINGS, &old.settings, &new.settings);
    rows.into_iter().chain(shares).collect()
}

/// A key as people know it: blocks are counted only among us.
fn shown(settings: &Settings, key: &str) -> String {
    let Some((block, rest)) = key.split_once('[') else { return key.to_owned() };
    let Some((place, last)) = rest.split_once("].") else { return key.to_owned() };
    let place: usize = place.parse().unwrap_or(usize::MAX);
    let name = match block {
        "share" => settings.shares.get(place).map(|share| share.name.clone()),
        "domain" => settings.domains.get(place).map(|domain| domain.domain.name.to_string()),
        "job" => settings.jobs.get(place).map(|job| job.name.clone()),
        _ => settings.nodes.get(place).map(|node| node.name.clone()),
    };
    name.map_or_else(|| key.to_owned(), |name| format!("{last} of {block} '{name}'"))
}
