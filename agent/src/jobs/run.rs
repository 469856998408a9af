//! Looks after one job once: what [`plan`](crate::decide::jobs::plan) says, one step after the other. Dropping a run stops it; what is here stays, and a command that
//! runs is ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use config::value::human_size;
use protocol::jobs::{Job, JobState, State};
use store::Limit;
use tokio::{
    sync::{OwnedMutexGuard, Semaphore},
    task::JoinSet,
};

use super::{
    board::Board,
    command::{Running, program_of_tree},
    disk::{blocking, failed},
    file::{Old, One},
    listing::{Listed, Settled, list},
    place::{self, Standing},
    places::Places,
    record::{self, Look, Seen},
    stray,
};
use crate::{
    decide::jobs::{
        plan::{Command, End, Head, Kept, Own, Ran, Stopped, command, end_of, has_to_run, key},
        tree::Tree,
    },
    seed,
    service::downloads::Downloads,
};

/// Files of a job that are brought at once; the service has a limit of its own for all.
const FILES_AT_ONCE: usize = 8;

/// What all jobs share.
pub(super) struct Means {
    pub(super) downloads: Arc<Downloads>,
    pub(super) places: Places,
    pub(super) own: Own,
    pub(super) min_free: Limit,
    pub(super) board: Arc<Board>,
    /// Commands run one at a time: installers get in each other's way.
    pub(super) commands: Semaphore,
}

/// One job, looked after once.
pub(super) struct Run<'a> {
    pub(super) means: &'a Means,
    pub(super) job: &'a Job,
    pub(super) kept: &'a mut Kept,
    /// The job before it that has its directory.
    pub(super) clash: Option<&'a str>,
    /// Work on the disk that a dropped run has begun goes on, and holds this: the next run waits for it.
    pub(super) place: Arc<OwnedMutexGuard<()>>,
}

/// What stands in a job's place, and of which package.
type Ours = Option<(Tree, String)>;

