//! The servers of one upstream, and which of them is asked: [`Failover`] decides, here is kept what it knows. That one is back is found out by a
//! probe beside the requests, so that nobody waits for one that is still away.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Uri;
use parking_lot::Mutex;
use protocol::patience::{Backoff, Failover, Next};
use tokio::sync::watch;

use super::error::AskError;
use crate::{names::vouched::Vouched, status::OriginStatus};

/// How soon one that failed is tried again; the breaker stands before all of them together.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), max: Duration::from_secs(300) };

/// A configured URL in its parts; the path has no `/` at its end.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) scheme: http::uri::Scheme,
    pub(super) authority: http::uri::Authority,
    pub(super) path: Box<str>,
}

impl Base {
    pub(super) fn parse(url: &str) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let uri: Uri = url.parse().map_err(|error| invalid(format!("{url} is not a URL: {error}")))?;
        let parts = uri.into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) => {
                let path = parts.path_and_query.as_ref().map_or("", |path| path.path());
                Ok(Self { scheme, authority, path: path.trim_end_matches('/').into() })
            }
            _ => Err(invalid(format!("the URL {url} names no host"))),
        }
    }

    /// A path and query of the server itself.
    pub(super) fn absolute(&self, path: &str) -> Result<Uri, AskError> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| AskError::Invalid(format!("the path cannot be asked for there: {error}")))
    }

    /// `http://host:8090`
    pub(super) fn server(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

/// One or several; all have the same files at the same paths.
pub(crate) struct Origins {
    /// Of the upstream, for the log.
    name: Box<str>,
    bases: Vec<Base>,
    failover: Mutex<Failover>,
    is_probing: AtomicBool,
    /// What one tells says nothing of what another answers.
    vouched: Arc<Vouched>,
    /// How often another one was asked from then on.
    moves: watch::Sender<u64>,
}

/// Who answered, as an extension of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server(pub(crate) usize);

/// Whom to ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) server: usize,
    /// One that stands before it and may be back.
    pub(super) probe: Option<usize>,
}

impl Origins {
    /// The first is the one that the upstream is known by.
    pub(super) fn new(name: &str, bases: Vec<Base>, seed: u64, vouched: &Arc<Vouched>) -> Self {
        let failover = Mutex::new(Failover::new(bases.len(), BACKOFF, seed));
        let (vouched, moves) = (vouched.clone(), watch::Sender::new(0));
        Self { name: name.into(), bases, failover, is_probing: AtomicBool::new(false), vouched, moves }
    }

    pub(super) fn first(&self) -> &Base {
        &self.bases[0]
    }

    pub(super) fn base(&self, server: usize) -> &Base {
        &self.bases[server]
    }

    pub(super) fn all(&self) -> &[Base] {
        &self.bases
    }

    /// Whom a request asks that has asked those in vain; `None` when it has asked all.
    pub(super) fn next(&self, tried: &[usize], now: Instant) -> Option<Choice> {
        choose(&self.failover.lock(), self.bases.len(), tried, now)
    }

    /// It answered, whatever it said.
    pub(super) fn answered(&self, server: usize) {
        if self.bases.len() == 1 {
            return;
        }
        let before = {
            let mut failover = self.failover.lock();
            let before = failover.present();
            failover.succeeded(server);
            before
        };
        if before.unwrap_or(0) != server {
            // Before anybody has this answer: it is not of the one that tells what changes. Who vouches looks at the moves last.
            self.moves.send_modify(|moves| *moves += 1);
            self.vouched.withdraw();
            let (upstream, origin) = (&self.name, self.bases[server].server());
            tracing::warn!(upstream, origin, "an upstream is asked at another of its origins from now on");
        }
    }

    /// It could not be reached, broke off, or answered that it failed.
    pub(super) fn failed(&self, server: usize, error: &str, now: Instant) {
        if self.bases.len() == 1 {
            return;
        }
        let before = {
            let mut failover = self.failover.lock();
            let before = failover.failures(server);
            failover.failed(server, now);
            before
        };
        if before > 0 {
            return;
        }
        // Once, however often it is tried in vain from then on.
        let (upstream, origin) = (&self.name, self.bases[server].server());
        tracing::info!(upstream, origin, error, "an origin of an upstream failed; the next one is asked");
    }

    /// It has no time for a probe.
    pub(super) fn busy(&self, server: usize, retry_after: Duration, now: Instant) {
        self.failover.lock().busy(server, now, retry_after);
    }

    /// The right to probe, one at a time.
    pub(super) fn begin_probe(&self) -> bool {
        !self.is_probing.swap(true, Ordering::AcqRel)
    }

    pub(super) fn end_probe(&self) {
        self.is_probing.store(false, Ordering::Release);
    }

    /// The one that answered last.
    pub(crate) fn present(&self) -> usize {
        self.failover.lock().present().unwrap_or(0)
    }

    /// Tells when another one is asked.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    pub(super) fn status(&self) -> Vec<OriginStatus> {
        let failover = self.failover.lock();
        let present = failover.present().unwrap_or(0);
        let of = |(server, base): (usize, &Base)| OriginStatus {
            url: format!("{}{}/", base.server(), base.path),
            in_use: server == present,
            failures: failover.failures(server),
        };
        self.bases.iter().enumerate().map(of).collect()
    }
}

/// Where all wait for their time, they are asked in their order all the same: who asks has nobody else, and the breaker sees to it that it is seldom.
fn choose(failover: &Failover, servers: usize, tried: &[usize], now: Instant) -> Option<Choice> {
    let may_ask = |server: &usize| !tried.contains(server);
    let present = failover.present().filter(|present| may_ask(present) && failover.is_due(*present, now));
    let only = |server| Choice { server, probe: None };
    match failover.next(now) {
        Next::Ask(next) if present.is_some_and(|present| next < present) => {
            present.map(|server| Choice { server, probe: Some(next) })
        }
        Next::Ask(next) if may_ask(&next) => Some(only(next)),
        _ => (0..servers).find(may_ask).map(only),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_request_asks_is_a_table() {
        let start = Instant::now();
        let later = start + BACKOFF.max;
        let (fresh, second) = (Failover::new(3, BACKOFF, 1), {
            let mut failover = Failover::new(3, BACKOFF, 1);
            failover.failed(0, start);
            failover.succeeded(1);
            failover
        });
        let none_left = {
            let mut failover = second.clone();
            failover.failed(1, start);
            failover.failed(2, start);
            failover
        };
        let ask = |server| Some(Choice { server, probe: None });
        for (failover, tried, now, expected) in [
            (&fresh, &[][..], start, ask(0)),
            (&fresh, &[0], start, ask(1)),
            (&fresh, &[0, 1, 2], start, None),
            (&second, &[], start, ask(1)),
            // The first may be back: found out beside the request.
            (&second, &[], later, Some(Choice { server: 1, probe: Some(0) })),
            (&second, &[1], later, ask(0)),
            (&second, &[1], start, ask(0)),
            (&none_left, &[], start, ask(0)),
            (&none_left, &[0], start, ask(1)),
            (&none_left, &[0, 1], start, ask(2)),
        ] {
            assert_eq!(choose(failover, 3, tried, now), expected, "{tried:?}");
        }
    }

    #[test]
    fn one_alone_is_asked_whatever_happened() {
        let origins = Origins::new("hq", vec![Base::parse("http://hq.example/").unwrap()], 1, &Arc::default());
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(origins.next(&[], now), Some(Choice { server: 0, probe: None }));
            origins.failed(0, "refused", now);
        }
        assert_eq!(origins.next(&[0], now), None);
    }
}
