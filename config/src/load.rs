//! The configuration of a proxy, from its layers.

use std::path::{Path, PathBuf};

use cache::options::{Location, UpstreamOptions};
use serve::tls::Pair;
use toml::de::DeTable;

use crate::{
    check,
    delivered::{LeftOut, of_upstream},
    fault::Refused,
    inherit,
    layers::{Blocks, Layers, Origins, Schema, Whole, article, in_file_order},
    option::Setting,
    raw::Raw,
    settings::Settings,
    table::{CERTIFICATE, SETTINGS, UPSTREAM},
    value::absolute,
};
pub use crate::{
    fault::ConfigFile,
    layers::{Origin, Said, Sources},
};

/// Upstreams that one configuration may have; more are refused.
pub(crate) const UPSTREAMS_MAX: usize = 256;

/// Certificates besides the one of `[tls]`, likewise.
const CERTIFICATES_MAX: usize = 256;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded<T = Settings> {
    /// The values.
    pub settings: T,
    pub(crate) origins: Origins,
    left_out: Vec<LeftOut>,
    generation: Option<u64>,
}

impl<T> Loaded<T> {
    /// What was read, unless something was wrong with it.
    pub(crate) fn of(layers: Layers<'_, T>) -> Result<Self, Refused> {
        let Layers { sources, settings, origins, left_out, faults, .. } = layers;
        let generation = sources.delivered.as_ref().map(|delivered| delivered.generation);
        if faults.is_empty() { Ok(Self { settings, origins, left_out, generation }) } else { Err(Refused { faults }) }
    }

    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    /// The generation of what was delivered by the origin, if that is among the layers.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// What of it was not taken.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The keys that have their values from the origin; of upstreams as `upstream[0].rate`.
    pub fn delivered(&self) -> impl Iterator<Item = &str> {
        let is_delivered = |origin: &Origin| matches!(origin, Origin::Delivered(_));
        self.origins.iter().filter(move |(_, origin)| is_delivered(origin)).map(|(key, _)| key.as_str())
    }
}

const ENOUGH: &str = "leave out what is not needed, or run a second proxy";

/// What can be written for a proxy.
pub(crate) static PROXY: Schema<Settings> = Schema {
    rows: SETTINGS,
    blocks: &[
        Blocks {
            name: "upstream",
            many: "upstreams",
            max: UPSTREAMS_MAX,
            beyond: ENOUGH,
            required: &["url", "name"],
            read: upstream,
        },
        Blocks {
            name: "certificate",
            many: "certificates",
            max: CERTIFICATES_MAX,
            beyond: ENOUGH,
            required: &["file", "key"],
            read: certificate,
        },
    ],
    whole: Some(Whole { name: "upstream", put: only_upstream, key: "upstream[0].url" }),
    page: "docs/config.md",
    example: "config/proxy.toml",
    shown,
};

/// Puts the layers together and checks the whole.
pub fn load(sources: &Sources) -> Result<Loaded, Refused> {
    let mut layers = Layers::read(sources, &PROXY, None);
    delivered_of_upstreams(&mut layers);
    if !layers.faults.is_empty() {
        // A value that could not be read would only bring complaints about its default.
        return Err(Refused { faults: layers.faults });
    }
    let base = &sources.working_directory;
    layers.settings.store.dir = absolute(&layers.settings.store.dir, base);
    layers.settings.self_signed_dir = absolute(&layers.settings.self_signed_dir, base);
    let state_dir = absolute(&layers.settings.belonging.state_dir, base);
    layers.settings.belonging.state_dir = state_dir;
    inherit::fill_in(&mut layers.settings, |key| layers.origins.contains_key(key));
    for complaint in check::complaints(&layers.settings) {
        layers.complain(complaint);
    }
    Loaded::of(layers)
}

/// The options of these keys alone, for who only wants to know where a proxy is: whatever else is wrong is the proxy's affair.
pub fn only(sources: &Sources, keys: &[&str]) -> Result<Loaded, Refused> {
    Loaded::of(Layers::read(sources, &PROXY, Some(keys)))
}

/// Flags and environment say nothing of a single upstream, but may put another in the place of all: this comes behind them.
fn delivered_of_upstreams(layers: &mut Layers<'_, Settings>) {
    let Some(delivered) = &layers.sources.delivered else { return };
    for (option, value) in &delivered.options {
        let Some((name, key)) = of_upstream(option) else { continue };
        let upstreams = &mut layers.settings.cache.upstreams;
        let place = upstreams.iter().position(|upstream| upstream.name == name);
        let place = place.ok_or_else(|| format!("there is no upstream '{name}' here"));
        match place.and_then(|place| Ok((place, option_of_upstream(key)?))) {
            Ok((place, row)) => {
                let put = row.put(&mut upstreams[place], &Raw::from_json(value), &layers.sources.working_directory);
                layers.note_delivered(format!("upstream[{place}].{key}"), option, put, delivered.generation);
            }
            Err(reason) => layers.left_out.push(LeftOut { option: option.clone(), reason }),
        }
    }
}

/// An option of an upstream that may be delivered, else why not.
pub(crate) fn option_of_upstream(key: &str) -> Result<&'static Setting<UpstreamOptions>, String> {
    let row = UPSTREAM.iter().find(|row| row.key == key);
    let row = row.ok_or_else(|| format!("{} has no key '{key}'", article("upstream")))?;
    row.is_own().map_or(Ok(row), Err)
}

fn certificate(layers: &mut Layers<'_, Settings>, place: usize, table: &DeTable<'_>) {
    let mut pair = Pair::default();
    for entry in in_file_order(table) {
        layers.entry(&mut pair, CERTIFICATE, ("certificate", place), entry);
    }
    layers.settings.serve.tls.more.push(pair);
}

/// The URL is read first, for other defaults follow from the kind of upstream.
fn upstream(layers: &mut Layers<'_, Settings>, place: usize, table: &DeTable<'_>) {
    let mut upstream = UpstreamOptions::new("", "/", Location::Directory(PathBuf::new()));
    let mut entries = in_file_order(table);
    entries.sort_by_key(|(key, _)| key.get_ref() != "url");
    for entry in entries {
        let is_url = entry.0.get_ref() == "url";
        layers.entry(&mut upstream, UPSTREAM, ("upstream", place), entry);
        if is_url {
            upstream = UpstreamOptions::new("", "/", upstream.location);
        }
    }
    layers.settings.cache.upstreams.push(upstream);
}

/// `--upstream` stands for one upstream at `/` in place of all others.
fn only_upstream(settings: &mut Settings, value: &str, base: &Path) -> Result<(), String> {
    let mut upstream = UpstreamOptions::new("default", "/", Location::Directory(PathBuf::new()));
    let url = UPSTREAM.iter().find(|row| row.key == "url").expect("the table of upstream options has a url");
    url.put(&mut upstream, &Raw::Text(value.to_owned()), base)?;
    settings.cache.upstreams = vec![UpstreamOptions::new("default", "/", upstream.location)];
    Ok(())
}

/// A key as people know it: those of upstreams are counted only among us.
fn shown(settings: &Settings, key: &str) -> String {
    let parts = key.strip_prefix("upstream[").and_then(|rest| rest.split_once("]."));
    let upstream = |place: &str| settings.upstreams().get(place.parse::<usize>().ok()?);
    match parts.and_then(|(place, last)| Some((upstream(place)?, last))) {
        Some((upstream, last)) => format!("{last} of upstream '{}'", upstream.name),
        None => key.to_owned(),
    }
}
