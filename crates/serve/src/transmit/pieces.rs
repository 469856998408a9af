//! Reads a body piece by piece into memory, for those who put frames around the pieces. Where bytes come from is as in the files beside this: objects sealed or
//! growing, files of a share, streams. It sends nothing and knows no client.
//!
//! Of a file that others may change every piece is a copy, and the last one is handed out only when the file is seen unchanged behind it: nobody ever has all of a
//! file that was changed meanwhile.

use std::{collections::VecDeque, fs::File, future::poll_fn, io, os::fd::AsFd, rc::Rc, sync::Arc};

use bytes::Bytes;
use os::{engine::Engine, share::Identity};
use protocol::span::Span;
use store::Reader;

use super::{
    ahead::{Ahead, Look},
    ended_early, no_length, whole_span,
};
use crate::{
    response::{Body, BodyStream, Part},
    source::{SharedFile, Source},
    worker::Worker,
};

/// Bytes of a body.
pub(crate) enum Piece {
    /// That others have too, or that were made by others.
    Given(Bytes),
    /// Read for this: so many bytes at the beginning of a buffer, which is to be given back to the worker's spare ones.
    Read(Vec<u8>, usize),
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Given(bytes) => bytes.len(),
            Self::Read(_, len) => *len,
        }
    }
}

/// A body, from its first byte that was not taken yet.
pub(crate) struct Pieces {
    worker: Rc<Worker>,
    /// What is left of it, in order.
    rest: VecDeque<Segment>,
}

/// A run of bytes of one origin.
enum Segment {
    Given(Bytes),
    Object { reader: Reader, run: Run },
    Shared { file: SharedFile, run: Run },
    Stream { stream: BodyStream, left: Option<u64> },
}

/// What is left of a span of a file. Without an end it goes on until the file does.
struct Run {
    position: u64,
    end: Option<u64>,
    /// Bytes before this may be read.
    until: u64,
    /// Once it has begun.
    ahead: Option<Ahead>,
}

impl Pieces {
    pub(crate) fn new(worker: Rc<Worker>, body: Body) -> io::Result<Self> {
        let rest = match body {
            Body::Empty => VecDeque::new(),
            Body::Memory(bytes) => [Segment::Given(bytes)].into(),
            Body::Stream { stream, len } => [Segment::Stream { stream, left: len }].into(),
            Body::File { source, part } => segments(&source, part)?,
        };
        Ok(Self { worker, rest })
    }

    /// Waits until there are bytes to take; `false` at the end. Dropping the future loses nothing.
    pub(crate) async fn ready(&mut self) -> io::Result<bool> {
        while let Some(segment) = self.rest.front_mut() {
            let given = match segment {
                Segment::Given(bytes) if bytes.is_empty() => None,
                Segment::Given(_) => return Ok(true),
                Segment::Shared { run, .. } if !run.is_over() => return Ok(true),
                Segment::Shared { .. } => None,
                Segment::Object { reader, run } => match is_ready(reader, run).await? {
                    true => return Ok(true),
                    false => None,
                },
                Segment::Stream { stream, left } => next(stream, left).await?,
            };
            match given {
                Some(bytes) => self.rest.push_front(Segment::Given(bytes)),
                None => _ = self.rest.pop_front(),
            }
        }
        Ok(false)
    }

    /// Bytes in memory that a stream made for this body alone.
    pub(crate) fn made(&self) -> usize {
        match (self.rest.front(), self.rest.get(1)) {
            (Some(Segment::Given(bytes)), Some(Segment::Stream { .. })) => bytes.len(),
            _ => 0,
        }
    }

    /// Whether nothing is left to take. Not known of a body whose end was not announced, until [`Pieces::ready`] says so.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.iter().all(|segment| segment.left() == Some(0))
    }

    /// At most `max` bytes of those that are ready. A piece of a file may wait for the disk.
    pub(crate) async fn take(&mut self, max: usize) -> io::Result<Piece> {
        let worker = self.worker.clone();
        match self.rest.front_mut() {
            None => Ok(Piece::Given(Bytes::new())),
            Some(Segment::Given(bytes)) => Ok(Piece::Given(bytes.split_to(max.min(bytes.len())))),
            // What a stream has given stands before it.
            Some(Segment::Stream { .. }) => Ok(Piece::Given(Bytes::new())),
            Some(Segment::Object { reader, run }) => {
                let len = run.len(max);
                run.read(&worker, reader.file(), reader.engine(), len).await
            }
            Some(Segment::Shared { file, run }) => {
                let len = run.len(max);
                let piece = run.read(&worker, &file.file, &file.engine, len).await?;
                if run.is_over() {
                    unchanged(file.clone()).await?;
                }
                Ok(piece)
            }
        }
    }
}

