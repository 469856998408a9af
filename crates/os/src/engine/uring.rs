//! The engine on io_uring: one thread owns the ring and a slab of the operations in flight.
//!
//! The thread sleeps in the ring. An eventfd wakes it for new operations; it is written only when the thread has said that
//! it is going to sleep, so that a busy engine is fed without a system call.
//!
//! A ring that fails while it runs is given up: what is in flight is answered with an error, and all that comes later is handed to a pool of
//! threads.
//!
//! | memory the kernel may touch | owned by | until |
//! |---|---|---|
//! | pieces, list of pieces, read buffer, file | a [`Flight`] in the slab | the completion with its index |
//! | the target of read aheads and of the eventfd's counter | [`Sink`], which nobody ever reads | nothing is in flight, and no read of the eventfd is pending |

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{self, Receiver, Sender, TryRecvError},
    },
    thread,
};

use io_uring::{IoUring, Probe, opcode, squeue, types};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use super::{
    IN_FLIGHT_MAX,
    operation::{Operation, PIECES_MAX, READ_AHEAD_STEP, Step, Work},
    threads::Pool,
};

/// Entries of the submission queue.
const ENTRIES: u32 = 256;

// Every operation has at most one entry in the queue, and the eventfd one more: pushing never finds it full.
const _: () = assert!(IN_FLIGHT_MAX < ENTRIES as usize);

/// Kernel threads for what cannot be done asynchronously (syncs, writes that must allocate); the default grows with the machine.
const KERNEL_WORKERS_MAX: u32 = 16;

/// The `user_data` of the read on the eventfd; all others are indices of the slab.
const WAKE: u64 = u64::MAX;

/// Handle to the thread. Dropping it ends the thread after what is in flight.
#[derive(Debug)]
pub(super) struct Ring {
    /// Bounded by the places that operations hold. `None` only while dropping.
    operations: Option<Sender<Operation>>,
    bell: Arc<Bell>,
    failure: Arc<OnceLock<String>>,
}

/// How the thread is woken.
#[derive(Debug)]
struct Bell {
    eventfd: OwnedFd,
    /// Set by the thread before it looks at the channel for the last time; who clears it rings.
    sleeping: AtomicBool,
    /// For tests of what follows a ring that fails.
    #[cfg(test)]
    broken: AtomicBool,
}

impl Ring {
    /// Creates the ring, asks it for what we need, and starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let bell = Arc::new(Bell {
            eventfd: eventfd(0, EventfdFlags::CLOEXEC)?,
            sleeping: AtomicBool::new(false),
            #[cfg(test)]
            broken: AtomicBool::new(false),
        });
        let (operations, waiting) = mpsc::channel();
        let (started, outcome) = mpsc::sync_channel(1);
        let failure = Arc::new(OnceLock::new());
        let (driver_bell, driver_failure) = (bell.clone(), failure.clone());
        // The ring is made on its thread: the kernel serves a ring best that only one thread ever touches.
        thread::Builder::new().name("disk-ring".to_owned()).spawn(move || match create() {
            Ok(ring) => {
                let _ = started.send(Ok(()));
                Driver::new(ring, driver_bell, waiting).run(&driver_failure);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        })?;
        outcome.recv().map_err(io::Error::other)??;
        Ok(Self { operations: Some(operations), bell, failure })
    }

    /// Why the ring was given up, if it was.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Makes the ring fail at the next operation.
    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.bell.broken.store(true, SeqCst);
    }

    pub(super) fn submit(&self, operation: Operation) {
        let Some(operations) = &self.operations else { return };
        match operations.send(operation) {
            Ok(()) => self.bell.ring(),
            Err(mpsc::SendError(operation)) => drop(operation.abandon(super::stopped())),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.operations = None;
        self.bell.ring();
    }
}

impl Bell {
    fn ring(&self) {
        if self.sleeping.swap(false, SeqCst) {
            self.strike();
        }
    }

    fn strike(&self) {
        // Cannot fail: the counter would have to be within one of 2^64, and every ring is answered by a read.
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }
}

