//! Looks after all jobs of this machine: a task for each, which is woken by time, by what is assigned, and by what the origin tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use protocol::jobs::{JOBS_MAX, Job, JobState, State, check_command, check_dir, check_package, is_name};
use store::Pinning;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    board::{Board, Shown, unknown},
    place::{self, Standing},
    places::Places,
    record,
    run::{Means, Run},
};
use crate::{
    bring::finder::now,
    decide::jobs::{
        due::Due,
        plan::{Kept, Own, in_the_way},
    },
    seed,
    service::{downloads::Downloads, names},
};

/// Jobs that are looked after at once; others wait.
const RUNS_MAX: usize = 4;
/// What is being done when the service ends gets so long.
const END_TIMEOUT: Duration = Duration::from_secs(8);

/// All jobs of this machine.
pub(crate) struct Jobs {
    means: Means,
    every: Duration,
    spread: Duration,
    remove_unassigned: bool,
    runs: Semaphore,
    tasks: Mutex<Tasks>,
    handle: Handle,
}

#[derive(Default)]
struct Tasks {
    entries: BTreeMap<String, Entry>,
    running: JoinSet<()>,
    packages: Vec<String>,
}

/// What one task is told, and what it tells.
struct Entry {
    wanted: watch::Sender<Wanted>,
    /// The last wish to be run now that it has fulfilled.
    done: watch::Receiver<u64>,
}

/// What is wanted of a task.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// None: it is this machine's no more.
    job: Option<Job>,
    /// The job whose directory it would share.
    clash: Option<String>,
    /// How often something happened that everybody hears.
    soon: u64,
    /// How often somebody wanted it at once.
    now: u64,
    ending: bool,
}

impl Jobs {
    pub(crate) fn new(options: &config::agent::Jobs, downloads: Arc<Downloads>, handle: Handle) -> Arc<Self> {
        let own =
            Own { on_ready: options.on_ready.clone(), commands: options.commands, time_limit: options.time_limit };
        Arc::new(Self {
            means: Means {
                downloads,
                places: Places::new(&options.dir),
                own,
                min_free: options.min_free,
                board: Arc::default(),
                commands: Semaphore::new(1),
            },
            every: options.every,
            spread: options.spread,
            remove_unassigned: options.remove_unassigned,
            runs: Semaphore::new(RUNS_MAX),
            tasks: Mutex::default(),
            handle,
        })
    }

