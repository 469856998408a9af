//! `docs/config.md`, made from the table.

use cache::options::{Location, UpstreamOptions};
use serve::tls::Pair;

use crate::{
    layers::variable_of,
    option::Applies,
    settings::Settings,
    table::{CERTIFICATE, SETTINGS, Setting, UPSTREAM},
};

const OPENING: &str = "# Configuration reference

Made from the table in `config/src/table/`; do not edit. Make it anew with

```
cargo run -p outpost-config --example reference > docs/config.md
```

Values come from, the later wins: the defaults, the file of `--config FILE` (TOML; `config/proxy.toml` is an annotated example), the environment
(`OUTPOST__SECTION__KEY`, for instance `OUTPOST__CACHE__MAX_SIZE=200GB`), flags. Unknown keys and variables are refused. `--check-config` reads and
checks all of it and ends with 0, or with 78 and what is wrong; `--print-config` shows the effective values and where each came from.

- **Sizes**: bytes as a number, or `\"200GB\"` (thousands), `\"10GiB\"` (1024s). Limits of the cache also as `\"30%\"` of its disk.
- **Durations**: seconds as a number, or `\"90s\"`, `\"1h30m\"`, `\"250ms\"`, `\"7d\"`.
- **Applies** tells when a changed value takes effect: with a *reload* (SIGHUP), or with the next *restart*.
- `--upstream DIR_OR_URL` (or `OUTPOST__UPSTREAM`) is one upstream named `default`, mounted at `/`, in place of all `[[upstream]]`s of the file.
";

/// The whole page.
pub fn markdown() -> String {
    let mut text = OPENING.to_owned();
    text.push_str(&sections(SETTINGS, &Settings::default()));
    text.push_str("\n## `[[certificate]]`\n\nOnce for each further certificate. `file` and `key` must be given.\n");
    for row in CERTIFICATE {
        text.push_str(&entry(row, &Pair::default(), None));
    }
    text.push_str("\n## `[[upstream]]`\n\nOnce for each upstream. `url` and `name` must be given.\n");
    let upstream = UpstreamOptions::new("", "/", Location::Directory("/".into()));
    for row in UPSTREAM {
        text.push_str(&entry(row, &upstream, None));
    }
    text
}

/// What stands outside of blocks.
pub(crate) fn sections<T>(rows: &[Setting<T>], defaults: &T) -> String {
    let mut text = String::new();
    let mut section = None;
    for (place, row) in rows.iter().enumerate() {
        let own = row.key.split_once('.').map(|(section, _)| section);
        if section != own || place == 0 {
            section = own;
            text.push_str(&match own {
                None => "\n## At the top of the file\n".to_owned(),
                Some(name) => format!("\n## `[{name}]`\n"),
            });
        }
        text.push_str(&entry(row, defaults, Some(variable_of(row.key))));
    }
    text
}

/// One option.
pub(crate) fn entry<T>(row: &Setting<T>, defaults: &T, variable: Option<String>) -> String {
    let (kind, range) = row.type_and_range();
    let default = row.default_note.map_or_else(|| format!("`{}`", row.show(defaults)), str::to_owned);
    let applies = match row.applies {
        Applies::Reload => "reload",
        Applies::Restart => "restart",
    };
    let flag = row.flag.map(|flag| format!("`--{flag}`"));
    let variable = variable.map(|name| format!("`{name}`"));
    let also: Vec<_> = [flag, variable].into_iter().flatten().collect();
    let mut text = format!("\n### `{}`\n\n{} {}\n\n", row.key, row.what, row.consequence);
    text.push_str("| type | range | default | applies |\n| --- | --- | --- | --- |\n");
    text.push_str(&format!("| {kind} | {range} | {default} | {applies} |\n"));
    if !also.is_empty() {
        text.push_str(&format!("\nAlso: {}\n", also.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_the_generated_one() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md")).unwrap_or_default();
        assert!(
            page == super::markdown(),
            "docs/config.md is not what the table says; run: cargo run -p outpost-config --example reference > docs/config.md"
        );
    }
}
