//! `origin`: a web server that makes up what is asked of it, at a given rate, and counts: the thin line and headquarters in one.
//!
//! The last part of a path is the file's size (`/any/thing/256m`, `/x-1000`), the whole target decides its bytes ([`content`]). One token
//! bucket ([`pace`]) holds all connections together to the rate. Threads and blocking sockets: proxies open few connections.

pub(crate) mod content;
pub(crate) mod pace;
mod reply;

use std::{
    collections::BTreeMap,
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;

use self::{
    content::Content,
    pace::Bucket,
    reply::{Reply, reply},
};
use crate::{pause::pause, response::HEAD_MAX, target};

/// Connections at once; one more is closed unanswered.
const CONNECTIONS_MAX: usize = 4096;

/// Paths whose figures are kept; beyond, those first in order are forgotten.
const PATHS_MAX: usize = 10_000;

/// Bytes of memory for the stack of a connection's thread.
const STACK: usize = 128 << 10;

/// Sent in one call at most, when nothing holds it back.
const PIECE: u64 = 1 << 20;

/// Sent in one call at most under a rate: a hundredth of a second's worth at 13 Mbit/s, and less at more.
const PACED_PIECE: u64 = 16 << 10;

/// Options of `origin`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one. The address is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// All connections together, for example 100Mbit/s or 12MB/s; without it as fast as it goes.
    #[arg(long, value_parser = pace::rate)]
    rate: Option<u64>,
    /// Stop after this time; otherwise it runs until it is ended.
    #[arg(long, value_parser = target::duration)]
    duration: Option<Duration>,
}

/// What was asked for one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests for it.
    pub(crate) requests: u64,
    /// Bytes of bodies, counted when they are about to be given to the kernel: before anybody can have them.
    pub(crate) body_bytes: u64,
    /// When the first of them was.
    pub(crate) first_byte: Option<Instant>,
}

/// A running one. It ends with the process.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    bucket: Mutex<Bucket>,
    tallies: Mutex<BTreeMap<String, Tally>>,
    connections: AtomicUsize,
    began: Instant,
}

/// Serves until the time is over, then prints what was asked.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let origin = Origin::start(options.listen, options.rate)?;
    println!("http://{}/ pid {}", origin.address, std::process::id());
    io::stdout().flush()?;
    match options.duration {
        Some(duration) => pause(duration),
        None => loop {
            thread::park();
        },
    }
    for (path, tally) in lock(&origin.shared.tallies).iter() {
        println!("{path}: {} requests, {} bytes", tally.requests, tally.body_bytes);
    }
    Ok(())
}

impl Origin {
    /// Listens, at `rate` bytes a second.
    pub(crate) fn start(listen: SocketAddr, rate: Option<u64>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            bucket: Mutex::new(Bucket::new(rate)),
            tallies: Mutex::default(),
            connections: AtomicUsize::new(0),
            began: Instant::now(),
        });
        thread::Builder::new().name("origin".into()).spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        })?;
        Ok(Self { address, shared })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another rate from now on.
    pub(crate) fn set_rate(&self, rate: Option<u64>) {
        *lock(&self.shared.bucket) = Bucket::new(rate);
    }

    /// What was asked for a target so far.
    pub(crate) fn tally(&self, target: &str) -> Tally {
        lock(&self.shared.tallies).get(target).copied().unwrap_or_default()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming().flatten() {
        if shared.connections.fetch_add(1, Relaxed) >= CONNECTIONS_MAX {
            shared.connections.fetch_sub(1, Relaxed);
            continue;
        }
        let connection = shared.clone();
        let spawned = thread::Builder::new().name("origin-connection".into()).stack_size(STACK).spawn(move || {
            // How a connection ends is seen by who asked.
            let _ = connection.serve(&socket);
            connection.connections.fetch_sub(1, Relaxed);
        });
        if spawned.is_err() {
            shared.connections.fetch_sub(1, Relaxed);
        }
    }
}

impl Shared {
    /// One request after the other.
    fn serve(&self, mut socket: &TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let (mut received, mut len) = (vec![0; HEAD_MAX], 0);
        loop {
            let reply = loop {
                if let Some((reply, used)) = reply(&received[..len])? {
                    received.copy_within(used..len, 0);
                    len -= used;
                    break reply;
                }
                match socket.read(&mut received[len..])? {
                    0 => return Ok(()),
                    count => len += count,
                }
            };
            self.note(&reply.target, |tally| tally.requests += 1);
            self.send(socket, &reply)?;
            if !reply.keeps_open {
                return Ok(());
            }
        }
    }

