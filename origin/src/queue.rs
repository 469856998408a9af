//! Which file is hashed next: what a client waits for, then what a client was sent, then everything else. It touches no file.
//!
//! | where a path is | comes there by | leaves by |
//! |---|---|---|
//! | asked | [`Queue::ask`], or when it is due and somebody still waits | [`Queue::next`] |
//! | wanted | [`Queue::want`], which drops what is too much | [`Queue::next`] of a worker that takes it |
//! | background | [`Queue::push`], which waits while the queue is full | [`Queue::next`] of a worker that takes it |
//! | later | [`Queue::finish`] with [`Outcome::Unsettled`]: too young, or changed while it was read | becomes due |
//! | working | [`Queue::next`] | [`Queue::finish`] |
//!
//! Who asked is woken when the path is finished, whatever came of it. A path that is in two places is looked at twice, and the second time found
//! to be known.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::shares::is_within;

/// Paths that wait in the background; who finds more waits to add them.
pub(crate) const BACKGROUND_MAX: usize = 4_096;
/// Paths that clients wait for; one more is refused.
pub(crate) const ASKED_MAX: usize = 256;
/// Paths that were sent without a digest; one more waits for its turn in the background.
const WANTED_MAX: usize = 256;
/// The longest that a client waits for a path. Who would wait longer is told at once.
pub(crate) const ASK_WAIT_MAX: Duration = Duration::from_secs(20);
/// A file that keeps changing is looked at again after twice as long each time, up to this.
const LATER_MAX: Duration = Duration::from_secs(300);

/// A path below the share.
pub(crate) type FilePath = Box<[u8]>;

/// See the table above.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something may be taken.
    work: Condvar,
    /// The background has room again.
    room: Condvar,
}

#[derive(Default)]
struct State {
    asked: VecDeque<FilePath>,
    wanted: VecDeque<FilePath>,
    background: VecDeque<FilePath>,
    later: BinaryHeap<Reverse<(Instant, FilePath)>>,
    working: HashSet<FilePath>,
    /// Every path that is in `background` or `later`, so that it is there once.
    queued: HashSet<FilePath>,
    /// How often a path was found changing; forgotten when it is finished.
    unsettled: HashMap<FilePath, u32>,
    /// Dropping a sender wakes who waits.
    waiting: HashMap<FilePath, watch::Sender<()>>,
    closed: bool,
}

/// What a worker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// What is asked for first, then what is wanted, then the background.
    Everything,
    /// Only what is asked for, so that a large file in the background does not stand before it.
    Asked,
}

/// What came of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Hashed, gone, or not readable: nothing more to do.
    Finished,
    /// To be looked at again after this time.
    Unsettled(Duration),
}

/// The queue of what clients ask for is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Ends when the path is finished.
pub(crate) struct Finished(watch::Receiver<()>);

impl Finished {
    /// Waits, at most [`ASK_WAIT_MAX`]. Dropping it wakes nobody and stops nothing.
    pub(crate) async fn wait(self) {
        self.within(ASK_WAIT_MAX).await;
    }

