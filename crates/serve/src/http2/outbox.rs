//! What lies between the bodies of one connection and its socket: how much is held in memory for all of them together, and of each body how much the
//! connection has taken. It decides nothing but that no more is read while [`BUFFERED_BYTES_MAX`] is held.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};

use crate::{transmit::pieces, worker::Worker};

/// Bytes of bodies that are held for one connection: no body is read on while it is so much. With the last piece of each that asked before it can be more
/// by one piece.
pub(super) const BUFFERED_BYTES_MAX: usize = 1 << 20;

/// Bytes of answers that came whole into memory, likewise for one connection, but for the only one; what does not fit beside others is not sent.
const WHOLE_BYTES_MAX: usize = 8 << 20;

/// What is held for one connection.
#[derive(Default)]
pub(super) struct Held {
    bytes: Cell<usize>,
    whole: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

impl Held {
    /// Waits until something may be read.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.bytes.get() < BUFFERED_BYTES_MAX {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Holds so many more.
    pub(super) fn hold(self: &Rc<Self>, len: usize) -> Charge {
        self.bytes.set(self.bytes.get() + len);
        Charge { held: self.clone(), len }
    }

    /// Holds an answer's whole body, if there is room for it.
    pub(super) fn hold_whole(self: &Rc<Self>, len: usize) -> Option<WholeCharge> {
        let before = self.whole.get();
        let whole = before + len;
        (whole <= WHOLE_BYTES_MAX || before == 0).then(|| {
            self.whole.set(whole);
            WholeCharge { held: self.clone(), len }
        })
    }

    fn give_back(&self, len: usize) {
        let before = self.bytes.get();
        self.bytes.set(before - len);
        if before >= BUFFERED_BYTES_MAX && before - len < BUFFERED_BYTES_MAX {
            self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        }
    }
}

/// Bytes that are held as long as this lives.
pub(super) struct Charge {
    held: Rc<Held>,
    len: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held.give_back(self.len);
    }
}

/// Likewise, of a body that came whole.
pub(super) struct WholeCharge {
    held: Rc<Held>,
    len: usize,
}

impl Drop for WholeCharge {
    fn drop(&mut self) {
        self.held.whole.set(self.held.whole.get() - self.len);
    }
}

/// What the connection has taken of one body.
#[derive(Default)]
pub(super) struct Outbox {
    given: Cell<u64>,
    taken: Cell<u64>,
    waiting: RefCell<Option<Waker>>,
}

impl Outbox {
    /// Bytes that have gone to the socket, or stand in its records.
    pub(super) fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Bytes that were given to the connection and not taken yet.
    pub(super) fn pending(&self) -> u64 {
        self.given.get() - self.taken.get()
    }

    /// Waits until everything is taken.
    pub(super) fn poll_empty(&self, cx: &Context<'_>) -> Poll<()> {
        if self.pending() == 0 {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn took(&self, len: usize) {
        self.taken.set(self.taken.get() + len as u64);
        if self.pending() == 0
            && let Some(waker) = self.waiting.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

/// Bytes on their way: what the library that makes frames is given.
pub(super) struct Parcel {
    bytes: Rc<Contents>,
    at: usize,
    end: usize,
    outbox: Rc<Outbox>,
}

/// What parcels of one piece share. Dropping the last one gives it back.
struct Contents {
    bytes: Place,
    _charge: Option<Rc<Charge>>,
    worker: Rc<Worker>,
}

enum Place {
    Given(Bytes),
    Read(Vec<u8>),
}

impl Drop for Contents {
    fn drop(&mut self) {
        if let Place::Read(buffer) = &mut self.bytes {
            self.worker.spare.take_back(std::mem::take(buffer));
        }
    }
}

impl Contents {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Place::Given(bytes) => bytes,
            Place::Read(buffer) => buffer,
        }
    }
}

/// Cuts a piece into parcels of at most `max` bytes, each for one frame. It is charged for until the last of them is gone.
pub(super) fn parcels(
    piece: pieces::Piece,
    max: usize,
    outbox: &Rc<Outbox>,
    charge: Rc<Charge>,
    worker: &Rc<Worker>,
) -> impl Iterator<Item = Parcel> {
    let len = piece.len();
    let bytes = match piece {
        pieces::Piece::Given(bytes) => Place::Given(bytes),
        pieces::Piece::Read(buffer, _) => Place::Read(buffer),
    };
    outbox.given.set(outbox.given.get() + len as u64);
    let bytes = Rc::new(Contents { bytes, _charge: Some(charge), worker: worker.clone() });
    let outbox = outbox.clone();
    (0..len).step_by(max.max(1)).map(move |at| {
        let end = len.min(at + max);
        Parcel { bytes: bytes.clone(), at, end, outbox: outbox.clone() }
    })
}

impl Parcel {
    /// Without a byte: the end of a body.
    pub(super) fn empty(outbox: &Rc<Outbox>, worker: &Rc<Worker>) -> Self {
        let contents = Contents { bytes: Place::Given(Bytes::new()), _charge: None, worker: worker.clone() };
        Self { bytes: Rc::new(contents), at: 0, end: 0, outbox: outbox.clone() }
    }
}

impl Buf for Parcel {
    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes.bytes()[self.at..self.end]
    }

    fn advance(&mut self, len: usize) {
        assert!(len <= self.remaining(), "more was taken than there is");
        self.at += len;
        self.outbox.took(len);
    }
}
