//! How fast bytes leave for clients.

use crate::{
    option::{Kind, Setting},
    settings::Settings,
};

/// Bytes per second: 100 Gbit/s.
const RATE_MAX: u64 = 12_500_000_000;

pub(super) const RATE: Setting<Settings> = Setting::reload(
    "serve.rate",
    "How fast bytes leave for all clients together: `\"1Gbit/s\"`; `\"0\"` = no limit.",
    "Each connection that is being sent a body has an equal share, and the kernel paces it. `docs/line.md` says more.",
    Kind::Rate {
        max: RATE_MAX,
        put: |s: &mut Settings, v| s.serve.shares.total.otherwise = v,
        get: |s| s.serve.shares.total.otherwise,
    },
);

pub(super) const RATE_RULES: Setting<Settings> = Setting::reload(
    "serve.rate_rules",
    "Other such rates at times of the day or week, by the clocks of `time_zone`. The first whose time it is holds, and `serve.rate` when none does.",
    "In the environment they are written `Mon-Fri 08:00-17:00 = 500Mbit/s; Sat,Sun 00:00-24:00 = 0`.",
    Kind::RateRules {
        put: |s: &mut Settings, v| s.serve.shares.total.rules = v,
        get: |s| s.serve.shares.total.rules.clone(),
    },
);

pub(super) const RATE_PER_CLIENT: Setting<Settings> = Setting::reload(
    "serve.rate_per_client",
    "How fast bytes leave for each client, by its address; `\"0\"` = no limit.",
    "Shared evenly by its connections. Where proxies of yours stand between, the address is theirs.",
    Kind::Rate {
        max: RATE_MAX,
        put: |s: &mut Settings, v| s.serve.shares.per_client = v,
        get: |s| s.serve.shares.per_client,
    },
);