/// The runs of a file's part.
fn segments(source: &Source, part: Part) -> io::Result<VecDeque<Segment>> {
    match part {
        Part::Multipart { parts, end } => {
            let parts = parts.into_iter().flat_map(|(preamble, span)| {
                [Segment::Given(preamble), Segment::of(source, span.start, Some(span.end))]
            });
            Ok(parts.chain([Segment::Given(end)]).collect())
        }
        Part::Whole if source.len().is_none() => Ok([Segment::of(source, 0, None)].into()),
        part => {
            let span = whole_span(&part, source.len()).ok_or_else(no_length)?;
            Ok([in_memory(source, span).unwrap_or_else(|| Segment::of(source, span.start, Some(span.end)))].into())
        }
    }
}

/// A small hot object's span.
fn in_memory(source: &Source, span: Span) -> Option<Segment> {
    let Source::Object(reader) = source else { return None };
    let bytes = reader.in_memory()?;
    // `slice` would panic where the span is not within.
    bytes.get(span.start as usize..span.end as usize)?;
    Some(Segment::Given(bytes.slice(span.start as usize..span.end as usize)))
}

impl Segment {
    fn of(source: &Source, position: u64, end: Option<u64>) -> Self {
        let run = |until| Run { position, end, until, ahead: None };
        match source {
            Source::Object(reader) => Self::Object { reader: reader.clone(), run: run(0) },
            Source::Shared(file) => Self::Shared { file: file.clone(), run: run(u64::MAX) },
        }
    }

    /// Bytes that are left, if that is known.
    fn left(&self) -> Option<u64> {
        match self {
            Self::Given(bytes) => Some(bytes.len() as u64),
            Self::Object { run, .. } | Self::Shared { run, .. } => Some(run.end? - run.position),
            Self::Stream { left, .. } => *left,
        }
    }
}

/// Waits until an object has bytes for a run; `false` at the end.
async fn is_ready(reader: &Reader, run: &mut Run) -> io::Result<bool> {
    if run.is_over() {
        return Ok(false);
    }
    run.until = run.until.max(reader.watermark());
    if run.until <= run.position {
        let wanted = Span::new(run.position, run.end.unwrap_or(u64::MAX));
        run.until = reader.readable_of(wanted).await.map_err(io::Error::other)?;
    }
    if run.until <= run.position && run.end.is_some() {
        return Err(ended_early());
    }
    Ok(run.until > run.position)
}

/// The next piece of a stream that has some bytes, or its end, which must be where it was announced.
async fn next(stream: &mut BodyStream, left: &mut Option<u64>) -> io::Result<Option<Bytes>> {
    while let Some(piece) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        let piece = piece?;
        if let Some(left) = left {
            *left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| io::Error::other("a body was longer than announced"))?;
        }
        if !piece.is_empty() {
            return Ok(Some(piece));
        }
    }
    if left.is_some_and(|left| left > 0) {
        return Err(io::Error::other("a body was shorter than announced"));
    }
    Ok(None)
}

/// Looks at a share's file, all of whose bytes were read. On a network mount that may take long: a thread does it that may wait.
async fn unchanged(shared: SharedFile) -> io::Result<()> {
    let looked = tokio::task::spawn_blocking(move || Identity::of(&shared.file).map(|now| now == shared.identity));
    match looked.await.map_err(io::Error::other)?? {
        true => Ok(()),
        false => Err(io::Error::other("the file was changed while it was sent")),
    }
}

impl Run {
    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }

    /// How much of it to take.
    fn len(&self, max: usize) -> usize {
        let end = self.end.map_or(self.until, |end| end.min(self.until));
        end.saturating_sub(self.position).min(max as u64) as usize
    }

    /// Its next `len` bytes: at once if they are in memory, else the disk engine brings them there, and what is behind them.
    async fn read(&mut self, worker: &Worker, file: &Arc<File>, engine: &Engine, len: usize) -> io::Result<Piece> {
        let mut buffer = worker.spare.lend(len);
        let until = self.end.map_or(self.until, |end| end.min(self.until));
        while !os::residency::read_resident(file.as_fd(), &mut buffer[..len], self.position)? {
            let ahead = self.ahead.get_or_insert_with(|| Ahead::new(file, engine));
            match ahead.look(worker, self.position, until) {
                Look::Cold(end, reading) => {
                    // An error is in the log, and met again by the read.
                    let _ = reading.await;
                    ahead.arrived(worker, end, until);
                }
                // The kernel does not give it at once all the same: somebody waits, but not this thread.
                Look::Clear(_) => {
                    worker.spare.take_back(buffer);
                    buffer = engine.read_at(file.clone(), self.position, len).await?;
                    break;
                }
            }
        }
        if buffer.len() < len {
            return Err(ended_early());
        }
        self.position += len as u64;
        Ok(Piece::Read(buffer, len))
    }
}