    async fn within(mut self, longest: Duration) -> bool {
        // Nothing is ever sent: the channel's end is the news.
        tokio::time::timeout(longest, self.0.changed()).await.is_ok()
    }
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), room: Condvar::new() }
    }

    /// Adds a path in the background; waits while there is no room. `false` when the queue was closed.
    pub(crate) fn push(&self, path: FilePath) -> bool {
        let mut state = self.state.lock();
        while !state.closed && state.queued.len() >= BACKGROUND_MAX && !state.queued.contains(&path) {
            self.room.wait(&mut state);
        }
        if state.closed {
            return false;
        }
        if state.queued.insert(path.clone()) {
            state.background.push_back(path);
            self.work.notify_all();
        }
        true
    }

    /// Asks for a path before all others.
    pub(crate) fn ask(&self, path: &[u8]) -> Result<Finished, Full> {
        let mut state = self.state.lock();
        if let Some(sender) = state.waiting.get(path) {
            return Ok(Finished(sender.subscribe()));
        }
        if state.closed || state.waiting.len() >= ASKED_MAX {
            return Err(Full);
        }
        let (sender, receiver) = watch::channel(());
        state.waiting.insert(path.into(), sender);
        if !state.working.contains(path) {
            state.asked.push_back(path.into());
            self.work.notify_all();
        }
        Ok(Finished(receiver))
    }

    /// A client was sent this without a digest, and others may come for it.
    pub(crate) fn want(&self, path: &[u8]) {
        let mut state = self.state.lock();
        let known = state.working.contains(path) || state.waiting.contains_key(path);
        if !known && state.wanted.len() < WANTED_MAX && !state.wanted.iter().any(|wanted| **wanted == *path) {
            state.wanted.push_back(path.into());
            self.work.notify_all();
        }
    }

    /// The next path for a worker; waits for one. `None` when the queue was closed.
    pub(crate) fn next(&self, takes: Takes) -> Option<FilePath> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let due = state.promote(Instant::now());
            if let Some(path) = state.take(takes) {
                self.room.notify_all();
                return Some(path);
            }
            match due {
                Some(due) => drop(self.work.wait_until(&mut state, due)),
                None => self.work.wait(&mut state),
            }
        }
    }

    /// The next path, if there is one now.
    pub(crate) fn ready(&self, takes: Takes) -> Option<FilePath> {
        let mut state = self.state.lock();
        state.promote(Instant::now());
        let path = state.take(takes)?;
        self.room.notify_all();
        Some(path)
    }

    /// Says what came of a path that was taken.
    pub(crate) fn finish(&self, path: FilePath, outcome: Outcome) {
        let mut state = self.state.lock();
        state.working.remove(&path);
        match outcome {
            Outcome::Finished => {
                state.unsettled.remove(&path);
                drop(state.waiting.remove(&path));
            }
            Outcome::Unsettled(wait) => state.put_off(path, wait, Instant::now()),
        }
        self.work.notify_all();
    }

    /// Ends all waiting; what is being worked on is for the workers to stop.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        *state = State { closed: true, ..State::default() };
        self.work.notify_all();
        self.room.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Whether any path below a folder waits, or is being worked on.
    pub(crate) fn has_any_below(&self, folder: &[u8]) -> bool {
        let state = self.state.lock();
        let asked = state.asked.iter().chain(&state.wanted);
        asked.chain(&state.queued).chain(&state.working).any(|path| is_within(path, folder))
    }

    /// Paths that wait, or are being worked on.
    pub(crate) fn len(&self) -> usize {
        let state = self.state.lock();
        state.queued.len() + state.asked.len() + state.wanted.len() + state.working.len()
    }
}

impl State {
    /// Moves what is due to where it is taken from; answers when the next will be.
    fn promote(&mut self, now: Instant) -> Option<Instant> {
        while let Some(Reverse((due, _))) = self.later.peek() {
            if *due > now {
                return Some(*due);
            }
            let Some(Reverse((_, path))) = self.later.pop() else { break };
            if self.waiting.contains_key(&path) {
                self.queued.remove(&path);
                self.asked.push_back(path);
            } else {
                self.background.push_back(path);
            }
        }
        None
    }

    fn take(&mut self, takes: Takes) -> Option<FilePath> {
        let mut taken = self.asked.pop_front();
        while taken.is_none() && takes == Takes::Everything {
            let path = match self.wanted.pop_front() {
                Some(path) => path,
                None => self.next_in_background()?,
            };
            // What is being worked on was announced anew because it changed, which the worker will see.
            taken = (!self.working.contains(&path)).then_some(path);
        }
        let path = taken?;
        self.working.insert(path.clone());
        Some(path)
    }

    fn next_in_background(&mut self) -> Option<FilePath> {
        let path = self.background.pop_front()?;
        self.queued.remove(&path);
        Some(path)
    }

