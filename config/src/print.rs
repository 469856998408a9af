//! The effective configuration as TOML that can be read back, with a note where each value came from.

use crate::{
    layers::Origin,
    load::Loaded,
    option::{Applies, Setting},
    table::{CERTIFICATE, SETTINGS, UPSTREAM},
};

/// The whole of it.
pub fn effective(loaded: &Loaded) -> String {
    let mut text = sections(SETTINGS, loaded);
    for (place, certificate) in loaded.settings.serve.tls.more.iter().enumerate() {
        text.push_str("\n[[certificate]]\n");
        for row in CERTIFICATE {
            let origin = loaded.origin(&format!("certificate[{place}].{}", row.key));
            text.push_str(&line(row.key, row, certificate, &origin));
        }
    }
    for (place, upstream) in loaded.settings.upstreams().iter().enumerate() {
        text.push_str("\n[[upstream]]\n");
        for row in UPSTREAM {
            let origin = loaded.origin(&format!("upstream[{place}].{}", row.key));
            text.push_str(&line(row.key, row, upstream, &origin));
        }
    }
    text
}

/// What stands outside of blocks.
pub(crate) fn sections<T>(rows: &'static [Setting<T>], loaded: &Loaded<T>) -> String {
    let mut text = String::new();
    let mut section = "";
    for row in rows {
        let name = row.key.split_once('.').map_or(row.key, |(head, last)| {
            if head != section {
                section = head;
                text.push_str(&format!("\n[{head}]\n"));
            }
            last
        });
        text.push_str(&line(name, row, &loaded.settings, &loaded.origin(row.key)));
    }
    text
}

pub(crate) fn line<T>(name: &str, row: &Setting<T>, settings: &T, origin: &Origin) -> String {
    let from = match origin {
        Origin::Default => String::new(),
        Origin::File(_) => "  # file".into(),
        Origin::Delivered(generation) => format!("  # origin, generation {generation}"),
        Origin::Environment(variable) => format!("  # {variable}"),
        Origin::Flag(flag) => format!("  # {flag}"),
    };
    format!("{name} = {}{from}\n", row.show(settings))
}

/// The keys whose values differ and that take effect only with the next start.
pub fn needs_restart(old: &Loaded, new: &Loaded) -> Vec<&'static str> {
    changed_until_restart(SETTINGS, &old.settings, &new.settings)
}

/// Likewise, of any table.
pub(crate) fn changed_until_restart<T>(rows: &'static [Setting<T>], old: &T, new: &T) -> Vec<&'static str> {
    rows.iter()
        .filter(|row| row.applies == Applies::Restart)
        .filter(|row| row.show(old) != row.show(new))
        .map(|row| row.key)
        .collect()
}
