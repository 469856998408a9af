//! The options that say what is kept in any case, and what is written down of what was.

use cache::options::HISTORY_CLIENTS_MAX;

use super::Setting;
use crate::{option::Kind, settings::Settings};

pub(super) const fn pin() -> Setting<Settings> {
    Setting::reload(
        "cache.pin",
        "What is never evicted: globs over paths as clients ask for them, mount included. A folder with `/` at its end is a package.",
        "Pinned objects take at most 15 of 16 parts of `max_size`; what does not fit is kept like any other, which a warning, status and metrics tell. What is removed on demand, or changes upstream, goes all the same.",
        Kind::Globs { put: |s, v| s.cache.pin = v, get: |s| s.cache.pin.clone() },
    )
}

pub(super) const fn history_max() -> Setting<Settings> {
    Setting::restart(
        "cache.history_max",
        "Bytes of what is written down of objects' lives, for `outpost-proxy why`: where they came from, who waited, why they went.",
        "`0`: nothing is. At most a 32nd of `max_size`. The oldest goes first, of objects that are gone before those that are here.",
        Kind::Size { min: 0, max: 1 << 40, put: |s, v| s.store.history_max = v, get: |s| s.store.history_max },
    )
}

pub(super) const fn history_clients() -> Setting<Settings> {
    Setting::reload(
        "cache.history_clients",
        "How many addresses of clients that waited for a fetch are written down with it.",
        "`0`: none, only how many requests waited. Addresses stay as long as the history does; requests that hit are never written down.",
        Kind::Count {
            min: 0,
            max: HISTORY_CLIENTS_MAX as u64,
            put: |s, v| s.cache.history_clients = v as usize,
            get: |s| s.cache.history_clients as u64,
        },
    )
}
