//! The directories `objects/ab/cd`: made when an object first comes into one, removed with its last, and counted, for 65,536 of
//! them are 256 MiB. An object's name is durable only if those of its directories are.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use parking_lot::Mutex;

use crate::{
    disk::{Disk, layout::Layout},
    space::ledger::{Account, Space},
};

/// What a directory costs until it is full of names.
pub(crate) const DIRECTORY: u64 = 4096;
/// Leaves and branches in the bitmap.
const LEAVES: usize = 1 << 16;
const BRANCHES: usize = 1 << 8;

/// Which directories are there.
pub(crate) struct Dirs {
    disk: Arc<dyn Disk>,
    space: Arc<Space>,
    layout: Layout,
    state: Mutex<State>,
}

struct State {
    /// Whether a directory is known to be there, durably: leaves, then branches.
    there: Vec<u64>,
    /// Leaves that somebody is about to put an object into, and how many do: these are not removed.
    entering: HashMap<u16, u32>,
}

impl State {
    fn is_there(&self, at: usize) -> bool {
        self.there[at / 64] & (1 << (at % 64)) != 0
    }

    /// `true` if that is news.
    fn set(&mut self, at: usize, there: bool) -> bool {
        let before = self.is_there(at);
        let bit = 1 << (at % 64);
        if there {
            self.there[at / 64] |= bit;
        } else {
            self.there[at / 64] &= !bit;
        }
        before != there
    }
}

impl Dirs {
    pub(crate) fn new(space: Arc<Space>, layout: Layout) -> Self {
        let state = State { there: vec![0; (LEAVES + BRANCHES).div_ceil(64)], entering: HashMap::new() };
        Self { disk: space.disk().clone(), space, layout, state: Mutex::new(state) }
    }

    /// An object is about to come into the leaf: makes the directories durable if they are not there. To be followed by
    /// [`Dirs::entered`], also after an error. Blocks.
    pub(crate) fn enter(&self, leaf: u16) -> io::Result<()> {
        let mut state = self.state.lock();
        *state.entering.entry(leaf).or_default() += 1;
        let branch = (leaf >> 8) as u8;
        let (branch_there, leaf_there) =
            (state.is_there(LEAVES + usize::from(branch)), state.is_there(usize::from(leaf)));
        // Not under the lock: the syncs of many leaves may overlap. Two who make the same one do so twice, without harm.
        drop(state);
        if !branch_there {
            self.make(LEAVES + usize::from(branch), &self.layout.branch(branch), &self.layout.objects())?;
        }
        if !leaf_there {
            self.make(usize::from(leaf), &self.layout.leaf(leaf), &self.layout.branch(branch))?;
        }
        Ok(())
    }

    fn make(&self, at: usize, path: &Path, parent: &Path) -> io::Result<()> {
        match self.disk.create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.disk.sync_dir(parent)?,
        }
        if self.state.lock().set(at, true) {
            self.space.add(Account::Directories, DIRECTORY);
        }
        Ok(())
    }

    /// The object is in its leaf, or will not come.
    pub(crate) fn entered(&self, leaf: u16) {
        let mut state = self.state.lock();
        if let Some(count) = state.entering.get_mut(&leaf) {
            *count -= 1;
            if *count == 0 {
                state.entering.remove(&leaf);
            }
        }
    }

    /// An object is gone: removes its leaf if it was the last. Blocks.
    pub(crate) fn leave(&self, leaf: u16) {
        // Under the lock, so that nobody enters meanwhile. Fails, rightly, while something is in it.
        let mut state = self.state.lock();
        if !state.entering.contains_key(&leaf)
            && self.disk.remove_dir(&self.layout.leaf(leaf)).is_ok()
            && state.set(usize::from(leaf), false)
        {
            self.space.sub(Account::Directories, DIRECTORY);
        }
    }

    /// What was believed to be there is not (somebody cleaned up by hand, or it was removed after the snapshot): makes both again.
    pub(crate) fn make_again(&self, leaf: u16) -> io::Result<()> {
        let branch = (leaf >> 8) as u8;
        let mut state = self.state.lock();
        for at in [usize::from(leaf), LEAVES + usize::from(branch)] {
            if state.set(at, false) {
                self.space.sub(Account::Directories, DIRECTORY);
            }
        }
        drop(state);
        self.make(LEAVES + usize::from(branch), &self.layout.branch(branch), &self.layout.objects())?;
        self.make(usize::from(leaf), &self.layout.leaf(leaf), &self.layout.branch(branch))
    }

    /// The leaf was there before the start.
    pub(crate) fn there(&self, leaf: u16) {
        let mut state = self.state.lock();
        for at in [usize::from(leaf), LEAVES + usize::from(leaf >> 8)] {
            if state.set(at, true) {
                self.space.add(Account::Directories, DIRECTORY);
            }
        }
    }

    /// The bitmap, for the snapshot.
    pub(crate) fn bitmap(&self) -> Vec<u64> {
        self.state.lock().there.clone()
    }

    /// Takes the bitmap of a snapshot over; one of another size is ignored.
    pub(crate) fn restore(&self, bitmap: &[u64]) {
        let mut state = self.state.lock();
        if bitmap.len() == state.there.len() {
            let before: u32 = state.there.iter().map(|word| word.count_ones()).sum();
            state.there.iter_mut().zip(bitmap).for_each(|(here, there)| *here |= there);
            let after: u32 = state.there.iter().map(|word| word.count_ones()).sum();
            self.space.add(Account::Directories, u64::from(after - before) * DIRECTORY);
        }
    }
}
