//! The configuration of an agent, from its layers.

use super::{settings::Settings, table::SETTINGS};
use crate::{
    check::{Complaint, complaint, rates},
    fault::Refused,
    layers::{Layers, Schema, Sources},
    print,
    value::absolute,
};

/// A configuration that can be used.
pub type Loaded = crate::load::Loaded<Settings>;

/// What can be written for an agent.
static AGENT: Schema<Settings> = Schema {
    rows: SETTINGS,
    blocks: &[],
    whole: None,
    page: "docs/agent-config.md",
    example: "config/agent.toml",
    shown: |_, key| key.to_owned(),
};

/// Puts the layers together and checks the whole.
pub fn load(sources: &Sources) -> Result<Loaded, Refused> {
    let mut layers = Layers::read(sources, &AGENT, None);
    if !layers.faults.is_empty() {
        return Err(Refused { faults: layers.faults });
    }
    let base = &sources.working_directory;
    let settings = &mut layers.settings;
    for directory in [&mut settings.store.dir, &mut settings.origins.state_dir, &mut settings.jobs.dir] {
        *directory = absolute(directory, base);
    }
    settings.by_its_clocks();
    let complaints = complaints(settings).into_iter().chain(directories(settings)).collect::<Vec<_>>();
    complaints.into_iter().for_each(|complaint| layers.complain(complaint));
    Loaded::of(layers)
}

/// What does not go together.
fn complaints(settings: &Settings) -> Vec<Complaint> {
    let mut complaints = rates("line.rate", "line", &settings.line.rates);
    complaints.extend(rates("peers.rate", "peers", &settings.peers.rates));
    if settings.servers.backoff.max < settings.servers.backoff.first {
        complaints.push(complaint(
            "the longest wait of all is shorter than the first",
            &["servers.backoff_max", "servers.backoff_first"],
            "raise servers.backoff_max",
        ));
    }
    if settings.local.is_some_and(|local| !local.ip().is_loopback()) {
        complaints.push(complaint(
            "programs of other machines could ask the service",
            &["local"],
            "give it an address such as 127.0.0.1:7777",
        ));
    }
    complaints
}

/// Directories that would lie within each other.
fn directories(settings: &Settings) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if settings.origins.state_dir.starts_with(&settings.store.dir) {
        complaints.push(complaint(
            "the cache's directory would hold what it did not put there",
            &["origin.state_dir", "cache.dir"],
            "give origin.state_dir a directory of its own",
        ));
    }
    let within = |one: &std::path::Path, other: &std::path::Path| one.starts_with(other) || other.starts_with(one);
    if within(&settings.jobs.dir, &settings.store.dir) {
        complaints.push(complaint(
            "packages would be kept in the cache's directory, or the cache among them",
            &["jobs.dir", "cache.dir"],
            "give jobs.dir a directory of its own",
        ));
    }
    if settings.origins.state_dir.starts_with(&settings.jobs.dir) {
        complaints.push(complaint(
            "the credential would lie among packages of the origin",
            &["origin.state_dir", "jobs.dir"],
            "give jobs.dir a directory of its own",
        ));
    }
    complaints
}

/// The keys whose values differ and that take effect only with the next start.
pub fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<&'static str> {
    print::changed_until_restart(SETTINGS, &old.settings, &new.settings)
}
