//! What comes out of the layers of an origin.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::{
    glob::Globs,
    jobs::Job,
    schedule::{ScheduleError, Windows, Zone},
    topology::{Domain, DomainName, Tier},
};
use serve::access_log::Format;

/// Options by name, as TOML values written in JSON.
pub type Delivered = BTreeMap<String, serde_json::Value>;

/// Where an origin serves files.
const PORT: u16 = 8090;

/// Folders that are packages where a share says nothing else, as seen from it.
pub const USUAL_PACKAGES: [&str; 3] = ["/ComputerJobs/*", "/UserJobs/*", "/Redist/*"];

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is published, at `/`.
    pub directory: PathBuf,
    /// The shares in it; none: all of it is one.
    pub shares: Vec<ShareOptions>,
    /// The downstream side.
    pub serve: serve::options::Options,
    /// Where the admin interface listens.
    pub admin: Option<SocketAddr>,
    /// By whose clocks all times of day are meant.
    pub zone: Zone,
    /// All origins of the site, the first to be asked first.
    pub origins: Vec<String>,
    /// Where digests are kept.
    pub database: PathBuf,
    /// How often shares are looked through.
    pub rescan: Duration,
    /// How long a file has been unchanged when it is hashed.
    pub settle: Duration,
    /// Whether the kernel is asked for changes.
    pub watch: bool,
    /// Where the access log goes; `-` is standard output, `None` no access log.
    pub access_log: Option<PathBuf>,
    /// How its lines look.
    pub access_log_format: Format,
    /// Between two signs of life on a stream of changes.
    pub heartbeat: Duration,
    /// Answers about sources.
    pub sources: SourceOptions,
    /// When tiers are given nothing.
    pub blackout: Blackout,
    /// Questions that are answered at once, all tiers together.
    pub max_concurrent_info_requests: usize,
    /// Who holds what.
    pub registry: RegistryOptions,
    /// Who may belong.
    pub enrolment: EnrolmentOptions,
    /// The tree.
    pub domains: Vec<DomainOptions>,
    /// Single machines.
    pub nodes: Vec<NodeOptions>,
    /// Packages that agents keep.
    pub jobs: Vec<JobOptions>,
}

/// A management point: a folder of what is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareOptions {
    /// As it is asked for.
    pub name: String,
    /// Its folder, as clients ask for it: `/prod`.
    pub path: String,
    /// Which folders in it are packages.
    pub packages: Vec<String>,
}

/// See [`Settings::sources`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// For how long an answer holds.
    pub expiry: Duration,
    /// Whether clients wait until a proxy near them holds a content.
    pub staging: bool,
    /// The shortest wait that somebody is told.
    pub retry_min: Duration,
    /// The longest.
    pub retry_max: Duration,
}

/// Windows in which a tier is given nothing, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blackout {
    /// Of proxies with a good line.
    pub unconstrained: Vec<String>,
    /// Of proxies behind a thin one.
    pub constrained: Vec<String>,
    /// Of everybody else.
    pub client: Vec<String>,
}

/// See [`Settings::registry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Where it is kept.
    pub database: PathBuf,
    /// Between two reports of one node.
    pub report_every: Duration,
    /// Who has not reported for so long is away.
    pub expiry: Duration,
}

/// See [`Settings::enrolment`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentOptions {
    /// Where it is kept who has enrolled, and which orders have not ended.
    pub database: PathBuf,
    /// Tokens by which one may enrol.
    pub tokens_file: Option<PathBuf>,
    /// Whether a name is believed only with its credential.
    pub required: bool,
}

/// A domain, and what its proxies and agents are given.
#[derive(Clone, Debug)]
pub struct DomainOptions {
    /// Its place in the tree.
    pub domain: Domain,
    /// What its proxies are given.
    pub proxy: Delivered,
    /// What its agents are given.
    pub agent: Delivered,
}

/// A machine, and what it is given.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// If it is a proxy.
    pub proxy: Delivered,
    /// If it is an agent.
    pub agent: Delivered,
}

/// A package, and the agents that keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOptions {
    /// Unlike all others.
    pub name: String,
    /// The package's folder, as it is asked for.
    pub package: String,
    /// Where agents keep it; empty: under the job's name.
    pub dir: String,
    /// Agents of these domains, and of all below them.
    pub domains: Vec<DomainName>,
    /// Agents with names like these.
    pub nodes: Globs,
    /// What is run when it is there.
    pub on_ready: Vec<String>,
    /// How long that may take.
    pub time_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            directory: PathBuf::new(),
            shares: Vec::new(),
            serve: serve::options::Options {
                listen: vec![SocketAddr::from(([0, 0, 0, 0], PORT))],
                ..serve::options::Options::default()
            },
            admin: None,
            zone: Zone::named("local").unwrap_or_default(),
            origins: Vec::new(),
            database: "outpost-origin.db".into(),
            rescan: minutes(10),
            settle: Duration::from_secs(2),
            watch: true,
            access_log: None,
            access_log_format: Format::default(),
            heartbeat: Duration::from_secs(5),
            sources: SourceOptions {
                expiry: minutes(10),
                staging: true,
                retry_min: Duration::from_secs(5),
                retry_max: minutes(10),
            },
            blackout: Blackout::default(),
            max_concurrent_info_requests: 16,
            registry: RegistryOptions {
                database: "outpost-registry.db".into(),
                report_every: minutes(1),
                expiry: minutes(5),
            },
            enrolment: EnrolmentOptions { database: "outpost-members.db".into(), tokens_file: None, required: false },
            domains: Vec::new(),
            nodes: Vec::new(),
            jobs: Vec::new(),
        }
    }
}

impl Settings {
    /// Every default, for a share and a database beside it; listens on any free port of the loopback interface. For tests and other programs.
    pub fn for_share(share: impl Into<PathBuf>, database: impl Into<PathBuf>) -> Self {
        let database = database.into();
        let serve = serve::options::Options {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            ..serve::options::Options::default()
        };
        let beside = |extension| Path::new(&database).with_extension(extension);
        let registry = RegistryOptions { database: beside("registry.db"), ..Self::default().registry };
        let enrolment = EnrolmentOptions { database: beside("members.db"), ..Self::default().enrolment };
        Self { directory: share.into(), serve, registry, enrolment, database, ..Self::default() }
    }
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            package: String::new(),
            dir: String::new(),
            domains: Vec::new(),
            nodes: Globs::default(),
            on_ready: Vec::new(),
            time_limit: Duration::from_secs(1800),
        }
    }
}

impl JobOptions {
    /// As agents are told of it.
    pub fn job(&self) -> Job {
        let dir = if self.dir.is_empty() { self.name.clone() } else { self.dir.clone() };
        let (name, package, on_ready) = (self.name.clone(), self.package.clone(), self.on_ready.clone());
        Job { name, package, dir, on_ready, time_limit: self.time_limit.as_secs() }
    }

    /// Whether it is a job of this agent.
    pub fn is_for(&self, node: Option<&str>, domain: Option<&DomainName>) -> bool {
        let mut above = std::iter::successors(domain.cloned(), DomainName::parent);
        node.is_some_and(|node| self.nodes.matches(node.as_bytes())) || above.any(|name| self.domains.contains(&name))
    }
}

impl Blackout {
    /// The windows of a tier, by these clocks.
    pub fn windows(&self, tier: Tier, zone: &Zone) -> Result<Windows, ScheduleError> {
        let texts = match tier {
            Tier::Unconstrained => &self.unconstrained,
            Tier::Constrained => &self.constrained,
            Tier::Client => &self.client,
        };
        Windows::parse(texts, zone)
    }
}
