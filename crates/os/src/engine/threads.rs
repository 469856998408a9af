//! The engine without io_uring: a few threads that block in the same operations.

use std::{
    io::{self, IoSlice, IoSliceMut},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use parking_lot::Mutex;
use rustix::{
    buffer::spare_capacity,
    io::{Errno, ReadWriteFlags, pread, preadv2, pwritev},
};

use super::operation::{Caching, Operation, PIECES_MAX, READ_AHEAD_STEP, RWF_DONTCACHE, Step, Work};

/// Threads of the pool: what keeps a disk busy with large requests, without a crowd where there is one processor.
const THREADS: usize = 4;

/// The pool. Its threads end when it is dropped and the channel is empty.
#[derive(Debug)]
pub(super) struct Pool {
    /// Bounded by the places that operations hold.
    operations: Sender<Operation>,
}

impl Pool {
    pub(super) fn start() -> io::Result<Self> {
        let (operations, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..THREADS {
            let waiting = waiting.clone();
            thread::Builder::new().name(format!("disk-{number}")).spawn(move || work_off(&waiting))?;
        }
        Ok(Self { operations })
    }

    pub(super) fn submit(&self, operation: Operation) {
        if let Err(mpsc::SendError(operation)) = self.operations.send(operation) {
            operation.abandon(super::stopped());
        }
    }
}

/// The life of one thread. One of them at a time waits in the channel, the others for the lock.
fn work_off(waiting: &Mutex<Receiver<Operation>>) {
    let mut scratch = Vec::new();
    loop {
        let received = waiting.lock().recv();
        let Ok(mut operation) = received else { return };
        let result = run(&mut operation, &mut scratch);
        operation.finish(result);
    }
}

/// Executes until nothing is left.
fn run(operation: &mut Operation, scratch: &mut Vec<u8>) -> Result<(), Errno> {
    if operation.work.is_empty() {
        return Ok(());
    }
    loop {
        operation.prepare();
        let result = execute(operation, scratch);
        match operation.work.advance(result) {
            Step::Again => {}
            Step::Done => return Ok(()),
            Step::Failed(errno) => return Err(errno),
        }
    }
}

/// One blocking call.
fn execute(operation: &mut Operation, scratch: &mut Vec<u8>) -> Result<usize, Errno> {
    let file = &*operation.file;
    match &mut operation.work {
        Work::Write { pieces, offset } => {
            let slices: Vec<_> = pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            pwritev(file, &slices, *offset)
        }
        Work::Sync { metadata: true } => rustix::fs::fsync(file).map(|()| 0),
        Work::Sync { metadata: false } => rustix::fs::fdatasync(file).map(|()| 0),
        Work::Read { buffer, offset, wanted, caching: Caching::DontCache } => {
            // This call takes only bytes that are initialised, and those it did not fill are cut off again.
            let (filled, from) = (buffer.len(), *offset + buffer.len() as u64);
            buffer.resize(*wanted, 0);
            let flags = ReadWriteFlags::from_bits_retain(RWF_DONTCACHE);
            let result = preadv2(file, &mut [IoSliceMut::new(&mut buffer[filled..])], from, flags);
            buffer.truncate(filled + result.unwrap_or(0));
            result
        }
        Work::Read { buffer, offset, .. } => {
            let from = *offset + buffer.len() as u64;
            pread(file, spare_capacity(buffer), from)
        }
        Work::ReadAhead { offset, end } => {
            scratch.resize(READ_AHEAD_STEP, 0);
            let step = usize::try_from(*end - *offset).unwrap_or(usize::MAX).min(READ_AHEAD_STEP);
            pread(file, &mut scratch[..step], *offset)
        }
    }
}
