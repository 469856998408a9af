//! When the scanner looks at what: announced changes (inotify), gathered until it is quiet, and the whole share at fixed intervals, for network
//! mounts announce nothing and the kernel may drop announcements.
//!
//! | news | what follows |
//! |---|---|
//! | a path changed | told to be stale at once, and again while it goes on; looked at when nothing more was announced for [`QUIET`], at the latest after [`GATHER_MAX`] |
//! | the kernel dropped announcements, or more than [`CHANGES_MAX`] paths changed | the whole share |
//! | the interval is over, or a program asks | the whole share |

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, mpsc::Sender},
    thread,
    time::{Duration, Instant},
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind, event::AccessMode};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{catalogue::shown, feed::Feed, files::OpenFiles, scan::Scanner};

/// A writer that pauses for so long has finished, or will be announced again.
const QUIET: Duration = Duration::from_millis(250);
/// Changes that never pause are looked at nevertheless.
const GATHER_MAX: Duration = Duration::from_secs(2);
/// While a path keeps changing, it is told again so often: who asked for it meanwhile has got something that is no more.
const TELL_AGAIN: Duration = Duration::from_millis(250);
/// Paths that are gathered; more of them, and the whole share is looked at.
const CHANGES_MAX: usize = 10_000;

/// What has been announced and not been looked at.
pub(crate) struct Changes {
    state: Mutex<State>,
    news: Condvar,
    /// The number of the last scan that has ended; for who asked for one.
    scans: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    paths: BTreeMap<Vec<u8>, Told>,
    /// When the first and the last of `paths` were announced.
    times: Option<(Instant, Instant)>,
    everything: bool,
    /// Scans that have begun; each has the number that this shows while it runs.
    begun: u64,
    closed: bool,
}

/// What was told of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    at: Instant,
    /// It has changed since.
    changed_since: bool,
}

/// What to look at now.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Everything,
    Paths(BTreeMap<Vec<u8>, Told>),
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), scans: watch::Sender::new(0) }
    }

    /// Asks for a scan of the whole share; answers its number. One that is under way does not count: it may have passed what is meant.
    pub(crate) fn rescan(&self) -> u64 {
        let mut state = self.state.lock();
        state.everything = true;
        self.news.notify_all();
        state.begun + 1
    }

    /// The number of the last scan that has ended.
    pub(crate) fn scans(&self) -> watch::Receiver<u64> {
        self.scans.subscribe()
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_all();
    }

    fn begin_scan(&self) -> u64 {
        let mut state = self.state.lock();
        state.begun += 1;
        state.begun
    }

    /// Answers whether it is to be told now.
    fn announce(&self, path: Vec<u8>, now: Instant) -> bool {
        let is_news = self.state.lock().add(path, now);
        self.news.notify_all();
        is_news
    }

    /// Waits for the next task; `None` when closed.
    fn next(&self, next_scan: Instant) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.due(next_scan) {
                Some(due) if due > Instant::now() => drop(self.news.wait_until(&mut state, due)),
                _ => return Some(state.take()),
            }
        }
    }
}

impl State {
    fn add(&mut self, path: Vec<u8>, now: Instant) -> bool {
        let first = self.times.map_or(now, |(first, _)| first);
        self.times = Some((first, now));
        let told = self.paths.get_mut(&path);
        let is_news = told.as_ref().is_none_or(|told| now.duration_since(told.at) >= TELL_AGAIN);
        match told {
            Some(told) if !is_news => told.changed_since = true,
            Some(told) => *told = Told { at: now, changed_since: false },
            None => drop(self.paths.insert(path, Told { at: now, changed_since: false })),
        }
        if self.paths.len() > CHANGES_MAX {
            self.paths.clear();
            self.everything = true;
        }
        is_news
    }

