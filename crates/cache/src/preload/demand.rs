//! What is preloaded because somebody asks for it now: everything, a path, a package, a list. Read and checked here, before anything begins.

use std::{collections::BTreeMap, sync::Arc};

use protocol::{
    glob::{GlobError, Globs},
    target::Target,
};

use super::{
    queue::{Order, Want},
    walk::Scope,
};
use crate::{options::UpstreamOptions, settings::Settings, upstream::Upstream};

/// Paths of one list.
pub const PATHS_MAX: usize = 100_000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that the options of the upstreams say.
    Everything,
    /// Files, or folders with everything below, by their paths as clients ask for them.
    Paths(Vec<String>),
    /// A package: a folder with everything below, as a pattern over paths such as `/packages/office-1.2/`.
    Package(String),
}

/// On demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What.
    pub wanted: Wanted,
    /// Of this upstream only.
    pub upstream: Option<String>,
    /// What is more goes first; 0 unless said.
    pub priority: i64,
}

/// Why nothing is preloaded on demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemandError {
    /// No path of a URL.
    #[error("'{path}' cannot be preloaded: {reason}")]
    Path {
        /// As it came.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No pattern.
    #[error(transparent)]
    Package(#[from] GlobError),
    /// Nothing is mounted there.
    #[error("'{path}' cannot be preloaded: no upstream is mounted there")]
    NowhereMounted {
        /// As it came.
        path: String,
    },
    /// There is none of this name.
    #[error("there is no upstream '{name}'; the upstreams are {known}")]
    NoUpstream {
        /// As it came.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// Of another upstream than was said.
    #[error("'{path}' is of the upstream '{found}', not of '{wanted}'")]
    OtherUpstream {
        /// As it came.
        path: String,
        /// Whose it is.
        found: String,
        /// Whose it was to be.
        wanted: String,
    },
    /// Nothing is preloaded from there.
    #[error(
        "nothing is preloaded from the upstream '{name}', for its mode is \"fetch\"; write mode = \"fetch-and-preload\""
    )]
    ModeFetch {
        /// Its name.
        name: String,
    },
    /// Nothing is preloaded at all.
    #[error("nothing is preloaded from any upstream, for their mode is \"fetch\"; write mode = \"fetch-and-preload\"")]
    AllFetch,
    /// A list that is longer than one may be.
    #[error("{found} paths are more than the {PATHS_MAX} that one list may have; give it in parts")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Too much waits already.
    #[error("as much was asked for already as may wait; ask again when some of it is done")]
    Full,
}

impl DemandError {
    /// Whether the request is right, and only the time is not.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Whether what it is about is not there.
    pub fn is_not_here(&self) -> bool {
        matches!(self, Self::NoUpstream { .. } | Self::NowhereMounted { .. })
    }
}

/// What is to be done for one upstream.
#[derive(Debug, Default)]
pub(crate) struct Task {
    pub(crate) wants: Vec<Want>,
    pub(crate) scopes: Vec<Scope>,
}

/// What follows for each upstream, by its name.
pub(crate) fn tasks(settings: &Settings, demand: &Demand) -> Result<BTreeMap<String, Task>, DemandError> {
    let named = demand.upstream.as_deref().map(|name| named(settings, name)).transpose()?;
    match &demand.wanted {
        Wanted::Everything => everything(settings, named, demand.priority),
        Wanted::Package(pattern) => package(settings, named, pattern, demand.priority),
        Wanted::Paths(paths) if paths.len() > PATHS_MAX => Err(DemandError::TooMany { found: paths.len() }),
        Wanted::Paths(paths) => {
            let mut tasks = BTreeMap::new();
            for path in paths {
                let (upstream, below) = place(settings, named, path)?;
                let task: &mut Task = tasks.entry(upstream.options.name.clone()).or_default();
                add(task, &upstream.options, below, demand.priority);
            }
            Ok(tasks)
        }
    }
}

fn add(task: &mut Task, options: &UpstreamOptions, below: Target, priority: i64) {
    let ranks = &options.preload.priority;
    if below.is_directory() {
        task.scopes.push(Scope::below(&below).ranked(ranks, priority));
    } else {
        let rank = below.decode().map_or(usize::MAX, |path| Scope::rank(ranks, &path));
        task.wants.push(Want { order: Order::new(priority, rank, None, below), size: None, tries: 0 });
    }
}