    fn send(&self, mut socket: &TcpStream, reply: &Reply) -> io::Result<()> {
        socket.write_all(reply.head.as_bytes())?;
        let Some(content) = &reply.content else { return Ok(()) };
        let (mut at, end) = (reply.from, reply.from + reply.len);
        while at < end {
            let piece = self.admit(end - at);
            self.note(&reply.target, |tally| {
                tally.first_byte.get_or_insert_with(Instant::now);
                tally.body_bytes += piece;
            });
            send_piece(socket, content, at, piece)?;
            at += piece;
        }
        Ok(())
    }

    /// Waits until some of `len` bytes may be sent; answers how many.
    fn admit(&self, len: u64) -> u64 {
        let (piece, wait) = {
            let mut bucket = lock(&self.bucket);
            let piece = len.min(if bucket.is_unlimited() { PIECE } else { PACED_PIECE });
            (piece, bucket.take(self.began.elapsed(), piece))
        };
        if !wait.is_zero() {
            pause(wait);
        }
        piece
    }

    fn note(&self, target: &str, change: impl FnOnce(&mut Tally)) {
        let mut tallies = lock(&self.tallies);
        if let Some(tally) = tallies.get_mut(target) {
            change(tally);
            return;
        }
        if tallies.len() >= PATHS_MAX {
            tallies.pop_first();
        }
        change(tallies.entry(target.to_owned()).or_default());
    }
}

/// All of `len` bytes from `at` on, gathered from where they lie.
fn send_piece(mut socket: &TcpStream, content: &Content, at: u64, len: u64) -> io::Result<()> {
    let mut pieces = Vec::new();
    let mut next = at;
    while next < at + len {
        let slice = content.at(next);
        let slice = &slice[..slice.len().min((at + len - next) as usize)];
        pieces.push(IoSlice::new(slice));
        next += slice.len() as u64;
    }
    let mut left = &mut pieces[..];
    while !left.is_empty() {
        match socket.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(sent) => IoSlice::advance_slices(&mut left, sent),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// No holder leaves these half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crowd::Crowd, exchange::Check, origin::content::Comparison, target::Targets};

    fn fetch(origin: &Origin, path: &str, clients: u32, header: &[String]) -> Crowd {
        let url = format!("http://{}{path}", origin.address());
        let mut crowd = Crowd::connect(Targets::new(&[url], header).unwrap(), clients).unwrap();
        for client in 0..clients as usize {
            crowd.check(client, Check::Content(Comparison::new(Content::of(path).unwrap())));
        }
        crowd.fetch(Duration::from_secs(30)).unwrap();
        crowd
    }

    #[test]
    fn everybody_gets_the_bytes_of_the_path_and_they_are_counted() {
        let origin = Origin::start("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let mut crowd = fetch(&origin, "/a/3000k", 5, &[]);
        assert_eq!(crowd.require_all().unwrap(), 3_072_000);
        for (_, check) in crowd.take_checks() {
            assert!(matches!(check, Check::Content(comparison) if comparison.is_whole()));
        }
        let tally = origin.tally("/a/3000k");
        assert_eq!((tally.requests, tally.body_bytes), (5, 5 * 3_072_000));
        assert_eq!(origin.tally("/other"), Tally::default());
    }

    #[test]
    fn a_rate_changes_nothing_but_the_time() {
        let origin = Origin::start("127.0.0.1:0".parse().unwrap(), Some(100_000_000)).unwrap();
        let mut crowd = fetch(&origin, "/b/700k", 3, &[]);
        assert!(matches!(&crowd.take_checks()[2].1, Check::Content(comparison) if comparison.is_whole()));
    }

    #[test]
    fn a_range_is_that_part() {
        let origin = Origin::start("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let crowd = fetch(&origin, "/a/1m", 1, &["Range: bytes=70000-".into()]);
        assert_eq!(crowd.require_all().unwrap(), (1 << 20) - 70_000);
        assert_eq!(crowd.summary().ends["206"], 1);
    }
}
