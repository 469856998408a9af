//! What may stand several times in the file of an origin: `[[share]]`, `[[domain]]`, `[[node]]`, `[[job]]`.

use std::time::Duration;

use protocol::{
    glob::Globs,
    jobs::{check_dir, check_package, is_name as is_job},
    topology::{Domain, DomainName, Tier},
};
use toml::de::DeTable;

use super::{
    delivered::{self, KEYS},
    settings::{Delivered, DomainOptions, JobOptions, NodeOptions, Settings, ShareOptions},
};
use crate::{
    layers::{Entry, Layers, Origin, in_file_order},
    option::{Kind, Setting},
    proxies::is_node,
    table::is_name,
};

type Share = Setting<ShareOptions>;
type InTree = Setting<DomainOptions>;
type Node = Setting<NodeOptions>;
type Job = Setting<JobOptions>;

/// Options of one `[[share]]`.
pub(super) static SHARE: &[Setting<ShareOptions>] = &[
    Share::restart(
        "name",
        "As it is asked for: `catalog?share=NAME`. A management point has a share of its own: `dev`, `test`, `prod`.",
        "Without any `[[share]]` everything that is published is one, named `main`.",
        Kind::Text {
            range: "1 to 64 letters, digits, `-`, `_`, `.`",
            check: is_name,
            put: |s, v| s.name = v,
            get: |s| s.name.clone(),
        },
    )
    .default_note("must be given"),
    Share::restart(
        "path",
        "Its folder in what is published, as clients ask for it; `/` is all of it.",
        "Files that lie in no share are given out all the same; they are only not in the catalogue of one.",
        Kind::Text {
            range: "`/`, or a folder such as `/prod`",
            check: is_folder,
            put: |s, v| s.path = v,
            get: |s| s.path.clone(),
        },
    )
    .default_note("must be given"),
    Share::restart(
        "packages",
        "Which folders of it are packages, as patterns over their paths below the share.",
        "None: the folders in `/ComputerJobs/`, `/UserJobs/` and `/Redist/`.",
        Kind::Texts {
            range: "such as `/ComputerJobs/*`",
            check: |text| Globs::parse(&[text]).map(drop).map_err(|bad| bad.to_string()),
            put: |s, v| s.packages = v,
            get: |s| s.packages.clone(),
        },
    ),
];

/// Options of one `[[domain]]`, besides what it delivers.
pub(super) static DOMAIN: &[Setting<DomainOptions>] = &[
    InTree::reload(
        "name",
        "Its labels from the root down with dots between them: `hq.north.branch7` lies in `hq.north`.",
        "Domains above it need not be written.",
        Kind::Text {
            range: "up to 16 labels of letters, digits, `-`, `_`",
            check: |name| name.parse::<DomainName>().map(drop).map_err(|bad| bad.to_string()),
            put: |d, v| d.domain.name = v.parse().unwrap_or_else(|_| d.domain.name.clone()),
            get: |d| d.domain.name.to_string(),
        },
    )
    .default_note("must be given"),
    InTree::reload(
        "ranges",
        "Whose addresses are in it.",
        "Of several domains the one with the narrowest range has a machine. The same range cannot be in two.",
        Kind::Texts {
            range: "`ADDRESS/BITS` or `ADDRESS`",
            check: |text| crate::value::parse_network(text).map(drop),
            put: |d, v| d.domain.ranges = v.iter().filter_map(|text| crate::value::parse_network(text).ok()).collect(),
            get: |d| d.domain.ranges.iter().map(ToString::to_string).collect(),
        },
    ),
    InTree::reload(
        "machines",
        "Whose network cards are in it, whatever their addresses: laptops that come and go.",
        "They are what a machine says of itself: they keep order, not thieves out.",
        Kind::Texts {
            range: "`52:54:00:12:34:56`, or `52:54:00:00:00:00/24` for all cards of a maker",
            check: |text| crate::value::parse_machines(text).map(drop),
            put: |d, v| d.domain.machines = v.iter().filter_map(|text| text.trim().parse().ok()).collect(),
            get: |d| d.domain.machines.iter().map(ToString::to_string).collect(),
        },
    ),
    InTree::reload(
        "tier",
        "How soon its proxies are admitted where many ask at once: `unconstrained` before `constrained` before `client`.",
        "`unconstrained` is for proxies with a good line that others depend on. All other machines are clients.",
        Kind::Word {
            words: &["unconstrained", "constrained", "client"],
            put: |d, v| d.domain.tier = Tier::ALL[v],
            get: |d| Tier::ALL.iter().position(|tier| *tier == d.domain.tier).unwrap_or_default(),
        },
    ),
    InTree::reload(
        "proxies",
        "Its proxies, the first to be asked first: each with the name that it enrols with, and where it serves files.",
        "Two proxies of a tree cannot have the same name.",
        Kind::Proxies { put: |d, v| d.domain.proxies = v, get: |d| d.domain.proxies.clone() },
    ),
];

