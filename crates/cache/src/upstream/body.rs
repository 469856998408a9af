//! Bytes on the way from an upstream, in the pieces in which they come.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use protocol::span::Span;
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{
    error::AskError,
    metered::Carried,
    origins::{Origins, Server},
};
use crate::{
    fetch::urgency::Urgency,
    line::turn::Turns,
    status::{Counters, add},
};

/// One read of a file; where the line has a limit it is less.
const PIECE: usize = 1 << 20;
/// Usual turns on the line that one read of a file takes: a share is asked and answers, and meanwhile nothing else of the file is read.
const READ_TURNS: u32 = 6;
/// What one read of a file takes there, at least.
const READ_MIN: u64 = 16 << 10;

/// Bytes on the way.
pub(crate) enum Body {
    File(FilePieces),
    Http(HttpPieces),
}

impl Body {
    /// The next piece; `None` at the end. Waits at most the upstream's `read_timeout`.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        match self {
            Self::File(pieces) => pieces.next().await,
            Self::Http(pieces) => pieces.next().await,
        }
    }

    /// Ends it early; answers how many bytes come all the same. Of an answer none: its connection is closed when this is dropped.
    pub(crate) fn stop(&mut self) -> u64 {
        match self {
            Self::File(pieces) => pieces.stop(),
            Self::Http(_) => 0,
        }
    }
}

/// Of a file, one piece read ahead unless its turn is still to come.
pub(crate) struct FilePieces {
    file: Arc<File>,
    position: u64,
    end: u64,
    ahead: Option<Reading>,
    reads: Arc<Semaphore>,
    timeout: Duration,
    turns: Turns,
    urgency: Arc<Urgency>,
}

impl FilePieces {
    /// A span of it. `reads` bounds how many of these read at once, `turns` how fast, for whom `urgency` says.
    pub(crate) fn new(
        file: Arc<File>,
        span: Span,
        reads: Arc<Semaphore>,
        timeout: Duration,
        turns: Turns,
        urgency: Arc<Urgency>,
    ) -> Self {
        Self { file, position: span.start, end: span.end, ahead: None, reads, timeout, turns, urgency }
    }

    /// Reads no more than what is being read already.
    fn stop(&mut self) -> u64 {
        let reading = self.ahead.as_ref().map_or(0, |ahead| ahead.len);
        self.end = self.position + reading;
        reading
    }

    /// The next piece; `None` at the end of what the file held when it was opened. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        if self.position == self.end {
            return Ok(None);
        }
        if self.ahead.is_none() && self.turns.line().is_limited() {
            // No part of the time that a read may take.
            self.turns.next(&self.urgency).await;
        }
        if self.ahead.is_none() {
            self.ahead = Some(self.read());
        }
        let position = self.position;
        let Some(reading) = &mut self.ahead else { return Ok(None) };
        let piece = match tokio::time::timeout(self.timeout, &mut reading.piece).await {
            Ok(Ok(Ok(piece))) => piece,
            Ok(Ok(Err(error))) => {
                self.ahead = None;
                return Err(AskError::Unreachable(format!("cannot read the file at byte {position}: {error}")));
            }
            Ok(Err(_)) => return Err(AskError::Unreachable("this server is stopping".into())),
            Err(_) => {
                let waited = self.timeout.as_secs_f32();
                return Err(AskError::TimedOut(format!(
                    "the file could not be read at byte {position} within {waited} s"
                )));
            }
        };
        self.ahead = None;
        if piece.is_empty() {
            return Err(AskError::Changed("the file became shorter while it was read".into()));
        }
        self.position += piece.len() as u64;
        if self.position < self.end && !self.turns.line().is_limited() {
            self.ahead = Some(self.read());
        }
        Ok(Some(piece))
    }

    /// Begins to read the next piece, which is paid for on the line: what is not there after all is more than was needed.
    fn read(&mut self) -> Reading {
        let left = (self.end - self.position).min(PIECE as u64);
        let class = self.urgency.class();
        let len = match self.turns.line().turn(READ_TURNS, class) {
            Some(turn) => left.min(turn.max(READ_MIN)),
            None => left,
        };
        if self.turns.line().is_limited() {
            self.turns.line().came(len, class);
        }
        Reading { piece: read_piece(&self.file, &self.reads, self.position, len as usize), len }
    }
}

/// A piece that is being read.
struct Reading {
    piece: JoinHandle<io::Result<Bytes>>,
    len: u64,
}

fn read_piece(file: &Arc<File>, reads: &Arc<Semaphore>, position: u64, len: usize) -> JoinHandle<io::Result<Bytes>> {
    let (file, reads) = (file.clone(), reads.clone());
    tokio::spawn(async move {
        // A read that hangs keeps its permit until it returns, also when nobody waits for it any more.
        let permit = reads.acquire_owned().await;
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read_wholly(&file, position, len)
        });
        reading.await.unwrap_or_else(|_| Err(io::Error::other("this server is stopping")))
    })
}

fn read_wholly(file: &File, position: u64, len: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut piece[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece.into())
}

/// Of an answer.
pub(crate) struct HttpPieces {
    body: Incoming,
    skip: u64,
    timeout: Duration,
    counters: Arc<Counters>,
    /// The connection, where it is known.
    carried: Option<Carried>,
    /// Who sends it, among those that could.
    server: Option<(Arc<Origins>, Server)>,
}

impl HttpPieces {
    /// All but the first `skip` bytes.
    pub(crate) fn new(
        body: Incoming,
        skip: u64,
        timeout: Duration,
        counters: Arc<Counters>,
        carried: Option<Carried>,
        server: Option<(Arc<Origins>, Server)>,
    ) -> Self {
        Self { body, skip, timeout, counters, carried, server }
    }

    /// The same, whose end says nothing against its server, and whose bytes are none of files.
    pub(super) fn unjudged(self) -> Self {
        Self { server: None, counters: Arc::default(), ..self }
    }

    /// How long the next piece may take.
    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The next piece; `None` at the end that the framing tells. Dropping the future loses nothing. Who broke off is not asked for the rest, where
    /// another server has it.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        let piece = self.take().await;
        if let (Err(error), Some((origins, Server(server)))) = (&piece, &self.server) {
            origins.failed(*server, &error.to_string(), Instant::now());
        }
        piece
    }

    async fn take(&mut self) -> Result<Option<Bytes>, AskError> {
        loop {
            let frame = match tokio::time::timeout(self.timeout, self.body.frame()).await {
                Ok(None) if self.skip > 0 => {
                    return Err(AskError::Changed("the file became shorter while it was fetched".into()));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(AskError::of_body(&error)),
                // What is here already waits for its turn on the line.
                Err(_) if self.carried.as_ref().is_some_and(Carried::is_held) => continue,
                Err(_) => {
                    let waited = self.timeout.as_secs_f32();
                    return Err(AskError::TimedOut(format!("no byte came for {waited} s")));
                }
            };
            // Trailers are nothing that we hand on.
            let Ok(mut piece) = frame.into_data() else { continue };
            add(&self.counters.upstream_bytes, piece.len() as u64);
            let skipped = self.skip.min(piece.len() as u64);
            self.skip -= skipped;
            let piece = piece.split_off(skipped as usize);
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }
}
