//! `docs/origin-config.md`, made from the tables.

use super::{
    blocks::{DOMAIN, JOB, NODE, SHARE},
    settings::{DomainOptions, JobOptions, NodeOptions, Settings, ShareOptions},
    table::SETTINGS,
};
use crate::{
    layers::Origin,
    option::Setting,
    print,
    reference::{entry, sections},
};

const OPENING: &str = "# Configuration reference of the origin

Made from the tables in `config/src/origin/`; do not edit. Make it anew with

```
cargo run -p outpost-config --example reference -- origin > docs/origin-config.md
```

Values come from, the later wins: the defaults, the file of `--config FILE` (TOML; `config/origin.toml` is an annotated example), the environment
(`OUTPOST__SECTION__KEY`, for instance `OUTPOST__SOURCES__EXPIRY=1h`), flags. Unknown keys and variables are refused. `--check-config` reads and
checks all of it and ends with 0, or with 78 and what is wrong; so does `outpost-origin check-config`.

- **Sizes** and **durations** are written as in [config.md](config.md).
- **Applies** tells when a changed value takes effect: with a *reload* (SIGHUP), or with the next *restart*.
- `--share DIR` is `catalogue.directory`.
- `--no-watch` is `catalogue.watch = false`.
";

const DELIVERED: &str = "
### `[domain.proxy]`, `[domain.agent]`

What proxies and agents of the domain are given: options by their names in the program's own configuration, such as `mode` or `serve.max_requesters`. They stand above that
program's file, and below its environment and its flags. Subdomains inherit each of them unless they say otherwise. A proxy can be given whatever takes effect with
a reload and names no file; other keys are refused, and so are values that the proxy would refuse. Changed here and read again by SIGHUP, they are
told at once to those whom they concern. Agents likewise; what they cannot use they say in their reports.
";

const DELIVERED_TO_NODES: &str = "
### `[node.proxy]`, `[node.agent]`

What this machine is given, as a proxy or as an agent. Each option goes before what its domain says.
";

/// The whole page.
pub fn markdown() -> String {
    let mut text = OPENING.to_owned();
    text.push_str(&sections(SETTINGS, &Settings::default()));
    text.push_str("\n## `[[share]]`\n\nOnce for each management point: a folder of what is published, with a catalogue of its own. `name` and `path` must be given.\n");
    text.push_str(&entries(SHARE, &ShareOptions::default()));
    text.push_str("\n## `[[domain]]`\n\nOnce for each domain of the tree. `name` must be given. Who stands beside whom is asked in the order of the file.\n");
    text.push_str(&entries(DOMAIN, &DomainOptions::default()));
    text.push_str(DELIVERED);
    text.push_str("\n## `[[node]]`\n\nOnce for each machine with options of its own. `name` must be given.\n");
    text.push_str(&entries(NODE, &NodeOptions::default()));
    text.push_str(DELIVERED_TO_NODES);
    text.push_str("\n## `[[job]]`\n\nOnce for each package that agents keep: see [agent.md](agent.md#jobs). `name` and `package` must be given, and whose it is by `domains` or `nodes`.\n");
    text.push_str(&entries(JOB, &JobOptions::default()));
    text
}

fn entries<T>(rows: &[Setting<T>], defaults: &T) -> String {
    rows.iter().map(|row| entry(row, defaults, None)).collect()
}

/// The effective configuration as TOML that can be read back, with a note where each value came from.
pub fn effective(loaded: &super::Loaded) -> String {
    let settings = &loaded.settings;
    let mut text = print::sections(SETTINGS, loaded);
    for (place, share) in settings.shares.iter().enumerate() {
        text.push_str(&block("share", SHARE, share, |key| loaded.origin(&format!("share[{place}].{key}"))));
    }
    for (place, domain) in settings.domains.iter().enumerate() {
        text.push_str(&block("domain", DOMAIN, domain, |key| loaded.origin(&format!("domain[{place}].{key}"))));
        text.push_str(&given("domain.proxy", &domain.proxy));
        text.push_str(&given("domain.agent", &domain.agent));
    }
    for (place, node) in settings.nodes.iter().enumerate() {
        text.push_str(&block("node", NODE, node, |key| loaded.origin(&format!("node[{place}].{key}"))));
        text.push_str(&given("node.proxy", &node.proxy));
        text.push_str(&given("node.agent", &node.agent));
    }
    for (place, job) in settings.jobs.iter().enumerate() {
        text.push_str(&block("job", JOB, job, |key| loaded.origin(&format!("job[{place}].{key}"))));
    }
    text
}

fn block<T>(name: &str, rows: &'static [Setting<T>], values: &T, origin: impl Fn(&str) -> Origin) -> String {
    let lines: String = rows.iter().map(|row| print::line(row.key, row, values, &origin(row.key))).collect();
    format!("\n[[{name}]]\n{lines}")
}

/// JSON of texts, numbers, truths and lists of them is TOML too; tables are not, and are written as inline tables.
fn given(name: &str, options: &super::settings::Delivered) -> String {
    if options.is_empty() {
        return String::new();
    }
    let lines: String = options.iter().map(|(key, value)| format!("{key} = {}\n", toml_of(value))).collect();
    format!("\n[{name}]\n{lines}")
}

fn toml_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        serde_json::Value::Object(entries) => {
            let entries =
                entries.iter().map(|(key, value)| format!("{} = {}", crate::value::quoted(key), toml_of(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::String(text) => crate::value::quoted(text),
        other => other.to_string(),
    }
}