fn everything(
    settings: &Settings,
    named: Option<&Arc<Upstream>>,
    priority: i64,
) -> Result<BTreeMap<String, Task>, DemandError> {
    let all = settings.upstreams.iter().filter(|upstream| upstream.options.mode.preloads());
    let chosen: Vec<_> = named.map_or_else(|| all.collect(), |one| vec![one]);
    if chosen.is_empty() {
        return Err(DemandError::AllFetch);
    }
    let task = |upstream: &&Arc<Upstream>| {
        let options = &upstream.options.preload;
        let scope = Scope::new(&options.include, &options.exclude, &options.priority);
        let scopes = vec![scope.ranked(&options.priority, priority)];
        (upstream.options.name.clone(), Task { scopes, wants: Vec::new() })
    };
    Ok(chosen.iter().map(task).collect())
}

/// A pattern that begins with `/` is one over paths as clients see them; another holds below each mount.
fn package(
    settings: &Settings,
    named: Option<&Arc<Upstream>>,
    pattern: &str,
    priority: i64,
) -> Result<BTreeMap<String, Task>, DemandError> {
    let slash = if pattern.ends_with('/') { "" } else { "/" };
    let whole = Globs::parse(&[format!("{pattern}{slash}")])?;
    let first = settings.upstreams.iter().find(|upstream| below_mount(pattern, upstream).is_some());
    let chosen: Vec<&Arc<Upstream>> = match named {
        Some(named) => vec![named],
        None if pattern.starts_with('/') => first.into_iter().collect(),
        None => settings.upstreams.iter().filter(|upstream| upstream.options.mode.preloads()).collect(),
    };
    let mut tasks = BTreeMap::new();
    for upstream in chosen {
        let path = || pattern.to_owned();
        let below = below_mount(pattern, upstream).ok_or_else(|| DemandError::NowhereMounted { path: path() })?;
        preloads(upstream)?;
        let globs = if pattern.starts_with('/') {
            Globs::parse(&[format!("{}/", below.trim_end_matches('/'))])?
        } else {
            whole.clone()
        };
        let (nothing, ranks) = (Globs::default(), &upstream.options.preload.priority);
        let scope = Scope::new(&globs, &nothing, ranks).ranked(ranks, priority);
        tasks.insert(upstream.options.name.clone(), Task { scopes: vec![scope], wants: Vec::new() });
    }
    if tasks.is_empty() { Err(DemandError::NowhereMounted { path: pattern.to_owned() }) } else { Ok(tasks) }
}

/// What a pattern is below the mount of an upstream; `None` if it is not.
fn below_mount<'a>(pattern: &'a str, upstream: &Upstream) -> Option<&'a str> {
    let mount = Target::parse(upstream.options.mount.as_bytes()).ok()?.decode().ok()?;
    let mount = String::from_utf8(mount).ok()?;
    if !pattern.starts_with('/') || mount.is_empty() {
        return Some(pattern);
    }
    let rest = pattern.strip_prefix('/')?.strip_prefix(&mount)?;
    match rest {
        "" => Some("/"),
        _ => rest.starts_with('/').then_some(rest),
    }
}

/// Whose path it is, and what it is called there.
pub(super) fn place<'s>(
    settings: &'s Settings,
    named: Option<&Arc<Upstream>>,
    path: &str,
) -> Result<(&'s Arc<Upstream>, Target), DemandError> {
    let bad = |reason: String| DemandError::Path { path: path.to_owned(), reason };
    let target = Target::parse(path.as_bytes()).map_err(|error| bad(error.to_string()))?;
    if target.path().starts_with("/.outpost/") {
        return Err(bad("it is no file of an upstream".into()));
    }
    let found = settings.upstream_of(&target);
    let (upstream, below) = found.ok_or_else(|| DemandError::NowhereMounted { path: path.to_owned() })?;
    if let Some(named) = named.filter(|named| !Arc::ptr_eq(named, upstream)) {
        let (found, wanted) = (upstream.options.name.clone(), named.options.name.clone());
        return Err(DemandError::OtherUpstream { path: path.to_owned(), found, wanted });
    }
    preloads(upstream)?;
    Ok((upstream, below.into_owned()))
}

