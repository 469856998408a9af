//! Reading the history back: everything about some objects, by going through the file once. It is short enough for that, and nobody asks often.

use std::{io, time::Duration};

use protocol::digest::Md5;
use tokio::sync::oneshot;

use super::{
    History, Readable, Swap,
    event::Entry,
    frames::{HEAD, MAGIC, content, scan},
    trim::Stretches,
};

/// Entries of one answer; of more the latest are given.
const ANSWER_MAX: usize = 1000;
/// How long it is waited for what is queued.
const SETTLE_MAX: Duration = Duration::from_secs(5);

impl History {
    /// Waits until what happened before is written.
    pub(crate) async fn settled(&self) {
        let (done, settled) = oneshot::channel();
        {
            let mut queue = self.shared.queue.lock();
            // Those who have given up: while a disk hangs they would become many.
            queue.waiting.retain(|waiting| !waiting.is_closed());
            queue.waiting.push(done);
        }
        self.shared.filled.notify_one();
        // A disk that hangs keeps nobody from what is written.
        let _ = tokio::time::timeout(SETTLE_MAX, settled).await;
    }

    /// The latest entries that are `wanted`, in order. Blocks.
    pub(crate) fn find(&self, wanted: impl Fn(&Md5) -> bool, is_meant: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut found = std::collections::VecDeque::new();
        let seen = self.scan(|_, frame| {
            let entry = Entry::md5_of(content(frame)).filter(&wanted).and_then(|_| Entry::decode(content(frame)));
            if let Some(entry) = entry.filter(&is_meant) {
                if found.len() == ANSWER_MAX {
                    found.pop_front();
                }
                found.push_back(entry);
            }
        });
        if let Err(error) = seen {
            tracing::warn!(%error, "the history of the cache cannot be read");
        }
        found.into()
    }

    /// Writes a shorter file beside, of which `budget` bytes are entries, those of objects that are here first. `None` if there is nothing to
    /// shorten. Blocks.
    pub(crate) fn trimmed(&self, budget: u64, is_here: impl Fn(&Md5) -> bool) -> io::Result<Option<Swap>> {
        let Some(readable) = self.readable() else { return Ok(None) };
        let (mut stretches, here) = (Stretches::new(readable.len), |frame: &[u8]| {
            Entry::md5_of(content(frame)).is_some_and(|md5| is_here(&md5))
        });
        self.scan_of(&readable, |at, frame| stretches.add(at, frame.len() as u64, here(frame)))?;
        let kept = stretches.keep(budget);
        let path = self.shared.layout.history_new();
        let _ = self.shared.disk.unlink(&path);
        let (file, mut out, mut len) = (self.shared.disk.create(&path)?, MAGIC.to_vec(), 0);
        let mut failed = Ok(());
        let mut flush = |out: &mut Vec<u8>| {
            let written = self.shared.disk.write_all_at(&file, out, len);
            len += out.len() as u64;
            out.clear();
            written
        };
        self.scan_of(&readable, |at, frame| {
            let from = if here(frame) { kept.here } else { kept.gone };
            if stretches.at(at) >= from {
                out.extend_from_slice(frame);
            }
            if out.len() >= 1 << 20 && failed.is_ok() {
                failed = flush(&mut out);
            }
        })?;
        failed?;
        flush(&mut out)?;
        Ok(Some(Swap { file, len, stands_for: readable.len }))
    }

    fn readable(&self) -> Option<Readable> {
        self.shared.readable.lock().clone()
    }

    fn scan(&self, see: impl FnMut(u64, &[u8])) -> io::Result<()> {
        match self.readable() {
            Some(readable) => self.scan_of(&readable, see),
            None => Ok(()),
        }
    }

    fn scan_of(&self, readable: &Readable, see: impl FnMut(u64, &[u8])) -> io::Result<()> {
        scan(&*self.shared.disk, &readable.file, HEAD, readable.len, see).map(drop)
    }
}