/// Options of one `[[node]]`, besides what it delivers.
pub(super) static NODE: &[Setting<NodeOptions>] = &[Node::reload(
    "name",
    "The name of a proxy or an agent.",
    "What is delivered to it by this name goes before what its domain says.",
    Kind::Text {
        range: "1 to 64 letters, digits, `-`, `_`, `.`",
        check: is_node,
        put: |n, v| n.name = v,
        get: |n| n.name.clone(),
    },
)
.default_note("must be given")];

/// Options of one `[[job]]`.
pub(super) static JOB: &[Setting<JobOptions>] = &[
    Job::reload(
        "name",
        "Unlike all others: by it agents report, and `outpost-origin jobs NAME` shows who is where.",
        "Under another name it is another job, and its command runs again.",
        Kind::Text {
            range: "1 to 64 letters, digits, `-`, `_`, `.`, not beginning with `.`",
            check: |name| {
                let help = || format!("'{name}' is not the name of a job: write 1 to 64 letters, digits, '-', '_' or '.', not beginning with '.'");
                is_job(name).then_some(()).ok_or_else(help)
            },
            put: |j, v| j.name = v,
            get: |j| j.name.clone(),
        },
    )
    .default_note("must be given"),
    Job::reload(
        "package",
        "Folder of the package, as it is asked for.",
        "One that is not there yet is waited for. Another one is another package: it takes the place of the first.",
        Kind::Text {
            range: "such as `/prod/Redist/office-16/`",
            check: |path| check_package(path).map_err(|bad| bad.to_string()),
            put: |j, v| j.package = v,
            get: |j| j.package.clone(),
        },
    )
    .default_note("must be given"),
    Job::reload(
        "dir",
        "Where agents keep it, below their own `jobs.dir`; `\"\"` is the name of the job.",
        "Nothing that leads out of there is taken.",
        Kind::Text {
            range: "such as `office` or `apps/office`",
            check: |dir| if dir.is_empty() { Ok(()) } else { check_dir(dir).map_err(|bad| bad.to_string()) },
            put: |j, v| j.dir = v,
            get: |j| j.dir.clone(),
        },
    ),
    Job::reload(
        "domains",
        "Agents of these domains, and of all below them, keep it.",
        "Each must be in the tree.",
        Kind::Texts {
            range: "names of domains",
            check: |name| name.parse::<DomainName>().map(drop).map_err(|bad| bad.to_string()),
            put: |j, v| j.domains = v.iter().filter_map(|name| name.parse().ok()).collect(),
            get: |j| j.domains.iter().map(ToString::to_string).collect(),
        },
    ),
    Job::reload(
        "nodes",
        "Agents with names like these keep it too, wherever they are.",
        "`*` stands for any letters: `pc-*`.",
        Kind::Texts {
            range: "such as `pc-7` or `pc-*`",
            check: |text| Globs::parse(&[text]).map(drop).map_err(|bad| bad.to_string()),
            put: |j, v| j.nodes = Globs::parse(&v).unwrap_or_default(),
            get: |j| j.nodes.texts().map(str::to_owned).collect(),
        },
    ),
    Job::reload(
        "on_ready",
        "Program and arguments that are run, without a shell, when all of the package is in place; none: nothing is run.",
        "Only agents with `jobs.commands = true` do so, others report the job as failed. It is run once for each state of the package, and again where it did not end well.",
        Kind::Command { put: |j, v| j.on_ready = v, get: |j| j.on_ready.clone() },
    ),
    Job::reload(
        "time_limit",
        "How long that may take; what takes longer is killed, with all that it has started.",
        "Agents have a limit of their own beside it (`jobs.time_limit`).",
        Kind::Duration {
            min: Duration::from_secs(1),
            max: Duration::from_secs(86_400),
            put: |j, v| j.time_limit = v,
            get: |j| j.time_limit,
        },
    ),
];

