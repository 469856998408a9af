//! What the parts of a cache share: where each finds the store, the names, the flights, the options in force and the runtime of the fetches. It
//! decides nothing.

use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool},
};

use parking_lot::RwLock;
use protocol::digest::Md5;
use store::Store;
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answer::pages::KeptPages,
    clock::Clock,
    failure::Failure,
    fetch::{flights::Flights, slots::Slots},
    link::desk::Desks,
    names::{book::Book, memo::Memos, told::ToldNames},
    requesters::Requesters,
    settings::Settings,
    status::{Counters, add},
    swarm::Swarm,
    upstream::{Upstream, error::AskError, health::probe_wait},
};

/// One per cache. No lock of one part is held while another part is called, but for this: a flight is joined under its shard's lock with a
/// look at the book and the store inside.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) book: Book,
    pub(crate) memos: Memos,
    pub(crate) told: ToldNames,
    pub(crate) pages: KeptPages,
    pub(crate) flights: Arc<Flights>,
    pub(crate) slots: Slots,
    pub(crate) requesters: Requesters,
    /// Who gets what in pieces.
    pub(crate) swarm: Swarm,
    pub(crate) counters: Arc<Counters>,
    /// The conversations with origins.
    pub(crate) desks: Desks,
    /// By which schedules go.
    pub(crate) clock: Clock,
    /// Whether the last fill that was to begin found no room: then the log has said so.
    pub(crate) is_short_of_room: AtomicBool,
    /// Cancelled when the program stops.
    pub(crate) closing: CancellationToken,
    /// Flights that have not ended.
    pub(crate) flying: TaskTracker,
    settings: RwLock<Arc<Settings>>,
    fetches: Handle,
}

impl Shared {
    pub(crate) fn new(
        settings: Settings,
        counters: Arc<Counters>,
        store: Store,
        fetches: Handle,
        clock: Clock,
    ) -> Self {
        Self {
            book: Book::new(store.names().clone()),
            store,
            memos: Memos::default(),
            told: ToldNames::default(),
            pages: KeptPages::default(),
            flights: Arc::default(),
            slots: Slots::default(),
            requesters: Requesters::default(),
            swarm: Swarm::default(),
            counters,
            desks: Desks::default(),
            clock,
            is_short_of_room: AtomicBool::new(false),
            closing: CancellationToken::new(),
            flying: TaskTracker::new(),
            settings: RwLock::new(Arc::new(settings)),
            fetches,
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// From now on these are in force. What was derived from the old ones is forgotten.
    pub(crate) fn replace_settings(&self, settings: Settings) {
        settings.tell_lines();
        let settings = Arc::new(settings);
        let old = std::mem::replace(&mut *self.settings.write(), settings.clone());
        let is_gone = |upstream: &&Arc<Upstream>| !settings.upstreams.iter().any(|new| Arc::ptr_eq(new, upstream));
        old.upstreams.iter().filter(is_gone).for_each(|upstream| upstream.left.cancel());
        self.book.cool();
        self.pages.clear();
    }

    /// A name, with all its variants, may stand for something else from here on. What is being fetched for it already goes to those who follow it.
    pub(crate) fn forget_name(&self, name: &[u8]) -> Vec<Md5> {
        self.memos.forget(name);
        self.told.forget(name);
        self.pages.forget(name);
        self.flights.detach(name);
        self.book.forget(name)
    }

    /// Runs something on the runtime of the fetches for as long as somebody takes from it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.fetches.spawn(task);
    }

    /// Runs a flight, which the end of the program waits for.
    pub(crate) fn spawn_flight(&self, flight: impl Future<Output = ()> + Send + 'static) {
        self.flying.spawn_on(flight, &self.fetches);
    }

    /// Runs something on the runtime of the fetches and waits for it; an early end of the program is a failure.
    pub(crate) async fn on_fetches<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (send, receive) = oneshot::channel();
        self.spawn(async move {
            // Who waited may have left.
            let _ = send.send(task.await);
        });
        receive.await.map_err(|_| Failure::interrupted())
    }

    /// Takes an outcome to the upstream's breaker; begins to probe when it opens.
    pub(crate) fn report<T>(self: &Arc<Self>, upstream: &Arc<Upstream>, outcome: &Result<T, AskError>) {
        if outcome.is_err() {
            add(&self.counters.upstream_errors, 1);
        }
        if !upstream.report(outcome) {
            return;
        }
        let (shared, upstream) = (self.clone(), Arc::downgrade(upstream));
        self.spawn(async move {
            for number in 0.. {
                tokio::select! {
                    () = shared.closing.cancelled() => return,
                    () = tokio::time::sleep(probe_wait(number)) => {}
                }
                let Some(upstream) = upstream.upgrade().filter(|upstream| upstream.health.is_down()) else { return };
                let outcome = upstream.probe().await;
                upstream.report(&outcome);
            }
        });
    }
}
