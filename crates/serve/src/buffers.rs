//! What a connection needs while it is busy: received bytes, bytes to send, and what is to be said of answers once they are out. An idle
//! connection has none of it: buffers live in the worker's pool and are lent. Likewise room for pieces of files, where they are read.

use std::cell::RefCell;

use crate::{exchange::Gathered, input::Input};

/// Buffers that grew beyond this are not kept.
const KEPT_BYTES_MAX: usize = 96 << 10;
/// So many are kept per worker; more are made when more connections are busy at once.
const KEPT_MAX: usize = 64;

/// One set.
pub(crate) struct Buffers {
    pub(crate) input: Input,
    /// Heads and small bodies, in the order of the requests, not yet sent.
    pub(crate) output: Vec<u8>,
    /// One entry per answer in `output`.
    pub(crate) gathered: Vec<Gathered>,
}

/// Buffers that nobody uses now.
#[expect(clippy::vec_box, reason = "an idle connection has room for a pointer, and lending moves no more than that")]
#[derive(Default)]
pub(crate) struct Pool(RefCell<Vec<Box<Buffers>>>);

impl Pool {
    pub(crate) fn lend(&self) -> Box<Buffers> {
        self.0
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| Box::new(Buffers { input: Input::new(), output: Vec::new(), gathered: Vec::new() }))
    }

    pub(crate) fn take_back(&self, mut buffers: Box<Buffers>) {
        let mut kept = self.0.borrow_mut();
        let small = buffers.input.capacity() <= KEPT_BYTES_MAX && buffers.output.capacity() <= KEPT_BYTES_MAX;
        if small && kept.len() < KEPT_MAX {
            buffers.input.clear();
            buffers.output.clear();
            buffers.gathered.clear();
            kept.push(buffers);
        }
    }
}

/// Pieces of files are read into buffers of this size.
pub(crate) const PIECE_BYTES: usize = 128 << 10;
/// Smaller pieces than this are read into buffers of their own.
const SPARE_BYTES_MIN: usize = 16 << 10;
/// So many are kept per worker.
const SPARE_MAX: usize = 16;

/// Buffers for pieces of files that nobody uses now: to fill a new one with zeros costs as much as to read into it.
#[derive(Default)]
pub(crate) struct Spare(RefCell<Vec<Vec<u8>>>);

impl Spare {
    /// Room for `len` bytes, at least, and at most [`PIECE_BYTES`].
    pub(crate) fn lend(&self, len: usize) -> Vec<u8> {
        if len < SPARE_BYTES_MIN {
            return vec![0; len];
        }
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; len.max(PIECE_BYTES)])
    }

    pub(crate) fn take_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if buffer.len() == PIECE_BYTES && kept.len() < SPARE_MAX {
            kept.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_are_not_kept() {
        let pool = Pool::default();
        let mut buffers = pool.lend();
        buffers.output.reserve(KEPT_BYTES_MAX + 1);
        pool.take_back(buffers);
        assert!(pool.0.borrow().is_empty());
        pool.take_back(pool.lend());
        assert_eq!(pool.0.borrow().len(), 1);
    }
}