fn named<'s>(settings: &'s Settings, name: &str) -> Result<&'s Arc<Upstream>, DemandError> {
    let upstreams = &settings.upstreams;
    let known = || upstreams.iter().map(|upstream| upstream.options.name.as_str()).collect::<Vec<_>>().join(", ");
    let found =
        settings.named(name).ok_or_else(|| DemandError::NoUpstream { name: name.to_owned(), known: known() })?;
    preloads(found)?;
    Ok(found)
}

fn preloads(upstream: &Upstream) -> Result<(), DemandError> {
    match upstream.options.mode.preloads() {
        true => Ok(()),
        false => Err(DemandError::ModeFetch { name: upstream.options.name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        options::{Mode, Options},
        status::Counters,
    };

    fn settings(dirs: &[(&str, &str, Mode)], share: &std::path::Path) -> Settings {
        let upstream = |&(name, mount, mode): &(&str, &str, Mode)| {
            let location = share.to_str().unwrap().parse().unwrap();
            UpstreamOptions { mode, ..UpstreamOptions::new(name, mount, location) }
        };
        Settings::new(Options::new(dirs.iter().map(upstream).collect()), None, &Arc::<Counters>::default()).unwrap()
    }

    #[test]
    fn whose_it_is_and_what_is_refused() {
        let share = tempfile::tempdir().unwrap();
        let dirs = [
            ("prod", "/", Mode::Preload),
            ("test", "/test stage".replace(' ', "%20").leak() as &str, Mode::FetchAndPreload),
            ("live", "/live", Mode::Fetch),
        ];
        let settings = settings(&dirs, share.path());
        let ask = |wanted: Wanted, upstream: Option<&str>| {
            let demand = Demand { wanted, upstream: upstream.map(str::to_owned), priority: 3 };
            let shown = |(name, task): (String, Task)| {
                let wants: Vec<_> = task.wants.iter().map(|want| want.order.target.to_string()).collect();
                format!("{name}: {} folders, {}", task.scopes.len(), wants.join(" "))
            };
            match tasks(&settings, &demand) {
                Ok(tasks) => tasks.into_iter().map(shown).collect::<Vec<_>>().join("; "),
                Err(error) => error.to_string(),
            }
        };
        let paths = |paths: &[&str]| Wanted::Paths(paths.iter().map(|path| (*path).to_owned()).collect());
        let package = |pattern: &str| Wanted::Package(pattern.to_owned());
        for (wanted, upstream, expected) in [
            (Wanted::Everything, None, "prod: 1 folders, ; test: 1 folders, "),
            (Wanted::Everything, Some("test"), "test: 1 folders, "),
            (Wanted::Everything, Some("live"), "mode is \"fetch\""),
            (Wanted::Everything, Some("none"), "the upstreams are"),
            (
                paths(&["/a", "/b/", "/test%20stage/c", "/a%20b"]),
                None,
                "prod: 1 folders, /a /a%20b; test: 0 folders, /c",
            ),
            (paths(&["/a"]), Some("test"), "'/a' is of the upstream 'prod', not of 'test'"),
            (paths(&["/live/a"]), None, "mode is \"fetch\""),
            (paths(&["a"]), None, "does not begin with '/'"),
            (paths(&["/../a"]), None, "'..' as a segment"),
            (paths(&["/.outpost/v1/info/a"]), None, "no file of an upstream"),
            (package("/packages/office-1.2"), None, "prod: 1 folders, "),
            (package("/test stage/x/"), None, "test: 1 folders, "),
            (package("/test stage"), None, "test: 1 folders, "),
            (package("office-*/"), None, "prod: 1 folders, ; test: 1 folders, "),
            (package("/live/x/"), None, "mode is \"fetch\""),
            (package("/x/["), None, "is no pattern"),
        ] {
            let found = ask(wanted.clone(), upstream);
            assert!(found.contains(expected), "{wanted:?} of {upstream:?}: {found}");
        }
        let many = vec!["/a".to_owned(); PATHS_MAX + 1];
        assert!(ask(Wanted::Paths(many), None).contains("give it in parts"));
    }
}
