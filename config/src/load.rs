//! The configuration of a proxy, from its layers.

use std::path::{Path, PathBuf};

use cache::options::{Location, UpstreamOptions};
use serve::tls::Pair;
use toml::de::DeTable;

use crate::{
    check,
    fault::Refused,
    inherit,
    layers::{Blocks, Layers, Origins, Schema, Whole, in_file_order},
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
}

impl<T> Loaded<T> {
    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
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
    whole: Whole { name: "upstream", put: only_upstream, key: "upstream[0].url" },
    page: "docs/config.md",
    example: "config/proxy.toml",
    shown,
};

/// Puts the layers together and checks the whole.
pub fn load(sources: &Sources) -> Result<Loaded, Refused> {
    let mut layers = Layers::read(sources, &PROXY, None);
    if !layers.faults.is_empty() {
        // A value that could not be read would only bring complaints about its default.
        return Err(Refused { faults: layers.faults });
    }
    let base = &sources.working_directory;
    layers.settings.store.dir = absolute(&layers.settings.store.dir, base);
    layers.settings.self_signed_dir = absolute(&layers.settings.self_signed_dir, base);
    inherit::fill_in(&mut layers.settings, |key| layers.origins.contains_key(key));
    for complaint in check::complaints(&layers.settings) {
        layers.complain(complaint);
    }
    let Layers { settings, origins, faults, .. } = layers;
    if faults.is_empty() { Ok(Loaded { settings, origins }) } else { Err(Refused { faults }) }
}

/// The options of these keys alone, for who only wants to know where a proxy is: whatever else is wrong is the proxy's affair.
pub fn only(sources: &Sources, keys: &[&str]) -> Result<Loaded, Refused> {
    let Layers { settings, origins, faults, .. } = Layers::read(sources, &PROXY, Some(keys));
    if faults.is_empty() { Ok(Loaded { settings, origins }) } else { Err(Refused { faults }) }
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