    /// How they stand.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.means.board
    }

    /// For people and scripts of this machine.
    pub(crate) fn shown(&self) -> Vec<serde_json::Value> {
        let pinned = self.means.downloads.store().pinned();
        let of =
            |package: &str| pinned.iter().find(|pinned| *pinned.pattern == *package).map_or(0, |pinned| pinned.objects);
        self.means.board.shown(now(), of)
    }

    /// From now on these are this machine's. Blocks for a look at what is remembered.
    pub(crate) fn assign(self: &Arc<Self>, jobs: &[Job]) {
        let jobs = fit(jobs);
        let remembered = record::names(&self.means.places);
        let mut tasks = self.tasks.lock();
        while tasks.running.try_join_next().is_some() {}
        for job in &jobs {
            let clash = in_the_way(&jobs, &job.name).map(|other| other.name.clone());
            self.entry(&mut tasks, &job.name).wanted.send_modify(|wanted| {
                if wanted.job.as_ref() != Some(job) || wanted.clash != clash {
                    (wanted.job, wanted.clash) = (Some(job.clone()), clash);
                    wanted.soon += 1;
                }
            });
        }
        let assigned: BTreeSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        let others: Vec<String> =
            tasks.entries.keys().chain(&remembered).filter(|name| !assigned.contains(name.as_str())).cloned().collect();
        for name in others {
            self.entry(&mut tasks, &name).wanted.send_modify(|wanted| wanted.job = None);
        }
        let packages: Vec<String> = jobs.iter().map(|job| job.package.clone()).collect();
        let has_others = tasks.packages != packages;
        tasks.packages.clone_from(&packages);
        drop(tasks);
        if has_others {
            self.pin(packages);
        }
    }

    fn entry<'t>(self: &Arc<Self>, tasks: &'t mut Tasks, name: &str) -> &'t Entry {
        if !tasks.entries.contains_key(name) {
            let (wanted, receiver) = watch::channel(Wanted::default());
            let (tell, done) = watch::channel(0);
            let task = Task { jobs: self.clone(), name: name.into(), wanted: receiver, done: tell };
            tasks.running.spawn_on(task.look_after(), &self.handle);
            tasks.entries.insert(name.into(), Entry { wanted, done });
        }
        &tasks.entries[name]
    }

    /// What is kept is pinned in the cache too: it mends what is changed here, and neighbours ask for it.
    fn pin(&self, packages: Vec<String>) {
        let patterns = packages.iter().map(|package| package.as_str().into()).collect();
        let is_of = move |key: &[u8]| {
            let path = names::path_of(key)?;
            packages.iter().position(|package| path.starts_with(package.as_bytes()))
        };
        self.means.downloads.store().set_pinning(Pinning::new(patterns, Arc::new(is_of)));
    }

    /// Folders whose changes are of interest.
    pub(crate) fn folders(&self) -> Vec<String> {
        self.tasks.lock().packages.clone()
    }

    /// Something has changed at a path, or below it.
    pub(crate) fn changed(&self, path: &str) {
        let folder = format!("{}/", path.trim_end_matches('/'));
        for entry in self.tasks.lock().entries.values() {
            entry.wanted.send_if_modified(|wanted| {
                let package = wanted.job.as_ref().map_or("", |job| &job.package);
                let concerns = !package.is_empty() && (path.starts_with(package) || package.starts_with(&folder));
                wanted.soon += u64::from(concerns);
                concerns
            });
        }
    }

    /// All of them now; how they stand when each has been looked after.
    pub(crate) async fn run_now(&self) -> Vec<JobState> {
        let waits: Vec<(u64, watch::Receiver<u64>)> = {
            let tasks = self.tasks.lock();
            let ask = |entry: &Entry| {
                entry.wanted.send_modify(|wanted| wanted.now += 1);
                (entry.wanted.borrow().now, entry.done.clone())
            };
            tasks.entries.values().filter(|entry| entry.wanted.borrow().job.is_some()).map(ask).collect()
        };
        for (number, mut done) in waits {
            // A task that has ended has nothing to do any more.
            drop(done.wait_for(|done| *done >= number).await);
        }
        self.means.board.states()
    }

    /// All of them now, without waiting for it.
    pub(crate) fn nudge(&self) {
        self.tasks.lock().entries.values().for_each(|entry| entry.wanted.send_modify(|wanted| wanted.now += 1));
    }

    /// Ends what is being done: commands are ended with all that they have started, and run again after the next start.
    pub(crate) async fn end(&self) {
        let mut running = {
            let mut tasks = self.tasks.lock();
            tasks.entries.values().for_each(|entry| entry.wanted.send_modify(|wanted| wanted.ending = true));
            std::mem::take(&mut tasks.running)
        };
        let all = async { while running.join_next().await.is_some() {} };
        drop(tokio::time::timeout(END_TIMEOUT, all).await);
    }
}

/// What can be looked after of what an origin says: it has checked it, and is not believed all the same.
fn fit(jobs: &[Job]) -> Vec<Job> {
    let mut names = BTreeSet::new();
    let is_fit = |job: &&Job| {
        let is_good = is_name(&job.name)
            && check_dir(&job.dir).is_ok()
            && check_package(&job.package).is_ok()
            && check_command(&job.on_ready).is_ok();
        if !is_good {
            let job = job.name.escape_debug().to_string();
            tracing::warn!(job, "the origin assigns a job that cannot be kept; it is left out");
        }
        is_good
    };
    jobs.iter().filter(is_fit).filter(|job| names.insert(job.name.clone())).take(JOBS_MAX).cloned().collect()
}

/// Looks after one job for as long as it is this machine's.
struct Task {
    jobs: Arc<Jobs>,
    name: String,
    wanted: watch::Receiver<Wanted>,
    done: watch::Sender<u64>,
}