    fn put_off(&mut self, path: FilePath, wait: Duration, now: Instant) {
        let times = self.unsettled.entry(path.clone()).or_default();
        let wait = wait.saturating_mul(1 << (*times).min(16)).min(LATER_MAX.max(wait));
        *times += 1;
        // Nobody waits any more, or nobody will wait for so long: the next who asks begins anew.
        if wait > ASK_WAIT_MAX || self.waiting.get(&path).is_some_and(|sender| sender.is_closed()) {
            self.waiting.remove(&path);
        }
        if self.queued.insert(path.clone()) {
            self.later.push(Reverse((now + wait, path)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> FilePath {
        name.as_bytes().into()
    }

    fn next(queue: &Queue, takes: Takes) -> String {
        String::from_utf8(queue.next(takes).expect("open").into()).expect("text")
    }

    #[test]
    fn what_is_asked_for_comes_first_and_what_is_wanted_next() {
        let queue = Queue::new();
        assert!(queue.push(path("a")) && queue.push(path("b")));
        queue.want(b"w");
        queue.want(b"w");
        let _finished = queue.ask(b"c").expect("room");
        queue.want(b"c");
        assert_eq!(queue.len(), 4);
        assert_eq!(next(&queue, Takes::Asked), "c");
        assert_eq!(next(&queue, Takes::Everything), "w");
        assert_eq!(next(&queue, Takes::Everything), "a");
        assert_eq!(next(&queue, Takes::Everything), "b");
    }

    #[test]
    fn a_path_is_queued_once() {
        let queue = Queue::new();
        assert!(queue.push(path("a")) && queue.push(path("a")));
        assert_eq!(queue.len(), 1);
        let (_one, _two) = (queue.ask(b"b").expect("room"), queue.ask(b"b").expect("room"));
        assert_eq!(next(&queue, Takes::Asked), "b");
        let _three = queue.ask(b"b").expect("room");
        assert_eq!(next(&queue, Takes::Everything), "a");
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn what_waits_below_a_folder_is_found_until_it_is_finished() {
        let queue = Queue::new();
        assert!(queue.push(path("a/b")) && !queue.has_any_below(b"a/b/c") && !queue.has_any_below(b"c"));
        assert!(queue.has_any_below(b"a") && queue.has_any_below(b""));
        let taken = queue.ready(Takes::Everything).expect("it is there");
        assert!(queue.has_any_below(b"a"), "it is being worked on");
        queue.finish(taken, Outcome::Unsettled(Duration::from_secs(60)));
        assert!(queue.has_any_below(b"a"), "it is looked at again");
        queue.want(b"d/e");
        assert!(queue.has_any_below(b"d"));
        queue.finish(queue.ready(Takes::Everything).expect("it is there"), Outcome::Finished);
        assert!(!queue.has_any_below(b"d"));
    }

    #[test]
    fn a_file_that_changes_is_put_off_longer_each_time() {
        let mut state = State::default();
        let (start, wait) = (Instant::now(), Duration::from_secs(2));
        for expected in [2, 4, 8] {
            state.put_off(path("a"), wait, start);
            let due = start + Duration::from_secs(expected);
            assert_eq!(state.promote(start), Some(due));
            assert_eq!(state.take(Takes::Everything), None);
            assert_eq!(state.promote(due), None);
            assert_eq!(state.take(Takes::Everything), Some(path("a")));
            state.working.clear();
        }
    }

    #[test]
    fn what_is_put_off_comes_back_to_who_waits_for_it() {
        let mut state = State::default();
        let (sender, _receiver) = watch::channel(());
        state.waiting.insert(path("a"), sender);
        state.put_off(path("a"), Duration::ZERO, Instant::now());
        state.promote(Instant::now());
        assert_eq!(state.take(Takes::Asked), Some(path("a")));
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_told_at_once() {
        let queue = Queue::new();
        let finished = queue.ask(b"a").expect("room");
        let taken = queue.next(Takes::Asked).expect("open");
        queue.finish(taken, Outcome::Unsettled(ASK_WAIT_MAX * 2));
        assert!(finished.within(Duration::from_secs(60)).await);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_path_that_nobody_waits_for_any_more_is_no_longer_asked_for() {
        let mut state = State::default();
        let (sender, receiver) = watch::channel(());
        state.waiting.insert(path("a"), sender);
        drop(receiver);
        state.put_off(path("a"), Duration::ZERO, Instant::now());
        assert!(state.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_asks_is_woken_when_the_path_is_finished() {
        let queue = Queue::new();
        let one = queue.ask(b"a").expect("room");
        let two = queue.ask(b"a").expect("room");
        let taken = queue.next(Takes::Asked).expect("open");
        queue.finish(taken, Outcome::Finished);
        let long = Duration::from_secs(60);
        assert!(one.within(long).await && two.within(long).await);
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let queue = Queue::new();
        assert!(!queue.ask(b"a").expect("room").within(Duration::ZERO).await);
    }

    #[test]
    fn the_queue_of_clients_is_bounded() {
        let queue = Queue::new();
        let waiting: Vec<_> = (0..ASKED_MAX).map(|n| queue.ask(n.to_string().as_bytes()).expect("room")).collect();
        assert!(queue.ask(b"one more").is_err());
        assert!(queue.ask(b"7").is_ok());
        drop(waiting);
    }

    #[test]
    fn the_background_is_bounded_and_closing_frees_who_waits_for_room() {
        let queue = Queue::new();
        assert!((0..BACKGROUND_MAX).all(|n| queue.push(n.to_string().as_bytes().into())));
        std::thread::scope(|scope| {
            let pushed = scope.spawn(|| queue.push(path("one more")));
            queue.close();
            assert!(!pushed.join().expect("no panic"));
        });
        assert_eq!(queue.next(Takes::Everything), None);
    }
}
