//! Who got what: a line per request, written by a thread of its own behind a bounded queue, so that a slow disk never slows an answer.
//! Lines that find the queue full are counted and dropped.
//!
//! A worker collects lines in a `Batch` and hands it over when it is large or a tenth of a second old; a line costs its formatting.

mod line;

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use crate::clock::Clock;
pub(crate) use line::Line;

/// Batches that may wait for the disk; with [`BATCH_BYTES`] it is 8 MiB.
const QUEUE_BATCHES_MAX: usize = 256;
/// A batch is handed over at this size.
const BATCH_BYTES: usize = 32 << 10;
/// A batch is handed over at this age, by the worker's sweep.
pub(crate) const BATCH_AGE_MAX: Duration = Duration::from_millis(100);
/// How long the end of a worker waits for room in the queue, so that a clean end loses no line and a dead disk does not prevent it.
const LAST_BATCH_WAIT_MAX: Duration = Duration::from_secs(5);

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Apache's combined format, with the cache's word (`HIT`, `MISS`, ...) and the seconds as two more fields at the end.
    #[default]
    Combined,
    /// One JSON object per line.
    Json,
}

/// Handle to the writer; clones share it. Dropping the last one waits until everything handed over is written.
#[derive(Clone)]
pub struct AccessLog {
    writer: Arc<Writer>,
}

struct Writer {
    format: Format,
    /// `None` for standard output.
    path: Option<PathBuf>,
    queue: Option<Sender<Message>>,
    dropped: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Lines { text: Vec<u8>, lines: u64 },
    WriteTo(Sink),
}

enum Sink {
    File(File),
    Stdout(io::Stdout),
}

impl AccessLog {
    /// To a file (appended) or, for `-`, to standard output.
    pub fn open(path: &Path, format: Format) -> io::Result<Self> {
        let path = (path != Path::new("-")).then(|| path.to_owned());
        let sink = open_sink(path.as_deref())?;
        let (queue, messages) = crossbeam_channel::bounded(QUEUE_BATCHES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let shown = path.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&shown, sink, &messages, &counted))?;
        let writer = Writer { format, path, queue: Some(queue), dropped, thread: Mutex::new(Some(thread)) };
        Ok(Self { writer: Arc::new(writer) })
    }

    /// Opens the file anew (after a rotation). What was handed over before goes to the old file.
    pub fn reopen(&self) -> io::Result<()> {
        let sink = open_sink(self.writer.path.as_deref())?;
        self.hand_over(Message::WriteTo(sink), Some(LAST_BATCH_WAIT_MAX)).map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, "what was logged before is not on the disk yet; try again")
        })
    }

    /// Lines dropped because the queue was full or the disk refused them.
    pub fn dropped(&self) -> u64 {
        self.writer.dropped.load(Ordering::Relaxed)
    }

    fn hand_over(&self, message: Message, wait: Option<Duration>) -> Result<(), Message> {
        let Some(queue) = &self.writer.queue else { return Err(message) };
        match wait {
            None => queue.try_send(message).map_err(crossbeam_channel::TrySendError::into_inner),
            Some(wait) => queue.send_timeout(message, wait).map_err(crossbeam_channel::SendTimeoutError::into_inner),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when it has written what is queued and sees that nobody can send any more.
        self.queue = None;
        if let Some(thread) = self.thread.get_mut().take() {
            let _ = thread.join();
        }
    }
}

fn open_sink(path: Option<&Path>) -> io::Result<Sink> {
    let Some(path) = path else { return Ok(Sink::Stdout(io::stdout())) };
    OpenOptions::new().append(true).create(true).open(path).map(Sink::File).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot write the access log {}: {error}", path.display()))
    })
}

/// The writer's thread.
fn write(path: &str, mut sink: Sink, messages: &Receiver<Message>, dropped: &AtomicU64) {
    let mut complained = false;
    for message in messages {
        match message {
            Message::WriteTo(new) => {
                sink = new;
                complained = false;
            }
            Message::Lines { text, lines } => {
                let Err(error) = sink.write(&text) else { continue };
                dropped.fetch_add(lines, Ordering::Relaxed);
                // Once until the log is opened anew: a full disk must not be filled with complaints.
                if !std::mem::replace(&mut complained, true) {
                    tracing::error!(path, %error, "the access log cannot be written; its lines are lost until it can");
                }
            }
        }
    }
}

impl Sink {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(text),
            Self::Stdout(stdout) => stdout.write_all(text).and_then(|()| stdout.flush()),
        }
    }
}

/// One worker's lines that are not handed over yet.
pub(crate) struct Batch {
    log: AccessLog,
    text: Vec<u8>,
    lines: u64,
}

impl Batch {
    pub(crate) fn new(log: AccessLog) -> Self {
        Self { log, text: Vec::with_capacity(BATCH_BYTES + 1024), lines: 0 }
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, clock: &Clock, line: &Line<'_>) {
        match self.log.writer.format {
            Format::Combined => line.combined(clock, &mut self.text),
            Format::Json => line.json(clock, &mut self.text),
        }
        self.lines += 1;
        if self.text.len() >= BATCH_BYTES {
            self.hand_over(None);
        }
    }

    /// Hands over what is there, now or never.
    pub(crate) fn flush(&mut self) {
        self.hand_over(None);
    }

    fn hand_over(&mut self, wait: Option<Duration>) {
        if self.lines == 0 {
            return;
        }
        let text = std::mem::replace(&mut self.text, Vec::with_capacity(BATCH_BYTES + 1024));
        let lines = std::mem::take(&mut self.lines);
        if self.log.hand_over(Message::Lines { text, lines }, wait).is_err() {
            self.log.writer.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.hand_over(Some(LAST_BATCH_WAIT_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_with(log: &AccessLog, request: &[u8]) -> Batch {
        let mut batch = Batch::new(log.clone());
        batch.push(&line::tests::clock(), &line::tests::line(request, b"", b""));
        batch
    }

    #[test]
    fn a_clean_end_writes_every_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let log = AccessLog::open(&path, Format::Combined).unwrap();
        let (mut batch, clock) = (Batch::new(log.clone()), line::tests::clock());
        for _ in 0..2000 {
            batch.push(&clock, &line::tests::line(b"GET / HTTP/1.1", b"", b""));
        }
        drop(batch);
        assert_eq!(log.dropped(), 0);
        drop(log);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2000);
    }

    #[test]
    fn reopening_writes_to_the_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
        let log = AccessLog::open(&path, Format::Json).unwrap();
        drop(batch_with(&log, b"GET /old HTTP/1.1"));
        std::fs::rename(&path, &old).unwrap();
        log.reopen().unwrap();
        drop(batch_with(&log, b"GET /new HTTP/1.1"));
        drop(log);
        assert!(std::fs::read_to_string(&old).unwrap().contains("/old"));
        assert!(std::fs::read_to_string(&path).unwrap().contains("/new"));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let log = AccessLog::open(Path::new("/dev/full"), Format::Combined).unwrap();
        drop(batch_with(&log, b"GET / HTTP/1.1"));
        let dropped = log.writer.dropped.clone();
        drop(log);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }
}