impl Default for DomainOptions {
    /// A root without a name of its own, which each that is read is given.
    fn default() -> Self {
        let name = "unnamed".parse().expect("a label is a name");
        let domain =
            Domain { name, ranges: Vec::new(), machines: Vec::new(), tier: Tier::Constrained, proxies: Vec::new() };
        Self { domain, proxy: Delivered::new(), agent: Delivered::new() }
    }
}

pub(super) fn share(layers: &mut Layers<'_, Settings>, place: usize, table: &DeTable<'_>) {
    let mut share = ShareOptions::default();
    for entry in in_file_order(table) {
        layers.entry(&mut share, SHARE, ("share", place), entry);
    }
    layers.settings.shares.push(share);
}

/// A path as clients ask for it, whose letters need no escapes to be compared.
fn is_folder(path: &str) -> Result<(), String> {
    let segments = || path.trim_matches('/').split('/');
    let is_plain = path.starts_with('/') && (path == "/" || segments().all(|name| !matches!(name, "" | "." | "..")));
    if is_plain {
        Ok(())
    } else {
        Err(format!("'{path}' is not a folder of what is published: write /prod, or / for all of it"))
    }
}

pub(super) fn domain(layers: &mut Layers<'_, Settings>, place: usize, table: &DeTable<'_>) {
    let mut domain = DomainOptions::default();
    for entry in in_file_order(table) {
        let DomainOptions { proxy, agent, .. } = &mut domain;
        if !deliver(layers, [proxy, agent], ("domain", place), entry) {
            layers.entry(&mut domain, DOMAIN, ("domain", place), entry);
        }
    }
    layers.settings.domains.push(domain);
}

pub(super) fn node(layers: &mut Layers<'_, Settings>, place: usize, table: &DeTable<'_>) {
    let mut node = NodeOptions::default();
    for entry in in_file_order(table) {
        let NodeOptions { proxy, agent, .. } = &mut node;
        if !deliver(layers, [proxy, agent], ("node", place), entry) {
            layers.entry(&mut node, NODE, ("node", place), entry);
        }
    }
    layers.settings.nodes.push(node);
}

/// Takes an entry if it is what is delivered, in the order of [`KEYS`].
fn deliver(
    layers: &mut Layers<'_, Settings>,
    to: [&mut Delivered; KEYS.len()],
    (block, place): (&str, usize),
    (key, value): Entry<'_, '_>,
) -> bool {
    let found = KEYS.iter().zip(to).find(|((name, _), _)| key.get_ref() == *name);
    let Some(((name, role), delivered)) = found else { return false };
    let by = format!("{block}[{place}].{name}");
    layers.origins.insert(by.clone(), Origin::File(key.span()));
    delivered::read(layers, delivered, *role, &by, value);
    true
}

pub(super) fn job(layers: &mut Layers<'_, Settings>, place: usize, table: &DeTable<'_>) {
    let mut job = JobOptions::default();
    for entry in in_file_order(table) {
        layers.entry(&mut job, JOB, ("job", place), entry);
    }
    layers.settings.jobs.push(job);
}
