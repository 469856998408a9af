//! Does for one upstream what its [plan](super::plan) says: lists, fetches, waits, stops, and tells of it. It has no policy of its own.
//!
//! While nothing is to be done it holds nothing of the cache but a weak reference, and waits for the clock or for somebody who asks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::SystemTime,
};

use parking_lot::Mutex;
use protocol::target::Target;
use tokio::{
    sync::Notify,
    task::{AbortHandle, Id, JoinError, JoinSet},
};

use super::{
    demand::Task,
    list, notices, one,
    plan::{Became, Plan, Rules, Step, Track, Turn, Unlisted},
    queue::{Chosen, Queue, Want},
    walk::{Met, Scope},
};
use crate::{
    fetch::{flights::Flight, urgency::Class},
    options::{AtClose, Location, Mode},
    shared::Shared,
    status::add,
    upstream::{Key, Upstream},
};

/// One part of so many of the cache's room is left for what is written beside the objects.
const ROOM_SPARED: u64 = 32;

/// What of the cache's room each upstream is to have, by its last listing.
pub(crate) type Room = Mutex<BTreeMap<String, u64>>;

/// One upstream's: what its runner, those who ask and those who look share.
pub(crate) struct Desk {
    name: String,
    /// How it stands. Locked for moments; a shard of the flights is locked inside of it.
    pub(super) state: Mutex<State>,
    /// How far a listing is.
    pub(super) met: Arc<Mutex<Met>>,
    room: Arc<Room>,
    wake: Notify,
    /// It ends when what was asked for is done, and nothing of it goes by the clock.
    is_errand: bool,
}

/// What is on, and what is to come.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) plan: Plan,
    /// Files on their way.
    pub(crate) going: BTreeMap<u64, Going>,
    numbers: u64,
    /// Bytes of files that are over, since the start.
    crossed: u64,
    /// Whose plan it is: an upstream that is moved elsewhere begins anew.
    place: Option<(Location, String)>,
}

/// A file on its way.
pub(crate) struct Going {
    pub(crate) turn: Turn,
    pub(crate) began: SystemTime,
    pub(crate) target: Target,
    pub(crate) size: Option<u64>,
    /// Bytes that had crossed the line when it was looked at last.
    pub(crate) seen: u64,
    key: Key,
}

impl Going {
    /// The conversation about it, if there is one.
    pub(crate) fn flight(&self, shared: &Shared) -> Option<Arc<Flight>> {
        shared.flights.find(&self.key)
    }
}

/// What runs, and what came of it.
#[derive(Default)]
struct Tasks {
    set: JoinSet<Event>,
    jobs: HashMap<Id, Job>,
}

enum Job {
    List(Turn, Scope, AbortHandle),
    Fetch(u64, Turn, Want),
}

enum Event {
    Listed(Result<(Queue, Chosen, Met), Unlisted>),
    Became(Became),
}

