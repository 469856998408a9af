//! A machine lives: a stream of changes that goes on, and what it does next, over real connections. It decides nothing.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use outpost_agent::decide::health::{Health, Request as Asked};
use protocol::{
    changes::Change,
    digest::Md5,
    event_stream,
    info::{CHANGES, REPORTS, SOURCES},
    patience::Backoff,
    report::Report,
    sources::{Answer, Question},
};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    machine::{Do, Machine},
    tally::{Came, Kind, Tally},
    world::Member,
};
use crate::http::{Incoming, Reply, Request, connect};

/// Changes that wait for a machine that is asking something.
const CHANGES_MAX: usize = 64;
/// The longest that an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What all machines share.
pub(crate) struct Net {
    pub(crate) origin: SocketAddr,
    pub(crate) tally: RefCell<Tally>,
    /// Connections that are being opened.
    pub(crate) opening: Semaphore,
    /// `true` at the end.
    pub(crate) ended: watch::Receiver<bool>,
    pub(crate) progress: RefCell<Progress>,
}

/// How far they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Streams that are open.
    pub(crate) streams: usize,
    /// Streams that ended before the end.
    pub(crate) broken: usize,
    /// Machines that the origin knows.
    pub(crate) known: usize,
    /// Contents on machines.
    pub(crate) held: usize,
}

/// From now to the end; answers what became of it.
pub(crate) async fn live(mut machine: Machine, net: Rc<Net>, backoff: Backoff) -> Machine {
    let (sender, mut changes) = mpsc::channel(CHANGES_MAX);
    let stream = tokio::task::spawn_local(follow(machine.member.clone(), net.clone(), sender, backoff));
    let mut ended = net.ended.clone();
    let (mut was_known, mut had) = (false, 0);
    while !*ended.borrow() {
        let step = machine.next(Instant::now());
        // Before it waits: what the line has brought by now counts now.
        note(&machine, &net, &mut was_known, &mut had);
        match step {
            Do::Ask(digests) => ask(&mut machine, &net, digests).await,
            Do::Report(report) => send(&mut machine, &net, *report).await,
            Do::Wait(until) => {
                tokio::select! {
                    Some(change) = changes.recv() => machine.hear(change, Instant::now()),
                    () = tokio::time::sleep_until(until.into()) => {}
                    _ = ended.changed() => {}
                }
            }
        }
    }
    stream.abort();
    machine
}

/// How far one is, among all.
fn note(machine: &Machine, net: &Net, was_known: &mut bool, had: &mut usize) {
    let mut progress = net.progress.borrow_mut();
    if machine.is_known() && !std::mem::replace(was_known, true) {
        progress.known += 1;
    }
    let held = machine.held();
    progress.held += held - std::mem::replace(had, held);
}

async fn ask(machine: &mut Machine, net: &Net, digests: Vec<Md5>) {
    let question = Question { digests, ..Question::default() };
    let asked = Instant::now();
    match post::<Answer>(&machine.member, net, Kind::Sources, SOURCES, &question).await {
        Posted::Answer(answer) => machine.answered(answer, asked, Instant::now()),
        Posted::Refused(after) => machine.refused(Asked::Sources, after, Instant::now()),
        Posted::Failed => machine.failed(Asked::Sources, Instant::now()),
    }
}

async fn send(machine: &mut Machine, net: &Net, report: Report) {
    match post(&machine.member, net, Kind::Report, REPORTS, &report).await {
        Posted::Answer(reported) => machine.reported(&report, reported, Instant::now()),
        Posted::Refused(after) => machine.refused(Asked::Report, after, Instant::now()),
        Posted::Failed => machine.failed(Asked::Report, Instant::now()),
    }
}

enum Posted<T> {
    Answer(T),
    Refused(Duration),
    Failed,
}

/// One question on a connection of its own.
async fn post<T: DeserializeOwned>(
    member: &Member,
    net: &Net,
    kind: Kind,
    target: &str,
    body: &impl serde::Serialize,
) -> Posted<T> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let request = Request { method: "POST", target, node: &member.name, body: Some(&body), closes: true };
    let sent = Instant::now();
    let exchange = async { request.send(connect(member.address, net.origin).await?).await?.whole().await };
    let reply =
        tokio::time::timeout(ANSWER_MAX, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let posted = read(reply.map(|(reply, _)| reply));
    let came = match &posted {
        Posted::Answer(_) => Came::Answer,
        Posted::Refused(_) => Came::Refusal,
        Posted::Failed => Came::Failure,
    };
    net.tally.borrow_mut().add(kind, member.tier, came, sent, sent.elapsed());
    posted
}

fn read<T: DeserializeOwned>(reply: io::Result<Reply>) -> Posted<T> {
    match reply {
        Ok(Reply { status: 200, body, .. }) => serde_json::from_slice(&body).map_or(Posted::Failed, Posted::Answer),
        Ok(Reply { status: 503, retry_after: Some(seconds), .. }) => Posted::Refused(Duration::from_secs(seconds)),
        _ => Posted::Failed,
    }
}

/// Follows the changes, and begins again when the stream breaks. Dropped, it ends.
async fn follow(member: Member, net: Rc<Net>, changes: mpsc::Sender<Change>, backoff: Backoff) {
    let mut health = Health::new(backoff, member.number as u64);
    loop {
        let (sent, server) = (Instant::now(), net.origin.to_string());
        let begun = begin(&member, &net).await;
        let (came, incoming) = match begun {
            Ok(incoming) if incoming.status == 200 => (Came::Answer, Some(incoming)),
            Ok(incoming) if incoming.status == 503 => {
                let after = Duration::from_secs(incoming.retry_after.unwrap_or(0));
                health.busy(&server, Asked::Changes, after, Instant::now());
                (Came::Refusal, None)
            }
            _ => {
                health.failed(&server, Asked::Changes, Instant::now());
                (Came::Failure, None)
            }
        };
        net.tally.borrow_mut().add(Kind::Changes, member.tier, came, sent, sent.elapsed());
        if let Some(incoming) = incoming {
            health.succeeded(&server, Asked::Changes);
            net.progress.borrow_mut().streams += 1;
            hand_on(incoming, &changes).await;
            let mut progress = net.progress.borrow_mut();
            (progress.streams, progress.broken) = (progress.streams - 1, progress.broken + 1);
            drop(progress);
            health.failed(&server, Asked::Changes, Instant::now());
        }
        if let Some(due) = health.due(&server, Asked::Changes, Instant::now()) {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

async fn begin(member: &Member, net: &Net) -> io::Result<Incoming> {
    let _one_of_few = net.opening.acquire().await.map_err(io::Error::other)?;
    let stream = connect(member.address, net.origin).await?;
    let request = Request { method: "GET", target: CHANGES, node: &member.name, body: None, closes: false };
    request.send(stream).await
}

/// Until the stream ends, however that is.
async fn hand_on(mut incoming: Incoming, changes: &mpsc::Sender<Change>) {
    let mut reader = event_stream::Reader::default();
    while let Ok(Some(bytes)) = incoming.next().await {
        let mut heard = Vec::new();
        let read = reader.take(&bytes, |event| heard.extend(Change::read(&event).ok().flatten()));
        if read.is_err() {
            return;
        }
        for change in heard {
            if changes.send(change).await.is_err() {
                return;
            }
        }
    }
}
