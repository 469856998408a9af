//! What an origin gives proxies and agents: options by their names in the program's own configuration, as `[domain.proxy]`, `[domain.agent]`, and those of
//! `[[node]]`. They are checked when the origin reads them, so that a mistake is told to who makes it, and not found out in a branch.

use std::path::Path;

use cache::options::{Location, UpstreamOptions};
use protocol::enrolment::Role;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::settings::{Delivered, Settings};
use crate::{
    delivered::of_upstream,
    layers::{Layers, Origin, in_file_order},
    load::{PROXY, option_of_upstream},
    raw::Raw,
    settings,
};

/// Options of one place; a proxy has fewer.
const OPTIONS_MAX: usize = 256;

/// The keys under which they stand in a block, and whose they are.
pub(super) const KEYS: [(&str, Role); 2] = [("proxy", Role::Proxy), ("agent", Role::Agent)];

/// Whether an option may be delivered with this value; else why not, and what to do.
pub fn check(role: Role, key: &str, value: &Value) -> Result<(), (String, Option<String>)> {
    check_raw(role, key, &Raw::from_json(value))
}

fn check_raw(role: Role, key: &str, raw: &Raw) -> Result<(), (String, Option<String>)> {
    match role {
        Role::Proxy => check_proxy(key, raw),
        Role::Agent => check_agent(key, raw),
    }
}

fn check_proxy(key: &str, raw: &Raw) -> Result<(), (String, Option<String>)> {
    let of_value = |message: String| (format!("{key}: {message}"), None);
    if let Some((_, last)) = of_upstream(key) {
        let row = option_of_upstream(last).map_err(|message| (message, None))?;
        let mut upstream = UpstreamOptions::new("", "/", Location::Directory("/".into()));
        return row.put(&mut upstream, raw, Path::new("/")).map_err(of_value);
    }
    let row = PROXY.find(key).ok_or_else(|| PROXY.unknown(key))?;
    if !row.is_deliverable() {
        let help = "it is taken with a start only, or names a file of the machine: write it in that proxy's own file";
        return Err((format!("{key} cannot be delivered"), Some(help.into())));
    }
    row.put(&mut settings::Settings::default(), raw, Path::new("/")).map_err(of_value)
}

/// An agent knows its own options; here it is seen to that they are names with plain values.
fn check_agent(key: &str, raw: &Raw) -> Result<(), (String, Option<String>)> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !key.split('.').all(is_word) {
        let help = "write it as the agent's configuration has it, such as cache.max_size";
        return Err((format!("'{key}' is not the name of an option"), Some(help.into())));
    }
    let is_plain = !matches!(raw, Raw::Table(_)) && raw.to_json().is_some();
    if is_plain { Ok(()) } else { Err((format!("{key}: {} cannot be delivered", raw.describe()), None)) }
}

/// Reads what stands under one of [`KEYS`]. `block` is what its entries are remembered by.
pub(super) fn read(
    layers: &mut Layers<'_, Settings>,
    delivered: &mut Delivered,
    role: Role,
    block: &str,
    value: &toml::Spanned<DeValue<'_>>,
) {
    let DeValue::Table(table) = value.get_ref() else {
        let message = "what is delivered is a table of options".to_owned();
        let help = Some("write its options below [domain.proxy], such as mode = \"preload\"".into());
        return layers.fault_at(message, "not a table", value.span(), help);
    };
    section(layers, delivered, role, block, "", table);
    if delivered.len() > OPTIONS_MAX {
        let message = format!("there are {} options here, and {OPTIONS_MAX} are possible", delivered.len());
        layers.fault_at(message, "too many", value.span(), None);
    }
}

/// A table within is a section: `serve.max_requesters` may be written in either way. An option never has a table for its value.
fn section(
    layers: &mut Layers<'_, Settings>,
    delivered: &mut Delivered,
    role: Role,
    block: &str,
    prefix: &str,
    table: &DeTable<'_>,
) {
    for (key, value) in in_file_order(table) {
        let name = format!("{prefix}{}", key.get_ref());
        if let DeValue::Table(table) = value.get_ref() {
            section(layers, delivered, role, block, &format!("{name}."), table);
            continue;
        }
        let raw = Raw::from_toml(value.get_ref());
        match check_raw(role, &name, &raw) {
            Ok(()) => {
                layers.origins.insert(format!("{block}.{name}"), Origin::File(value.span()));
                delivered.extend(raw.to_json().map(|value| (name, value)));
            }
            // What is said of a key begins with it only where its value is to blame.
            Err((message, help)) if message.starts_with(&format!("{name}: ")) => {
                layers.fault_at(message, "this value", value.span(), help);
            }
            Err((message, help)) => layers.fault_at(message, "this key", key.span(), help),
        }
    }
}
