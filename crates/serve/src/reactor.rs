//! The life of one reactor thread: takes accepted connections in, lets each run, looks at their time limits, and ends when nobody accepts any more and the
//! last connection has gone. What its connections share is in `worker`, what they do in `connection`.

use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    runtime::LocalRuntime,
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};

use crate::{
    clients::census::Place,
    connection,
    drain::State,
    entrance::Entrance,
    handler::{Client, Handler},
    link::Link,
    listen::Door,
    worker::{Setup, Worker},
};

/// How long a worker may run before another thread of its processor has its turn, and so how soon it is to run once it wakes.
const SLICE: Duration = Duration::from_micros(200);

/// A connection on its way from the acceptor to a worker.
pub(crate) struct Accepted {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) client: Client,
    pub(crate) door: Door,
    /// That the client takes, where they are counted.
    pub(crate) place: Option<Place>,
}

/// Who answers behind each door.
pub(crate) struct Doors<H> {
    pub(crate) files: Arc<Entrance<H>>,
    pub(crate) redirect: Arc<Entrance<H>>,
}

impl<H> Doors<H> {
    fn behind(&self, door: Door) -> Arc<Entrance<H>> {
        match door {
            Door::Plain | Door::Secure => self.files.clone(),
            Door::Redirect => self.redirect.clone(),
        }
    }
}

impl<H> Clone for Doors<H> {
    fn clone(&self) -> Self {
        Self { files: self.files.clone(), redirect: self.redirect.clone() }
    }
}

/// Everything a reactor thread is started with.
pub(crate) struct Reactor<H> {
    pub(crate) setup: Setup,
    pub(crate) doors: Doors<H>,
    pub(crate) accepted: mpsc::Receiver<Accepted>,
    pub(crate) state: watch::Receiver<State>,
    /// Connections of this worker, for the acceptor to compare.
    pub(crate) load: Arc<AtomicUsize>,
    /// Transfers that were cut at the end, of all workers.
    pub(crate) cut: Arc<AtomicUsize>,
}

impl<H: Handler> Reactor<H> {
    /// The thread's life: until there is nobody to accept for and no connection left.
    pub(crate) fn run(self, runtime: &LocalRuntime) {
        // Without it all works the same, later where others compute on this processor.
        if let Err(error) = os::process::set_slice(SLICE) {
            tracing::debug!(%error, "the scheduler gives no shorter slices");
        }
        runtime.block_on(self.work());
    }

    async fn work(mut self) {
        let worker = Rc::new(Worker::new(self.setup, self.load));
        let mut ticker = tokio::time::interval(worker.tick());
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut accepting, mut told) = (true, true);
        while accepting || worker.has_connections() {
            tokio::select! {
                accepted = self.accepted.recv(), if accepting => match accepted {
                    Some(accepted) => start(&worker, accepted, &self.doors),
                    None => accepting = false,
                },
                changed = self.state.changed(), if told => {
                    told = changed.is_ok();
                    let state = if told { *self.state.borrow_and_update() } else { State::Cutting };
                    self.cut.fetch_add(worker.enter(state), Ordering::Relaxed);
                }
                _ = ticker.tick() => worker.sweep(),
                () = worker.deserted() => {}
            }
        }
    }
}

/// Starts a connection's task. From here on the link gives back what the acceptor has counted.
fn start<H: Handler>(worker: &Rc<Worker>, accepted: Accepted, doors: &Doors<H>) {
    let Accepted { socket, client, door, place } = accepted;
    match link(worker, socket, client) {
        Ok(mut link) => {
            link.place = place;
            tokio::task::spawn_local(connection::run(link, doors.behind(door)));
        }
        Err(error) => {
            tracing::warn!(%error, client = %client.address, "a connection is closed at once, for it cannot be watched; if this lasts, raise the limit of open files (ulimit -n, LimitNOFILE=)");
            worker.left(client.connection);
        }
    }
}

fn link(worker: &Rc<Worker>, socket: std::net::TcpStream, client: Client) -> io::Result<Link> {
    let session = if client.secure { worker.session()? } else { None };
    Ok(Link::new(TcpStream::from_std(socket)?, session, worker.clone(), client))
}
