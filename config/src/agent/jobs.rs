//! `[jobs]`: what a machine does with packages that the origin assigns to it, and what it does not. None of this can be delivered.

use std::time::Duration;

use super::settings::Settings;
use crate::option::{Kind, Setting};

type Agent = Setting<Settings>;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) const DIR: Agent = Agent::restart(
    "jobs.dir",
    "Directory below which packages are kept that the origin assigns to this machine, each where its job says.",
    "It is made when there is something to keep. What runs there as a command was brought from outside: nobody else should be able to write there.",
    Kind::Path { put: |s, v| s.jobs.dir = v, get: |s| s.jobs.dir.clone() },
);

pub(super) const MIN_FREE: Agent = Agent::restart(
    "jobs.min_free",
    "Least bytes that stay free on the disk of `jobs.dir` when a package is put there.",
    "One that would take more is reported as failed, and tried again.",
    Kind::Limit { put: |s, v| s.jobs.min_free = v, get: |s| s.jobs.min_free },
);

pub(super) const EVERY: Agent = Agent::restart(
    "jobs.every",
    "How often it is looked whether a package has changed at the origin or on the disk, and tried again what has failed; up to a tenth sooner.",
    "Changes that the origin tells are acted on at once (`jobs.spread`).",
    Kind::Duration { min: SECOND, max: DAY.saturating_mul(7), put: |s, v| s.jobs.every = v, get: |s| s.jobs.every },
);

pub(super) const SPREAD: Agent = Agent::restart(
    "jobs.spread",
    "Within which time one acts on what all machines hear at the same moment: a start, an assignment, a changed package.",
    "Longer keeps many machines from asking together.",
    Kind::Duration { min: Duration::ZERO, max: DAY, put: |s, v| s.jobs.spread = v, get: |s| s.jobs.spread },
);

pub(super) const ON_READY: Agent = Agent::restart(
    "jobs.on_ready",
    "Program and arguments that are run, without a shell, when a package is in place; none: what the origin says, if that is allowed.",
    "The same for each job, in place of the origin's; which one it is stands in its environment (`docs/agent.md`).",
    Kind::Command { put: |s, v| s.jobs.on_ready = v, get: |s| s.jobs.on_ready.clone() },
);

pub(super) const COMMANDS: Agent = Agent::restart(
    "jobs.commands",
    "Whether commands are run that the origin says (`on_ready` of a job).",
    "With `true` whoever can speak as the origin runs programs here, as the user of this service: reach it over `https://`. With `false` such jobs are reported as failed.",
    Kind::Switch { put: |s, v| s.jobs.commands = v, get: |s| s.jobs.commands },
);

pub(super) const TIME_LIMIT: Agent = Agent::restart(
    "jobs.time_limit",
    "The longest time of a command, whatever the origin says.",
    "What takes longer is killed, with all that it has started.",
    Kind::Duration { min: SECOND, max: DAY, put: |s, v| s.jobs.time_limit = v, get: |s| s.jobs.time_limit },
);

pub(super) const UNASSIGNED: Agent = Agent::restart(
    "jobs.unassigned",
    "What becomes of a package that is none of this machine's any more: `keep` or `remove`.",
    "Only files that were brought are removed.",
    Kind::Word {
        words: &["keep", "remove"],
        put: |s, v| s.jobs.remove_unassigned = v == 1,
        get: |s| usize::from(s.jobs.remove_unassigned),
    },
);

pub(super) const CHANGES: Agent = Agent::restart(
    "origin.changes",
    "Whether the service listens to what the origin tells as it happens: other configurations, orders, changed packages.",
    "It is one connection that is mostly silent. Without, all this is found out when it is asked for.",
    Kind::Switch { put: |s, v| s.origins.changes = v, get: |s| s.origins.changes },
);
