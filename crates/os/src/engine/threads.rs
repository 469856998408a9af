//! The engine on a few threads that block in the operations.

use std::{
    fs::File,
    io::{self, IoSlice},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use parking_lot::Mutex;
use rustix::{
    buffer::spare_capacity,
    fs::sendfile,
    io::{Errno, pread, pwritev},
};

use super::operation::{Operation, PIECES_MAX, READ_AHEAD_STEP, Step, Work};

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
    let mut aside = Aside { null: File::options().write(true).open("/dev/null").ok(), scratch: Vec::new() };
    loop {
        let received = waiting.lock().recv();
        let Ok(mut operation) = received else { return };
        let result = run(&mut operation, &mut aside);
        operation.finish(result);
    }
}

/// Where bytes go that are only to be brought into memory.
struct Aside {
    /// `sendfile` to there goes through the page cache as any other and copies nothing.
    null: Option<File>,
    /// For file systems that have no `sendfile`.
    scratch: Vec<u8>,
}

impl Aside {
    fn read(&mut self, file: &File, offset: u64, len: u64) -> Result<usize, Errno> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut position = offset;
        match self.null.as_ref().map(|null| sendfile(null, file, Some(&mut position), len)) {
            Some(Err(Errno::INVAL | Errno::NOSYS)) => self.null = None,
            Some(answer) => return answer,
            None => {}
        }
        self.scratch.resize(READ_AHEAD_STEP, 0);
        pread(file, &mut self.scratch[..len.min(READ_AHEAD_STEP)], offset)
    }
}

/// Executes until nothing is left.
fn run(operation: &mut Operation, aside: &mut Aside) -> Result<(), Errno> {
    if operation.work.is_empty() {
        return Ok(());
    }
    loop {
        let result = execute(operation, aside);
        match operation.work.advance(result) {
            Step::Again => {}
            Step::Done => return Ok(()),
            Step::Failed(errno) => return Err(errno),
        }
    }
}

/// One blocking call.
fn execute(operation: &mut Operation, aside: &mut Aside) -> Result<usize, Errno> {
    let file = &*operation.file;
    match &mut operation.work {
        Work::Write { pieces, offset } => {
            let slices: Vec<_> = pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            pwritev(file, &slices, *offset)
        }
        Work::Sync { metadata: true } => rustix::fs::fsync(file).map(|()| 0),
        Work::Sync { metadata: false } => rustix::fs::fdatasync(file).map(|()| 0),
        Work::Read { buffer, offset, .. } => {
            let from = *offset + buffer.len() as u64;
            pread(file, spare_capacity(buffer), from)
        }
        Work::ReadAhead { offset, end } => aside.read(file, *offset, *end - *offset),
    }
}