impl Run<'_> {
    /// Does it; answers when a server has said to come again, if one has.
    pub(super) async fn once(mut self) -> Option<Duration> {
        self.end_stray().await;
        let came = self.attempt().await;
        let (state, detail, said) = match came {
            Ok(remark) => (State::Installed, remark, None),
            Err(Stopped::Preload(why, said)) => (State::Cancelled, why, said),
            Err(stopped) => {
                let (state, detail) = stopped.state();
                (state, detail, None)
            }
        };
        let job = &self.job.name;
        if self.kept.state.state != state || self.kept.state.detail != detail {
            match state {
                State::Failed => tracing::warn!(job, "a job has failed: {detail}"),
                _ => tracing::info!(job, detail, "a job is {}", state.name()),
            }
        }
        self.say(|told| (told.state, told.detail) = (state, detail));
        let files = self.kept.listed.as_ref().map(|(head, _)| head.files);
        self.means.board.note(&self.job.name, |shown| shown.files = files);
        if let Err(Stopped::Failed(why)) = self.keep().await {
            tracing::warn!(job = self.job.name, "what became of a job cannot be kept: {why}");
        }
        said
    }

    /// What a killed agent has left running of this job.
    async fn end_stray(&mut self) {
        if let Some(ran) = self.kept.ran.as_ref().filter(|ran| ran.ended.is_none())
            && stray::end(&ran.mark).await > 0
        {
            tracing::warn!(
                job = self.job.name,
                "a command that an earlier run of this agent had left running was ended"
            );
        }
    }

    /// `Ok`: all is as it should be, with a remark.
    async fn attempt(&mut self) -> Result<String, Stopped> {
        if let Some(other) = self.clash {
            let dir = &self.job.dir;
            return Err(Stopped::Failed(format!(
                "its directory {dir} is that of the job {other}, or lies in it, or around it; give it another"
            )));
        }
        let dir = self.means.places.tree(&self.job.dir);
        let ours = self.standing(&dir).await?;
        let (head, tree, remark) = self.wanted(&ours).await?;
        let is_there = ours
            .as_ref()
            .is_some_and(|(there, package)| there.digest() == tree.digest() && *package == self.job.package);
        if is_there {
            self.mend(&dir, &tree).await?;
        } else {
            self.install(&dir, &tree, ours).await?;
        }
        if let Some(head) = head {
            self.say(|told| {
                (told.version, told.generation, told.tree) =
                    (head.version.clone(), head.generation, Some(tree.digest()));
            });
            self.kept.listed = Some((head, tree.digest()));
        }
        self.command(&dir, &tree).await?;
        Ok(remark)
    }

    async fn standing(&self, dir: &Path) -> Result<Ours, Stopped> {
        let (top, of) = (self.means.places.top().to_owned(), dir.to_owned());
        let make = move || fs::create_dir_all(&top).and_then(|()| place::standing(&top, &of));
        match self.blocking(make).await? {
            Standing::Free => Ok(None),
            Standing::Ours(tree, package) => Ok(Some((tree, package))),
            Standing::Foreign(what) => {
                Err(Stopped::Failed(format!("{what}; move it away, or give the job another dir")))
            }
        }
    }

    /// The tree that is to be there; a new head where it was listed.
    async fn wanted(&self, ours: &Ours) -> Result<(Option<Head>, Tree, String), Stopped> {
        let there = ours.as_ref().filter(|(_, package)| *package == self.job.package).map(|(tree, _)| tree);
        let listed = self.kept.listed.as_ref().filter(|(_, tree)| there.is_some_and(|there| there.digest() == *tree));
        let finder = self.means.downloads.ways().finder;
        let package = &self.job.package;
        let found = list(&finder, package, listed.map(|(head, _)| head)).await;
        match (found, there) {
            (Listed::Tree(head, tree, Settled::Yes), _) => Ok((Some(head), tree, String::new())),
            (Listed::Same, Some(there)) => Ok((None, there.clone(), String::new())),
            (Listed::Nobody, Some(there)) => Ok((None, there.clone(), String::new())),
            (Listed::Absent, Some(there)) => {
                Ok((None, there.clone(), format!("the origin has no package {package} any more; what is here stays")))
            }
            (Listed::Absent, None) => {
                Err(Stopped::Waiting(format!("the origin has no package {package}; it is waited for")))
            }
            (Listed::Nobody | Listed::Same, None) => {
                Err(Stopped::Waiting("no origin can be asked what the package has".into()))
            }
            // Half of a package is none, and its command is not to run.
            (Listed::Tree(_, _, Settled::NotYet) | Listed::Changing, _) => {
                Err(Stopped::Waiting("the package is being changed at the origin".into()))
            }
            (Listed::Unfit(why), _) => Err(Stopped::Failed(why.to_string())),
        }
    }

    /// Brings a tree, and puts it into its place as a whole.
    async fn install(&mut self, dir: &Path, tree: &Tree, ours: Ours) -> Result<(), Stopped> {
        self.say(|told| (told.state, told.detail) = (State::Waiting, format!("{} files are brought", tree.len())));
        let new = self.means.places.new_tree(&self.job.name);
        let (of, wanted) = (new.clone(), tree.clone());
        let (missing, mut seen) = self
            .blocking(move || {
                place::clear(&of, &wanted)?;
                let mut seen = Seen::new();
                Ok((place::wrong(&of, &wanted, &mut seen), seen))
            })
            .await?;
        self.see_to_room(missing.iter().filter_map(|path| tree.file(path)).map(|entry| entry.size).sum())?;
        let old = ours.as_ref().map(|(before, _)| Old::of(dir, before)).unwrap_or_default();
        self.bring_all(&new, tree, missing, old, &mut seen).await?;
        self.say(|told| (told.state, told.detail) = (State::Installing, "it is put into its place".into()));
        let (to, wanted, left) = (dir.to_owned(), tree.clone(), self.means.places.left(&self.job.name));
        let (job, package) = (self.job.name.clone(), self.job.package.clone());
        let stays = self.blocking(move || place::put_in_place(&new, &to, &job, &package, &wanted, &left)).await?;
        for path in stays {
            let (job, path) = (&self.job.name, path.display().to_string());
            tracing::warn!(
                job,
                path,
                "a file that no job had put there stood where the package has one; it lies below .outpost/left now"
            );
        }
        self.keep_seen(seen).await
    }

    /// Brings again what is not as it should be.
    async fn mend(&mut self, dir: &Path, tree: &Tree) -> Result<(), Stopped> {
        let (places, name) = (self.means.places.clone(), self.job.name.clone());
        let (of, wanted) = (dir.to_owned(), tree.clone());
        let (wrong, before, mut seen) = self
            .blocking(move || {
                let before = record::seen(&places, &name);
                let mut seen = before.clone();
                Ok((place::wrong(&of, &wanted, &mut seen), before, seen))
            })
            .await?;
        if !wrong.is_empty() {
            let (job, count) = (&self.job.name, wrong.len());
            tracing::warn!(job, count, "files of a job are gone or were changed; they are brought again");
            self.say(|told| (told.state, told.detail) = (State::Waiting, format!("{count} files are brought again")));
            self.bring_all(dir, tree, wrong, Old::default(), &mut seen).await?;
        }
        if seen == before { Ok(()) } else { self.keep_seen(seen).await }
    }

    fn see_to_room(&self, takes: u64) -> Result<(), Stopped> {
        let top = self.means.places.top();
        let space = os::disk_space::disk_space(top).map_err(failed)?;
        let stays_free = self.means.min_free.of(space.total);
        if space.available.saturating_sub(stays_free) >= takes {
            return Ok(());
        }
        let [needs, has, free] = [takes, space.available, stays_free].map(human_size);
        Err(Stopped::Failed(format!(
            "the package takes {needs} more, and the disk of {} has {has}, of which {free} are to stay free (jobs.min_free)",
            top.display()
        )))
    }

    /// Puts files into a tree: from the old one where it has them, else brought. The first that cannot be had ends it; those that are being put there end first.
    async fn bring_all(
        &self,
        to: &Path,
        tree: &Tree,
        paths: Vec<PathBuf>,
        old: Old,
        seen: &mut Seen,
    ) -> Result<(), Stopped> {
        let (mut paths, old) = (paths.into_iter(), Arc::new(old));
        let mut brought: JoinSet<Result<(PathBuf, Look), Stopped>> = JoinSet::new();
        let mut stopped = None;
        loop {
            while brought.len() < FILES_AT_ONCE
                && stopped.is_none()
                && let Some(path) = paths.next()
            {
                let Some(entry) = tree.file(&path).cloned() else { continue };
                let one = One { path, entry, to: to.to_owned(), place: self.place.clone() };
                brought.spawn(one.bring(self.means.downloads.clone(), old.clone()));
            }
            match brought.join_next().await {
                None => break,
                Some(Ok(Ok((path, look)))) => drop(seen.insert(path, look)),
                // The others may wait for days for what is missing; the next run finds what came.
                Some(Ok(Err(why))) => {
                    stopped.get_or_insert(why);
                    brought.abort_all();
                }
                Some(Err(_)) => {}
            }
        }
        stopped.map_or(Ok(()), Err)
    }

    /// Runs what is to be run, unless it has ended well before.
    async fn command(&mut self, dir: &Path, tree: &Tree) -> Result<(), Stopped> {
        let own = self.means.own.clone();
        let (words, limit) = match command(self.job, &own) {
            Command::None => return Ok(()),
            Command::NotAllowed => {
                return Err(Stopped::Failed(
                    "the origin wants a command to be run, and this machine does not allow it; set jobs.commands = true here, or a command of its own with jobs.on_ready"
                        .into(),
                ));
            }
            Command::Run(words, limit) => (words, limit),
        };
        let key = key(&tree.digest(), words);
        if !has_to_run(self.kept.ran.as_ref(), &key) {
            return Ok(());
        }
        if let Some(program) = program_of_tree(&words[0]).filter(|program| tree.file(program).is_some()) {
            let file = dir.join(program);
            self.blocking(move || place::make_program(&file)).await?;
        }
        let turn = self.means.commands.acquire().await;
        let mark = format!("{:016x}", seed());
        self.kept.ran = Some(Ran { key, mark: mark.clone(), ended: None });
        self.say(|told| {
            (told.state, told.detail) = (State::Installing, "its command runs".into());
            (told.exit, told.output) = (None, String::new());
        });
        // Before it begins: what is not remembered would run again after it has ended well.
        self.keep().await?;
        let output = self.means.places.output(&self.job.name);
        let version = self.kept.state.version.clone().unwrap_or_default();
        let running =
            Running { job: self.job, words, limit, dir, tree, version: &version, mark: &mark, output: &output };
        let (end, printed) = running.to_its_end().await;
        drop(turn);
        self.ended(end, &printed).await
    }

    async fn ended(&mut self, end: End, printed: &[u8]) -> Result<(), Stopped> {
        if let Some(ran) = &mut self.kept.ran {
            ran.ended = Some(end.clone());
        }
        let (state, detail) = end.state();
        self.say(|told| (told.exit, told.output) = (end.code(), end_of(printed)));
        self.keep().await?;
        if state == State::Failed { Err(Stopped::Failed(detail)) } else { Ok(()) }
    }

    /// Says it to whoever asks, and remembers it.
    fn say(&mut self, change: impl FnOnce(&mut JobState)) {
        if let Some(now) = self.means.board.say(&self.job.name, change) {
            self.kept.state = now;
        }
    }

    async fn keep(&self) -> Result<(), Stopped> {
        let (places, kept) = (self.means.places.clone(), self.kept.clone());
        self.blocking(move || record::keep(&places, &kept)).await
    }

    async fn keep_seen(&self, seen: Seen) -> Result<(), Stopped> {
        let (places, name) = (self.means.places.clone(), self.job.name.clone());
        self.blocking(move || record::keep_seen(&places, &name, &seen)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Stopped> {
        blocking(self.place.clone(), work).await
    }
}