impl Task {
    async fn look_after(mut self) {
        let jobs = self.jobs.clone();
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        let mut kept = self.remembered().await;
        let mut due = Due::new(now(), jobs.every, jobs.spread, seed());
        let mut heard = Wanted::default();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            if wanted.ending {
                return;
            }
            let Some(job) = wanted.job.clone() else {
                self.unassigned(&mut kept).await;
                if self.has_gone() {
                    return;
                }
                continue;
            };
            let kept = kept.get_or_insert_with(|| nothing_yet(&job));
            self.show(kept, &job);
            if heard.soon != wanted.soon {
                due.soon(now());
            }
            if heard.now != wanted.now {
                due.now(now());
            }
            heard = wanted;
            if due.at() > now() {
                if !self.rest(&due).await {
                    return;
                }
                continue;
            }
            let Ok(_turn) = jobs.runs.acquire().await else { return };
            let place = Arc::new(lock.clone().lock_owned().await);
            let run = Run { means: &jobs.means, job: &job, kept, clash: heard.clash.as_deref(), place };
            tokio::select! {
                said = run.once() => {
                    due.done(now(), kept.state.state, said);
                    self.done.send_replace(heard.now);
                }
                () = interrupted(&mut self.wanted, &job) => due.soon(now()),
            }
        }
    }

    /// Until it is due, or something else is wanted. `false`: nobody can want anything any more.
    async fn rest(&mut self, due: &Due) -> bool {
        self.jobs.means.board.note(&self.name, |shown| shown.next = Some(due.at()));
        tokio::select! {
            () = tokio::time::sleep_until(due.at().into()) => true,
            changed = self.wanted.changed() => changed.is_ok(),
        }
    }

    async fn remembered(&self) -> Option<Kept> {
        let (places, name) = (self.jobs.means.places.clone(), self.name.clone());
        tokio::task::spawn_blocking(move || record::read(&places, &name)).await.ok().flatten()
    }

    fn show(&self, kept: &mut Kept, job: &Job) {
        let is_shown = kept.job == *job && self.jobs.means.board.states().iter().any(|state| state.name == self.name);
        if is_shown {
            return;
        }
        if kept.job != *job {
            kept.job = job.clone();
            if kept.state.state != State::Waiting {
                // What it was of the job before says nothing of this one.
                kept.state.state = State::Waiting;
                kept.state.detail = String::new();
            }
        }
        let places = &self.jobs.means.places;
        self.jobs.means.board.put(Shown {
            job: job.clone(),
            state: kept.state.clone(),
            dir: places.tree(&job.dir),
            output: places.output(&self.name),
            next: None,
            files: kept.listed.as_ref().map(|(head, _)| head.files),
        });
    }

    /// It is this machine's no more.
    async fn unassigned(&self, kept: &mut Option<Kept>) {
        self.jobs.means.board.take(&self.name);
        if !self.jobs.remove_unassigned {
            return;
        }
        let Some(kept) = kept.take() else { return };
        let (places, name) = (self.jobs.means.places.clone(), self.name.clone());
        let others: Vec<String> = self
            .jobs
            .tasks
            .lock()
            .entries
            .values()
            .filter_map(|entry| entry.wanted.borrow().job.as_ref().map(|job| job.dir.clone()))
            .collect();
        // Where another job is now, its files are not these.
        let is_anothers = others.iter().any(|dir| protocol::jobs::overlap(dir, &kept.job.dir));
        let removing = tokio::task::spawn_blocking(move || {
            let dir = places.tree(&kept.job.dir);
            if !is_anothers && let Ok(Standing::Ours(tree, _)) = place::standing(places.top(), &dir) {
                place::remove_ours(&dir, &tree)?;
            }
            record::forget(&places, &name);
            std::io::Result::Ok(())
        });
        let job = &self.name;
        match removing.await {
            Ok(Ok(())) => tracing::info!(job, "a job is no more one of this machine, and its files were removed"),
            Ok(Err(error)) => {
                tracing::warn!(job, %error, "files of a job that is no more one of this machine cannot be removed")
            }
            Err(_) => {}
        }
    }

    /// Whether nobody wants it again; then its entry is gone too.
    fn has_gone(&self) -> bool {
        let mut tasks = self.jobs.tasks.lock();
        let is_unwanted = self.wanted.borrow().job.is_none();
        if is_unwanted {
            tasks.entries.remove(&self.name);
        }
        is_unwanted
    }
}

/// Of a job that was never looked after.
fn nothing_yet(job: &Job) -> Kept {
    Kept { job: job.clone(), listed: None, ran: None, state: unknown(&job.name) }
}

/// The job is another now, or the service ends.
async fn interrupted(wanted: &mut watch::Receiver<Wanted>, job: &Job) {
    let is_other = |wanted: &Wanted| wanted.ending || wanted.job.as_ref() != Some(job);
    if wanted.wait_for(is_other).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, dir: &str, package: &str) -> Job {
        Job { name: name.into(), package: package.into(), dir: dir.into(), on_ready: Vec::new(), time_limit: 1 }
    }

    #[test]
    fn what_leads_out_is_left_out_whatever_the_origin_says() {
        let good = job("office", "office", "/p/office/");
        let jobs = [
            good.clone(),
            job("..", "a", "/p/a/"),
            job("a", "../a", "/p/a/"),
            job("b", "/etc", "/p/a/"),
            job("c", ".outpost/new", "/p/a/"),
            job("d", "d", "/p/../a/"),
            Job { on_ready: vec![String::new()], ..job("e", "e", "/p/e/") },
            job("office", "other", "/p/other/"),
        ];
        assert_eq!(fit(&jobs), [good]);
        let many: Vec<Job> = (0..JOBS_MAX + 5).map(|number| job(&format!("j{number}"), "x", "/p/a/")).collect();
        assert_eq!(fit(&many).len(), JOBS_MAX);
    }
}