/// The task of an upstream, for as long as there is one of its name.
pub(crate) async fn run(desk: Arc<Desk>, cache: Weak<Shared>) {
    let Some((closing, clock)) = cache.upgrade().map(|shared| (shared.closing.clone(), shared.clock.clone())) else {
        return;
    };
    let mut tasks = Tasks::default();
    loop {
        let rest = {
            let Some(shared) = cache.upgrade() else { return };
            let Some(upstream) = shared.settings().named(&desk.name).cloned() else { return };
            desk.turn(&shared, &upstream, &mut tasks)
        };
        if desk.is_over() {
            return;
        }
        let waiting = async {
            match rest {
                Some(moment) => clock.until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closing.cancelled() => return,
            () = desk.wake.notified() => {}
            Some(ended) = tasks.set.join_next_with_id() => {
                let Some(shared) = cache.upgrade() else { return };
                desk.ended(&shared, &mut tasks, ended);
            }
            () = waiting => {}
        }
    }
}

impl Desk {
    pub(crate) fn new(name: &str, room: Arc<Room>) -> Self {
        let (state, met) = (Mutex::default(), Arc::default());
        Self { name: name.to_owned(), state, met, room, wake: Notify::new(), is_errand: false }
    }

    /// For what an origin orders.
    pub(crate) fn of_errand(name: &str) -> Self {
        Self { is_errand: true, ..Self::new(name, Arc::default()) }
    }

    /// Of its upstream.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether all that was asked for is done, or forgotten for its upstream is another one now.
    fn is_over(&self) -> bool {
        self.is_errand && self.state.lock().plan.round(Track::Demand).is_none_or(|round| round.ended.is_some())
    }

    /// Its upstream is no more.
    pub(crate) fn leave(&self) {
        self.room.lock().remove(&self.name);
        self.wake.notify_one();
    }

    /// Options have changed.
    pub(crate) fn look_again(&self) {
        self.wake.notify_one();
    }

    /// A file has changed; `false` if that is for the next round.
    pub(crate) fn noticed(&self, want: Want) -> bool {
        let is_taken = self.state.lock().plan.noticed(want);
        if is_taken {
            self.wake.notify_one();
        }
        is_taken
    }

    /// The next listing by the clock is due, where it may be.
    pub(crate) fn look_through(&self) {
        self.state.lock().plan.make_due();
        self.wake.notify_one();
    }

    /// `false` if too much waits already.
    pub(crate) fn ask_for(&self, task: Task, now: SystemTime) -> bool {
        let is_taken = self.state.lock().plan.ask_for(task.wants, task.scopes, now);
        self.wake.notify_one();
        is_taken
    }

    /// Does all that is to be done now; until when nothing is.
    fn turn(&self, shared: &Arc<Shared>, upstream: &Arc<Upstream>, tasks: &mut Tasks) -> Option<SystemTime> {
        let options = &upstream.options;
        let rules = Rules {
            mode: if self.is_errand { Mode::Fetch } else { options.mode },
            options: &options.preload,
            now: shared.clock.now(),
            is_down: upstream.health.is_down(),
        };
        let mut state = self.state.lock();
        state.is_of(upstream);
        state.measure(shared, rules.now);
        let rest = loop {
            let running = state.going.len();
            match state.plan.next(&rules, running) {
                Step::Rest(until) => break until,
                Step::List(turn, scope) => self.list(shared, upstream, tasks, turn, scope),
                Step::Fetch(turn, want, class) => state.fetch(shared, upstream, tasks, turn, want, class, rules.now),
            }
        };
        if state.plan.class() == Class::Demand {
            state.raise(shared);
        }
        if !state.plan.is_open() {
            tasks.end_listings();
            if options.preload.at_close == AtClose::Stop {
                state.stop(shared, options.mode);
            }
        }
        let happened = state.plan.take_notices();
        for notice in happened {
            notices::tell(&self.name, &notice, &state.plan, &shared.counters);
        }
        rest
    }

    fn list(&self, shared: &Arc<Shared>, upstream: &Arc<Upstream>, tasks: &mut Tasks, turn: Turn, scope: Scope) {
        let room = self.room_left(shared);
        let (shared, upstream, met, wanted) = (shared.clone(), upstream.clone(), self.met.clone(), scope.clone());
        *met.lock() = Met::default();
        let listing = async move { Event::Listed(list::list(&shared, &upstream, wanted, room, &met).await) };
        let handle = tasks.set.spawn(listing);
        tasks.jobs.insert(handle.id(), Job::List(turn, scope, handle));
    }

    /// Bytes that the cache can have of this upstream, beside what others have by their last listings.
    fn room_left(&self, shared: &Shared) -> u64 {
        let report = shared.store.report();
        let on_disk = report.used.saturating_add(report.disk_available).saturating_sub(report.min_free);
        let capacity = report.max_size.min(on_disk);
        let others = self.room.lock().iter().filter(|(name, _)| **name != self.name).map(|(_, bytes)| *bytes).sum();
        (capacity - capacity / ROOM_SPARED).saturating_sub(others)
    }

    fn ended(&self, shared: &Arc<Shared>, tasks: &mut Tasks, ended: Result<(Id, Event), JoinError>) {
        let now = shared.clock.now();
        let (id, event) = match ended {
            Ok((id, event)) => (id, Some(event)),
            Err(error) => (error.id(), None),
        };
        let Some(job) = tasks.jobs.remove(&id) else { return };
        let mut state = self.state.lock();
        match (job, event) {
            (Job::List(turn, scope, _), Some(Event::Listed(listed))) => {
                if let Ok((_, chosen, _)) = &listed
                    && turn.track == Track::Clock
                {
                    self.room.lock().insert(self.name.clone(), chosen.bytes);
                }
                state.plan.listed(turn, scope, listed, now);
            }
            // Broken off, for its window has closed.
            (Job::List(turn, ..), _) => state.plan.unlisted(turn),
            (Job::Fetch(number, turn, want), event) => {
                let became = match event {
                    Some(Event::Became(became)) => became,
                    _ => Became::Refused("the fetch broke off".into()),
                };
                state.ended(shared, number, turn, want, became, now);
            }
        }
    }
}

impl State {
    /// What was planned for another place is forgotten.
    fn is_of(&mut self, upstream: &Upstream) {
        let place = Some((upstream.options.location.clone(), upstream.options.mount.clone()));
        // What was asked for before the first look stays.
        if self.place.is_some() && self.place != place {
            self.plan.renew();
        }
        self.place = place;
    }

    fn measure(&mut self, shared: &Shared, now: SystemTime) {
        let mut left = 0;
        for going in self.going.values_mut() {
            let Some(flight) = going.flight(shared) else { continue };
            going.seen = one::crossed(&flight);
            let fetched = flight.reader.get().map_or(0, store::Reader::fetched);
            left += going.size.unwrap_or(0).saturating_sub(fetched);
        }
        let crossed = self.crossed + self.going.values().map(|going| going.seen).sum::<u64>();
        self.plan.measured(now, crossed, left, !self.going.is_empty());
    }

    #[expect(clippy::too_many_arguments, reason = "all of what a fetch begins with")]
    fn fetch(
        &mut self,
        shared: &Arc<Shared>,
        upstream: &Arc<Upstream>,
        tasks: &mut Tasks,
        turn: Turn,
        want: Want,
        class: Class,
        now: SystemTime,
    ) {
        self.numbers += 1;
        let target = want.order.target.clone();
        let key = upstream.key(&target);
        let going = Going { turn, began: now, target: target.clone(), size: want.size, seen: 0, key };
        self.going.insert(self.numbers, going);
        let (shared, upstream) = (shared.clone(), upstream.clone());
        let handle =
            tasks.set.spawn(async move { Event::Became(one::fetch(&shared, &upstream, &target, class).await) });
        tasks.jobs.insert(handle.id(), Job::Fetch(self.numbers, turn, want));
    }

    fn ended(&mut self, shared: &Shared, number: u64, turn: Turn, want: Want, became: Became, now: SystemTime) {
        let seen = self.going.remove(&number).map_or(0, |going| going.seen);
        let counters = &shared.counters;
        match &became {
            Became::Here { .. } => add(&counters.preload_here, 1),
            Became::Fetched { .. } => add(&counters.preload_fetched, 1),
            _ => {}
        }
        let crossed = match &became {
            Became::Fetched { crossed, .. } => *crossed,
            _ => seen,
        };
        self.crossed += crossed;
        add(&counters.preload_bytes, crossed);
        let path = want.order.target.to_string();
        if self.plan.became(turn, want, &path, became, now) {
            add(&counters.preload_failed, 1);
        }
    }

    /// There is no time to spare: what is on its way goes beside what clients wait for.
    fn raise(&self, shared: &Shared) {
        for going in self.going.values().filter(|going| going.turn.track == Track::Clock) {
            if let Some(flight) = going.flight(shared) {
                flight.urgency.raise(Class::Demand);
            }
        }
    }

    /// The window has closed: what is on its way stops at its byte, unless somebody waits for it.
    fn stop(&self, shared: &Shared, mode: Mode) {
        let is_asked_for =
            |key: &Key| self.going.values().any(|going| going.turn.track == Track::Demand && going.key == *key);
        for going in self.going.values().filter(|going| going.turn.track == Track::Clock && !is_asked_for(&going.key)) {
            shared.flights.stop(&going.key, mode == Mode::Preload);
        }
    }
}

impl Tasks {
    /// Listings of what goes by the clock end; those on demand go on.
    fn end_listings(&self) {
        for job in self.jobs.values() {
            if let Job::List(turn, _, handle) = job
                && turn.track == Track::Clock
            {
                handle.abort();
            }
        }
    }
}