/// A ring that has been seen to work.
fn create() -> io::Result<IoUring> {
    // The flags came with Linux 6.1 and save interrupts; without them all works the same.
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .build(ENTRIES)
        .or_else(|_| IoUring::new(ENTRIES))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    for code in [opcode::Read::CODE, opcode::Writev::CODE, opcode::Fsync::CODE] {
        if !probe.is_supported(code) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("the kernel lacks operation {code}")));
        }
    }
    // Older kernels have no such limit (5.15).
    let _ = ring.submitter().register_iowq_max_workers(&mut [KERNEL_WORKERS_MAX, 0]);
    Ok(ring)
}

/// An operation in the hands of the kernel.
struct Flight {
    operation: Operation,
    /// What the kernel reads the pieces of a write from; on the heap, so that it stays where it is when the slab grows.
    list: Vec<libc::iovec>,
}

/// Memory for what must be read but is not wanted. All such reads share it: nobody looks at what is in it, and a small
/// place stays in the processor's cache. Only a pointer is kept, because a reference would promise that nobody else writes.
struct Sink(*mut [u8]);

impl Sink {
    fn new() -> Self {
        Self(Box::into_raw(vec![0; READ_AHEAD_STEP].into_boxed_slice()))
    }

    /// Where [`READ_AHEAD_STEP`] bytes may be written.
    fn target(&self) -> *mut u8 {
        self.0.cast()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // SAFETY: it came from `Box::into_raw` in `new`, and by the table at the top of this file the kernel is done with it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The thread.
struct Driver {
    ring: IoUring,
    bell: Arc<Bell>,
    waiting: Receiver<Operation>,
    /// Slots by index; the kernel knows an operation by its index.
    slab: Vec<Option<Flight>>,
    vacant: Vec<usize>,
    /// Whether a read of the eventfd is pending.
    wake_armed: bool,
    /// Whether operations may still come.
    open: bool,
    sink: Sink,
}

impl Driver {
    fn new(ring: IoUring, bell: Arc<Bell>, waiting: Receiver<Operation>) -> Self {
        Self {
            ring,
            bell,
            waiting,
            slab: Vec::new(),
            vacant: Vec::new(),
            wake_armed: false,
            open: true,
            sink: Sink::new(),
        }
    }

    /// Until the handle is gone and nothing is in flight.
    fn run(mut self, failure: &OnceLock<String>) {
        while self.open || self.in_flight() > 0 || self.wake_armed {
            self.take_in();
            if let Err(error) = self.enter() {
                tracing::error!(%error, "io_uring failed; from now on threads reach the disk. A restart tries io_uring again");
                let _ = failure.set(error.to_string());
                return hand_over(self.abandon());
            }
            self.complete();
        }
    }

    fn in_flight(&self) -> usize {
        self.slab.len() - self.vacant.len()
    }

    /// Starts all that waits, and says that we sleep when nothing does.
    fn take_in(&mut self) {
        self.bell.sleeping.store(false, SeqCst);
        self.arm_wake();
        loop {
            match self.waiting.try_recv() {
                Ok(operation) => self.admit(operation),
                Err(TryRecvError::Disconnected) => return self.close(),
                // Saying so comes before the last look: an operation sent in between rings, or is seen here.
                Err(TryRecvError::Empty) if !self.bell.sleeping.swap(true, SeqCst) => {}
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    /// No operation will come any more: the pending read of the eventfd has to be ended by ourselves.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.bell.strike();
        }
    }

    fn admit(&mut self, operation: Operation) {
        if operation.work.is_empty() {
            return operation.finish(Ok(()));
        }
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slab.push(None);
            self.slab.len() - 1
        });
        self.slab[index] = Some(Flight { operation, list: Vec::new() });
        self.launch(index);
    }

    /// Submits what is left of an operation.
    fn launch(&mut self, index: usize) {
        let sink = self.sink.target();
        let flight = self.slab[index].as_mut().expect("only operations in flight are launched");
        let entry = flight.entry(sink).user_data(index as u64);
        self.push(entry);
    }

    fn arm_wake(&mut self) {
        if self.open && !self.wake_armed {
            let eventfd = types::Fd(self.bell.eventfd.as_raw_fd());
            self.push(opcode::Read::new(eventfd, self.sink.target(), size_of::<u64>() as u32).build().user_data(WAKE));
            self.wake_armed = true;
        }
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: what the entry points to lives until its completion, by the table at the top of this file: `abandon` leaks
        // all of it, and `run` otherwise returns only when neither an operation nor the read of the eventfd is pending.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("the queue has room for every operation that holds a place");
    }

    /// Submits, and sleeps until something completes, unless there is more to take in.
    fn enter(&mut self) -> io::Result<()> {
        #[cfg(test)]
        if self.bell.broken.load(SeqCst) {
            return Err(io::Error::other("broken by a test"));
        }
        match self.ring.submit_and_wait(1) {
            Ok(_) => Ok(()),
            // Interrupted, or the kernel wants its completions taken first.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Moves on every operation that has completed.
    fn complete(&mut self) {
        loop {
            let next = self.ring.completion().next();
            let Some(completion) = next else { return };
            let result = match usize::try_from(completion.result()) {
                Ok(count) => Ok(count),
                Err(_) => Err(Errno::from_raw_os_error(-completion.result())),
            };
            if completion.user_data() == WAKE {
                self.wake_armed = false;
            } else {
                self.land(completion.user_data() as usize, result);
            }
        }
    }

    fn land(&mut self, index: usize, result: Result<usize, Errno>) {
        let flight = self.slab[index].as_mut().expect("the kernel completes only what was launched, and once");
        if let (Ok(count), Work::Read { buffer, .. }) = (result, &mut flight.operation.work) {
            // SAFETY: the kernel has just filled `count` bytes behind the length, and was told of no more than the capacity.
            unsafe { buffer.set_len(buffer.len() + count) };
        }
        let outcome = match flight.operation.work.advance(result) {
            Step::Again => return self.launch(index),
            Step::Done => Ok(()),
            Step::Failed(errno) => Err(errno),
        };
        if let Some(flight) = self.slab[index].take() {
            self.vacant.push(index);
            flight.operation.finish(outcome);
        }
    }

    /// The ring is broken and nobody knows what the kernel still does: who waits is told, and what it may touch is leaked. Answers from where
    /// operations still come.
    fn abandon(mut self) -> Receiver<Operation> {
        for flight in self.slab.drain(..).flatten() {
            std::mem::forget(flight.list);
            std::mem::forget(flight.operation.abandon(broken()));
        }
        std::mem::forget(self.sink);
        self.waiting
    }
}

/// From here on the thread only passes on what comes.
fn hand_over(waiting: Receiver<Operation>) {
    match Pool::start() {
        Ok(pool) => waiting.iter().for_each(|operation| pool.submit(operation)),
        Err(error) => {
            tracing::error!(%error, "no threads can be started to reach the disk; nothing is read or written any more. Restart the program")
        }
    }
}

/// Nobody knows whether what was in flight was done.
fn broken() -> io::Error {
    io::Error::other("io_uring failed in the middle of it; threads take its place, try again")
}

impl Flight {
    /// The entry for what is left. It points into this flight and into `sink`.
    fn entry(&mut self, sink: *mut u8) -> squeue::Entry {
        let file = types::Fd(self.operation.file.as_raw_fd());
        match &mut self.operation.work {
            Work::Write { pieces, offset } => {
                self.list.clear();
                self.list.extend(
                    pieces
                        .iter()
                        .take(PIECES_MAX)
                        .map(|piece| libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() }),
                );
                opcode::Writev::new(file, self.list.as_ptr(), self.list.len() as u32).offset(*offset).build()
            }
            Work::Sync { metadata: true } => opcode::Fsync::new(file).build(),
            Work::Sync { metadata: false } => opcode::Fsync::new(file).flags(types::FsyncFlags::DATASYNC).build(),
            Work::Read { buffer, offset, wanted } => {
                let from = *offset + buffer.len() as u64;
                let len = u32::try_from(*wanted - buffer.len()).unwrap_or(READ_MAX);
                let target = buffer.spare_capacity_mut().as_mut_ptr().cast();
                opcode::Read::new(file, target, len).offset(from).build()
            }
            Work::ReadAhead { offset, end } => {
                let len = (*end - *offset).min(READ_AHEAD_STEP as u64) as u32;
                opcode::Read::new(file, sink, len).offset(*offset).build()
            }
        }
    }
}

/// The most the kernel reads at once (`MAX_RW_COUNT`, rounded down to a power of two); the rest follows.
const READ_MAX: u32 = 1 << 30;
