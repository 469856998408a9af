//! One operation: what it owns, what is left of it, and how a completion moves it on. Knows nothing of who executes it.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// How much of a read ahead is read at once.
pub(super) const READ_AHEAD_STEP: usize = 512 << 10;

/// Pieces the kernel takes in one call (`IOV_MAX`).
pub(super) const PIECES_MAX: usize = 1024;

/// What is asked for and what is left of it.
#[derive(Debug)]
pub(super) enum Work {
    /// Pieces not yet written and where the first of them goes.
    Write { pieces: VecDeque<Bytes>, offset: u64 },
    /// A sync.
    Sync { metadata: bool },
    /// What was read so far, from where the read began, and how much is wanted.
    Read { buffer: Vec<u8>, offset: u64, wanted: usize },
    /// Still to be brought into memory.
    ReadAhead { offset: u64, end: u64 },
}

/// What a completion led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to do: execute it again.
    Again,
    /// All is done.
    Done,
    /// It failed.
    Failed(Errno),
}

/// A piece of work with all that must outlive its execution.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) file: Arc<File>,
    pub(super) work: Work,
    reply: oneshot::Sender<io::Result<Vec<u8>>>,
    /// Given back with the operation.
    _place: OwnedSemaphorePermit,
}

impl Work {
    pub(super) fn write(pieces: Vec<Bytes>, offset: u64) -> Self {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Self::Write { pieces, offset }
    }

    pub(super) fn read(offset: u64, wanted: usize) -> Self {
        Self::Read { buffer: Vec::with_capacity(wanted), offset, wanted }
    }

    /// Whether nothing is left from the beginning.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Write { pieces, .. } => pieces.is_empty(),
            Self::Sync { .. } => false,
            Self::Read { buffer, wanted, .. } => buffer.len() >= *wanted,
            Self::ReadAhead { offset, end } => offset >= end,
        }
    }

    /// Takes note that the execution answered `count` (bytes moved; for reads they are in the buffer already) or an error.
    pub(super) fn advance(&mut self, result: Result<usize, Errno>) -> Step {
        let count = match result {
            Ok(count) => count,
            Err(Errno::INTR) => return Step::Again,
            Err(errno) => return Step::Failed(errno),
        };
        match self {
            Self::Write { pieces, offset } => {
                if count == 0 {
                    // A file system that takes nothing and says no error would keep us here for ever.
                    return Step::Failed(Errno::IO);
                }
                *offset += count as u64;
                consume(pieces, count);
            }
            Self::Sync { .. } => return Step::Done,
            Self::ReadAhead { offset, .. } => *offset += count as u64,
            Self::Read { .. } => {}
        }
        // No bytes: the end of the file.
        if count == 0 || self.is_empty() { Step::Done } else { Step::Again }
    }
}

impl Operation {
    pub(super) fn new(
        file: Arc<File>,
        work: Work,
        reply: oneshot::Sender<io::Result<Vec<u8>>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { file, work, reply, _place: place }
    }

    /// Answers who asked, if they still listen. The file, the buffers and the place are given back here.
    pub(super) fn finish(self, result: Result<(), Errno>) {
        let answer = match (result, self.work) {
            (Err(errno), _) => Err(errno.into()),
            (Ok(()), Work::Read { buffer, .. }) => Ok(buffer),
            (Ok(()), _) => Ok(Vec::new()),
        };
        // The place first: who is told that this is done may count on it.
        drop(self._place);
        let _ = self.reply.send(answer);
    }

    /// For an engine that fails as a whole: answers, and hands back what the kernel may still be using.
    pub(super) fn abandon(self, error: io::Error) -> (Arc<File>, Work) {
        let _ = self.reply.send(Err(error));
        (self.file, self.work)
    }
}

/// Drops the first `count` bytes of the pieces.
fn consume(pieces: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = pieces.front_mut() {
        if first.len() > count {
            first.advance(count);
            return;
        }
        count -= first.len();
        pieces.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(pieces: &[&'static str]) -> Work {
        Work::write(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect(), 100)
    }

    #[test]
    fn short_writes_go_on_where_they_stopped() {
        let mut work = write(&["abc", "", "defg", "h"]);
        assert_eq!(work.advance(Ok(4)), Step::Again);
        let Work::Write { pieces, offset } = &work else { unreachable!() };
        assert_eq!((*offset, pieces.iter().map(|p| &p[..]).collect::<Vec<_>>()), (104, vec![&b"efg"[..], b"h"]));
        assert_eq!(work.advance(Err(Errno::INTR)), Step::Again);
        assert_eq!(work.advance(Ok(4)), Step::Done);
    }

    #[test]
    fn a_write_of_nothing_is_an_error_and_not_a_loop() {
        assert_eq!(write(&["abc"]).advance(Ok(0)), Step::Failed(Errno::IO));
        assert_eq!(write(&["abc"]).advance(Err(Errno::NOSPC)), Step::Failed(Errno::NOSPC));
        assert!(write(&["", ""]).is_empty());
    }

    #[test]
    fn a_read_ends_at_the_end_of_the_file() {
        let mut work = Work::read(0, 10);
        assert_eq!(work.advance(Ok(0)), Step::Done);
        let mut work = Work::ReadAhead { offset: 5, end: 10 };
        assert_eq!(work.advance(Ok(4)), Step::Again);
        assert_eq!(work.advance(Ok(1)), Step::Done);
    }
}
