//! Files of hot objects are kept open, so that a hit costs no system call: per shard of the index a small map of who is open,
//! and for the whole store one queue that says who has been kept for long (second chance, like a clock's hand).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use protocol::digest::Md5;

use crate::read::{body::Body, sealed::Sealed};

/// Open files of one shard, under the shard's lock.
#[derive(Default)]
pub(crate) struct OpenFiles {
    files: HashMap<Md5, OpenFile>,
    /// Sweep when there are so many: closed ones are not taken out one by one.
    sweep_at: usize,
}

struct OpenFile {
    /// Alive as long as anybody reads it.
    body: Weak<Body>,
    /// What keeps it open although nobody reads it.
    kept: Option<Arc<Sealed>>,
    used: bool,
}

impl OpenFiles {
    /// The object, if its file is kept open.
    pub(crate) fn find(&mut self, md5: &Md5) -> Option<Arc<Sealed>> {
        let open = self.files.get_mut(md5)?;
        open.used = true;
        open.kept.clone()
    }

    /// Another reader's open file of the object, if there is one.
    pub(crate) fn body(&self, md5: &Md5) -> Option<Arc<Body>> {
        self.files.get(md5)?.body.upgrade()
    }

    /// Keeps a file open from now on.
    pub(crate) fn keep(&mut self, sealed: Arc<Sealed>) {
        if self.files.len() >= self.sweep_at {
            self.files.retain(|_, open| open.kept.is_some() || open.body.strong_count() > 0);
            self.sweep_at = 2 * self.files.len() + 16;
        }
        let open = OpenFile { body: Arc::downgrade(&sealed.body), kept: Some(sealed), used: false };
        self.files.insert(open.kept.as_ref().expect("put in just now").digests.md5, open);
    }

    /// Whether somebody reads it, apart from it being kept open.
    pub(crate) fn is_read(&self, md5: &Md5) -> bool {
        self.files.get(md5).is_some_and(|open| match &open.kept {
            Some(kept) => Arc::strong_count(kept) > 1 || open.body.strong_count() > 1,
            None => open.body.strong_count() > 0,
        })
    }

    /// The object loses its name: the open file, if anybody still has it. To be dropped after the lock.
    pub(crate) fn take(&mut self, md5: &Md5) -> Option<Arc<Body>> {
        self.files.remove(md5)?.body.upgrade()
    }

    /// Stops keeping it open; `false` if it was used since the last time it was asked to, and may stay (unless forced).
    fn let_go(&mut self, md5: &Md5, force: bool, gone: &mut Vec<Arc<Sealed>>) -> bool {
        match self.files.get_mut(md5) {
            Some(open) if open.used && !force => {
                open.used = false;
                false
            }
            Some(open) => {
                gone.extend(open.kept.take());
                true
            }
            None => true,
        }
    }
}

/// Who is kept open, oldest first. Its lock comes before those of the shards.
pub(crate) struct KeptOpen {
    queue: VecDeque<Md5>,
    max: usize,
}

impl KeptOpen {
    pub(crate) fn new(max: usize) -> Self {
        Self { queue: VecDeque::new(), max }
    }

    /// One more is kept open: lets others go until there are not too many. `with` gives access to the shard of a digest. What it
    /// answers is to be dropped outside all locks, for closing a file may take a while.
    pub(crate) fn note(&mut self, md5: Md5, with: impl Fn(&Md5, &mut dyn FnMut(&mut OpenFiles))) -> Vec<Arc<Sealed>> {
        self.queue.push_back(md5);
        self.shrink(self.max, with)
    }

    /// Lets all go: the process has no file descriptors left.
    pub(crate) fn clear(&mut self, with: impl Fn(&Md5, &mut dyn FnMut(&mut OpenFiles))) -> Vec<Arc<Sealed>> {
        self.shrink(0, with)
    }

    fn shrink(&mut self, max: usize, with: impl Fn(&Md5, &mut dyn FnMut(&mut OpenFiles))) -> Vec<Arc<Sealed>> {
        let mut gone = Vec::new();
        let mut chances = self.queue.len();
        while self.queue.len() > max {
            let Some(oldest) = self.queue.pop_front() else { break };
            let (force, mut left) = (chances == 0, true);
            chances = chances.saturating_sub(1);
            with(&oldest, &mut |files| left = files.let_go(&oldest, force, &mut gone));
            if !left {
                self.queue.push_back(oldest);
            }
        }
        gone
    }
}
