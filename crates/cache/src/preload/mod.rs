//! What is fetched before anybody asks for it: by the clock, by a deadline, and on demand. Each upstream has a `plan`, which decides, and a
//! `runner`, which does what it says; `Preloader` is all of them together.
//!
//! Pure are `due` (when), `walk` (what of a listing), `queue` (in which order), `forecast` (whether it will be in time) and `plan`. `list`
//! asks an upstream for its folders, `one` fetches one file, `demand` is what somebody asks for now, `errand` what an origin orders, `report` what is told of it all, `notices` what the log says.

mod demand;
mod due;
mod errand;
mod forecast;
mod list;
mod notices;
mod one;
mod plan;
mod queue;
mod report;
mod runner;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use protocol::{catalog::File, target::Target};

pub use self::{
    demand::{Demand, DemandError, PATHS_MAX, Wanted},
    errand::{Errand, Progress},
};
use self::{
    plan::Became,
    queue::Want,
    runner::{Desk, Room},
    walk::Scope,
};
use crate::{
    fetch::urgency::Class, options::PreloadOptions, shared::Shared, status::PreloadStatus, upstream::Upstream,
};

/// What became of a file that was to be preloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preloaded {
    /// It was here as it is there.
    Here,
    /// It came; so many bytes of it over the line just now.
    Fetched(u64),
    /// The upstream has no such file.
    NotThere,
    /// It is a folder.
    Folder,
    /// It is not for the cache, and why.
    Refused(String),
    /// It did not come, and may another time; and why.
    NotNow(String),
}

/// Brings one file here.
pub(crate) async fn one_file(shared: &Arc<Shared>, path: &str) -> Result<Preloaded, DemandError> {
    let (upstream, below) =
        demand::place(&shared.settings(), None, path).map(|(upstream, below)| (upstream.clone(), below))?;
    if below.is_directory() {
        return Ok(Preloaded::Folder);
    }
    Ok(match one::fetch(shared, &upstream, &below, Class::Preload).await {
        Became::Here { .. } => Preloaded::Here,
        Became::Fetched { crossed, .. } => Preloaded::Fetched(crossed),
        Became::Gone => Preloaded::NotThere,
        Became::Folder => Preloaded::Folder,
        Became::Refused(reason) => Preloaded::Refused(reason),
        Became::Later { reason, .. } => Preloaded::NotNow(reason),
        Became::Stopped => Preloaded::NotNow("it was told to stop at its byte".into()),
    })
}

/// The preloading of all upstreams.
pub(crate) struct Preloader {
    desks: Mutex<BTreeMap<String, Arc<Desk>>>,
    room: Arc<Room>,
}

impl Preloader {
    /// Begins with the options that are in force.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let preloader = Self { desks: Mutex::default(), room: Arc::default() };
        preloader.reconfigured(shared);
        preloader
    }

    /// Goes by the options that are in force now. What is on its way goes on.
    pub(crate) fn reconfigured(&self, shared: &Arc<Shared>) {
        let settings = shared.settings();
        let names = || settings.upstreams.iter().map(|upstream| upstream.options.name.as_str());
        let mut desks = self.desks.lock();
        desks.retain(|name, desk| {
            let stays = names().any(|known| known == name);
            if !stays {
                desk.leave();
            }
            stays
        });
        for name in names() {
            match desks.get(name) {
                Some(desk) => desk.look_again(),
                None => {
                    let desk = Arc::new(Desk::new(name, self.room.clone()));
                    desks.insert(name.to_owned(), desk.clone());
                    shared.spawn(runner::run(desk, Arc::downgrade(shared)));
                }
            }
        }
    }

    /// What somebody asks for is done as soon as may be, whatever the clock says. The names of the upstreams that it is of.
    pub(crate) fn ask_for(&self, shared: &Shared, demand: &Demand) -> Result<Vec<String>, DemandError> {
        let tasks = demand::tasks(&shared.settings(), demand)?;
        let desks = self.desks.lock();
        let mut names = Vec::new();
        for (name, task) in tasks {
            let Some(desk) = desks.get(&name) else { continue };
            if !desk.ask_for(task, shared.clock.now()) {
                return Err(DemandError::Full);
            }
            names.push(name);
        }
        Ok(names)
    }

    /// These files of an upstream have changed: where they are wanted and it is the time for that, they are brought at once.
    pub(crate) fn changed(&self, shared: &Shared, upstream: &Upstream, files: Vec<(Target, File)>) {
        let desk = self.desks.lock().get(&upstream.options.name).cloned();
        let is_open = || due::is_open(upstream.options.mode, &upstream.options.preload, shared.clock.now());
        let Some(desk) = desk.filter(|_| !files.is_empty() && is_open()) else { return };
        let PreloadOptions { include, exclude, priority, .. } = &upstream.options.preload;
        let scope = Scope::new(include, exclude, priority);
        for (target, file) in files {
            let Some(order) = scope.order_of(&target) else { continue };
            let is_begun = desk.noticed(Want { order, size: Some(file.size), tries: 0 });
            // Where nothing is asked for clients, what is here would be given out until it has come.
            if is_begun && !upstream.options.mode.asks_for_clients() {
                shared.book.forget(&upstream.key(&target));
            }
        }
    }

    /// What an upstream has may be another than was known: it is looked through as soon as it is the time for that.
    pub(crate) fn look_through(&self, upstream: &str) {
        if let Some(desk) = self.desks.lock().get(upstream) {
            desk.look_through();
        }
    }

    /// How all upstreams stand.
    pub(crate) fn status(&self, shared: &Shared) -> Vec<PreloadStatus> {
        let settings = shared.settings();
        let desks = self.desks.lock().clone();
        let of = |upstream: &Arc<Upstream>| Some(desks.get(&upstream.options.name)?.status(shared, upstream));
        settings.upstreams.iter().filter_map(of).collect()
    }
}