    /// When there is something to do; `None` for now.
    fn due(&self, next_scan: Instant) -> Option<Instant> {
        match self.times {
            _ if self.everything => None,
            Some((first, last)) => Some((last + QUIET).min(first + GATHER_MAX).min(next_scan)),
            None => Some(next_scan),
        }
    }

    fn take(&mut self) -> Task {
        let gathered = std::mem::replace(self, Self { begun: self.begun, ..Self::default() });
        // With nothing gathered it is the interval that is over. A scan finds single changes too.
        if gathered.everything || gathered.times.is_none() { Task::Everything } else { Task::Paths(gathered.paths) }
    }
}

/// The thread that scans, and the kernel's announcements to it.
pub(crate) struct Watch {
    pub(crate) scanner: Scanner,
    pub(crate) changes: Arc<Changes>,
    pub(crate) files: Arc<OpenFiles>,
    pub(crate) rescan: Duration,
    pub(crate) announced: bool,
}

impl Watch {
    /// Starts the thread; it ends when [`Changes::close`] is called. The first scan begins at once, after the kernel has been asked to announce.
    /// `alive` is dropped when it ends.
    pub(crate) fn start(self, alive: Sender<()>) -> std::io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("scan".into()).spawn(move || {
            self.run();
            drop(alive);
        })
    }

    fn run(self) {
        // Held for as long as the thread runs: dropping it ends the announcements.
        let watcher = if self.announced { self.watch() } else { None };
        if watcher.is_none() || self.scanner.share.is_remote() {
            self.scanner.feed.set_delay(self.rescan);
        }
        self.scan();
        let mut next_scan = Instant::now() + self.rescan;
        while let Some(task) = self.changes.next(next_scan) {
            match task {
                Task::Everything => {
                    self.scan();
                    next_scan = Instant::now() + self.rescan;
                }
                Task::Paths(paths) => self.look(&paths),
            }
        }
    }

    fn scan(&self) {
        let started = Instant::now();
        let number = self.changes.begin_scan();
        match self.scanner.scan() {
            Ok(()) => {
                let files = self.scanner.counters.files.load(std::sync::atomic::Ordering::Relaxed);
                let seconds = started.elapsed().as_secs_f64();
                // Once is news; then it is what happens all day.
                if number == 1 {
                    info!("the share was looked through: {files} files in {seconds:.1} s");
                } else {
                    debug!("the share was looked through again: {files} files in {seconds:.1} s");
                }
            }
            Err(error) => {
                warn!(%error, "the share could not be looked through to the end; the next rescan tries again")
            }
        }
        self.changes.scans.send_replace(number);
    }

    fn look(&self, paths: &BTreeMap<Vec<u8>, Told>) {
        for (path, told) in paths {
            if told.changed_since {
                self.scanner.feed.stale(path);
            }
            if let Err(error) = self.scanner.look(path) {
                warn!(path = shown(path), %error, "a change of the share could not be noted; the next rescan finds it");
            }
        }
    }

    fn watch(&self) -> Option<RecommendedWatcher> {
        let top = self.scanner.share.path().canonicalize().unwrap_or_else(|_| self.scanner.share.path().into());
        let (changes, files, below) = (self.changes.clone(), self.files.clone(), top.clone());
        let feed = self.scanner.feed.clone();
        let handler = move |event| handle(event, &changes, &files, &feed, &below);
        // Links are not followed: what they lead to is watched where it stands, and may lie outside.
        let config = notify::Config::default().with_follow_symlinks(false);
        let watched = RecommendedWatcher::new(handler, config).and_then(|mut watcher| {
            watcher.watch(&top, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        watched.map_err(|error| self.explain(&error)).ok()
    }

    fn explain(&self, error: &notify::Error) {
        let rescan = config::value::show_duration(self.rescan);
        if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) {
            warn!(
                "this share has more directories than the kernel may watch: raise the sysctl fs.inotify.max_user_watches. Until then changes are found by the rescan every {rescan}"
            );
        } else {
            warn!(%error, "the kernel announces no changes of this share; they are found by the rescan every {rescan}");
        }
    }
}

/// Runs on the watcher's thread.
fn handle(event: notify::Result<Event>, changes: &Changes, files: &OpenFiles, feed: &Feed, top: &Path) {
    match event {
        Ok(event) if event.need_rescan() => {
            feed.stale(b"");
            changes.rescan();
        }
        Ok(event) if is_change(&event.kind) => {
            for path in event.paths.into_iter().filter_map(|path| below(&path, top)) {
                files.forget(&path);
                if changes.announce(path.clone(), Instant::now()) {
                    feed.stale(&path);
                }
            }
        }
        Ok(_) => {}
        Err(error) => {
            warn!(%error, "an announcement of a change was lost; the whole share is looked through now");
            feed.stale(b"");
            changes.rescan();
        }
    }
}

/// Our own opening and reading is announced too.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

fn below(path: &Path, top: &Path) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(top).ok()?;
    Some(rest.as_os_str().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, RemoveKind};

    use super::*;

    fn path(name: &str) -> Vec<u8> {
        name.as_bytes().into()
    }

    #[test]
    fn changes_are_looked_at_when_it_is_quiet_or_has_been_loud_for_long() {
        let start = Instant::now();
        let far = start + Duration::from_secs(600);
        let mut state = State::default();
        assert_eq!(state.due(far), Some(far));
        state.add(path("a"), start);
        assert_eq!(state.due(far), Some(start + QUIET));
        state.add(path("b"), start + QUIET / 2);
        assert_eq!(state.due(far), Some(start + QUIET / 2 + QUIET));
        state.add(path("a"), start + GATHER_MAX);
        assert_eq!(state.due(far), Some(start + GATHER_MAX));
        let told = |at| Told { at, changed_since: false };
        let paths = [(path("a"), told(start + GATHER_MAX)), (path("b"), told(start + QUIET / 2))];
        assert_eq!(state.take(), Task::Paths(paths.into()));
        assert_eq!(state.due(far), Some(far));
        assert_eq!(state.take(), Task::Everything);
    }

    #[test]
    fn too_many_changes_are_a_scan() {
        let start = Instant::now();
        let mut state = State::default();
        for n in 0..=CHANGES_MAX {
            state.add(path(&n.to_string()), start);
        }
        assert!(state.paths.is_empty());
        assert_eq!(state.due(start + Duration::from_secs(600)), None);
        assert_eq!(state.take(), Task::Everything);
        assert!(state.times.is_none() && !state.everything);
    }

    #[test]
    fn a_path_is_told_at_once_and_again_while_it_changes() {
        let (start, tick) = (Instant::now(), Duration::from_millis(1));
        let mut state = State::default();
        for (at, expected) in [
            (start, true),
            (start + tick, false),
            (start + TELL_AGAIN - tick, false),
            (start + TELL_AGAIN, true),
            (start + 2 * TELL_AGAIN - tick, false),
        ] {
            assert_eq!(state.add(path("a"), at), expected, "{:?}", at - start);
        }
        assert!(state.paths[&path("a")].changed_since);
        assert!(state.add(path("a"), start + 2 * TELL_AGAIN));
        assert!(!state.paths[&path("a")].changed_since);
    }

    #[test]
    fn reading_is_no_change() {
        for (kind, expected) in [
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Read)), false),
            (EventKind::Access(AccessKind::Close(AccessMode::Write)), true),
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Remove(RemoveKind::Folder), true),
            (EventKind::Any, true),
        ] {
            assert_eq!(is_change(&kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn paths_are_told_below_the_share() {
        let top = Path::new("/srv/share");
        assert_eq!(below(Path::new("/srv/share/a/b"), top), Some(path("a/b")));
        assert_eq!(below(Path::new("/srv/share"), top), Some(path("")));
        assert_eq!(below(Path::new("/srv/other"), top), None);
    }
}
