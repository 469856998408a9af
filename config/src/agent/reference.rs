//! `docs/agent-config.md`, made from the table.

use super::{load::Loaded, settings::Settings, table::SETTINGS};
use crate::{print, reference::sections};

const OPENING: &str = "# Configuration reference of the agent

Made from the table in `config/src/agent/`; do not edit. Make it anew with

```
cargo run -p outpost-config --example reference -- agent > docs/agent-config.md
```

For `outpost-agent run`. Values come from, the later wins: the defaults, the file of `--config FILE` (TOML; `config/agent.toml` is an annotated example), the environment
(`OUTPOST__SECTION__KEY`, for instance `OUTPOST__CACHE__MAX_SIZE=20GB`), flags. Unknown keys and variables are refused. `--check-config` reads and
checks all of it and ends with 0, or with 78 and what is wrong; `--print-config` shows the effective values and where each came from.

- **Sizes**, **durations**, **rates** and times of day are written as in [config.md](config.md).
- **Applies** tells when a changed value takes effect: with a *reload* (SIGHUP, or when the origin delivers it), or with the next *restart*.
- An origin that this machine belongs to may deliver options (`[domain.agent]`, `docs/origin.md`): they stand above the file and below environment and flags.
";

/// The whole page.
pub fn markdown() -> String {
    format!("{OPENING}{}", sections(SETTINGS, &Settings::default()))
}

/// The effective configuration as TOML that can be read back, with a note where each value came from.
pub fn effective(loaded: &Loaded) -> String {
    print::sections(SETTINGS, loaded)
}
