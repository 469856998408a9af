//! What is on its way to this machine, as neighbours may have it: pieces that were compared with their own digest, and can be read without waiting.
//!
//! Nothing is computed before somebody asks: a machine with nobody around brings its file and does no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use parking_lot::Mutex;
use protocol::{
    digest::Md5,
    pieces::{Bitmap, Layout, Pieces},
    report::Fetching,
};
use store::Reader;
use tokio::sync::Notify;

/// Whether a file of that name and size may be shared.
type May = dyn Fn(Option<&str>, u64) -> bool + Send + Sync;

/// All that arrive. There are no more of them than there are downloads.
pub(crate) struct Arrivals {
    may: Box<May>,
    all: Mutex<BTreeMap<Md5, Arc<Arrival>>>,
    changed: Notify,
    /// Where this machine shares; 0: nowhere.
    port: AtomicU16,
}

/// One content on its way.
pub(crate) struct Arrival {
    pub(crate) md5: Md5,
    /// The path at which it is, as it was asked for or as the origin says.
    name: Option<String>,
    layout: Layout,
    reader: Reader,
    listed: OnceLock<Listed>,
    /// Pieces on their way over the line.
    coming: Mutex<BTreeSet<u32>>,
    wanted: Notify,
}

struct Listed {
    list: Pieces,
    verified: Mutex<Bitmap>,
}

/// It is on its way as long as this lives.
pub(crate) struct Arriving {
    arrivals: Arc<Arrivals>,
    pub(crate) arrival: Arc<Arrival>,
}

impl Arrivals {
    pub(crate) fn new(may: impl Fn(Option<&str>, u64) -> bool + Send + Sync + 'static) -> Arc<Self> {
        let (all, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { may: Box::new(may), all, changed, port: AtomicU16::new(0) })
    }

    /// Neighbours are served at this port from now on.
    pub(crate) fn share_at(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// The port at which a content may be had, if it may.
    pub(crate) fn port_for(&self, name: Option<&str>, size: u64) -> Option<u16> {
        Some(self.port.load(Ordering::Relaxed)).filter(|port| *port != 0 && (self.may)(name, size))
    }

    /// A content is on its way now. One of the same digest from before is over.
    pub(crate) fn begin(self: &Arc<Self>, md5: Md5, layout: Layout, name: Option<String>, reader: Reader) -> Arriving {
        let arrival = Arc::new(Arrival {
            md5,
            name,
            layout,
            reader,
            listed: OnceLock::new(),
            coming: Mutex::default(),
            wanted: Notify::new(),
        });
        self.all.lock().insert(md5, arrival.clone());
        self.changed.notify_one();
        Arriving { arrivals: self.clone(), arrival }
    }

    /// One that is on its way, if it may be shared.
    pub(crate) fn find(&self, md5: &Md5) -> Option<Arc<Arrival>> {
        let found = self.all.lock().get(md5).cloned();
        found.filter(|arrival| self.may_be_had(arrival))
    }

    fn may_be_had(&self, arrival: &Arrival) -> bool {
        (self.may)(arrival.name.as_deref(), arrival.layout.size())
    }

    /// So many of them, for who sends others here.
    pub(crate) fn fetching(&self, most: usize) -> Vec<Fetching> {
        let of = |arrival: &Arc<Arrival>| Fetching {
            md5: arrival.md5,
            fetched: arrival.reader.fetched(),
            total: arrival.layout.size(),
            ready_in: None,
        };
        let all: Vec<_> = self.all.lock().values().cloned().collect();
        all.iter().filter(|arrival| self.may_be_had(arrival)).take(most).map(of).collect()
    }

    /// Waits until one begins. Dropping the future loses nothing.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut all = self.arrivals.all.lock();
        if all.get(&self.arrival.md5).is_some_and(|found| Arc::ptr_eq(found, &self.arrival)) {
            all.remove(&self.arrival.md5);
        }
    }
}

impl Arrival {
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(crate) fn list(&self) -> Option<&Pieces> {
        self.listed.get().map(|listed| &listed.list)
    }

    /// The digests of its pieces are known; the first list stays.
    pub(crate) fn listed(&self, list: &Pieces) {
        let of = || Listed { list: list.clone(), verified: Mutex::new(Bitmap::new(list.count())) };
        self.listed.get_or_init(of);
    }

    /// A piece was compared with its digest.
    pub(crate) fn verified(&self, piece: u32) {
        if let Some(listed) = self.listed.get() {
            listed.verified.lock().set(piece);
        }
    }

    /// A reader for who wants bytes of one piece. The end of the content is withheld until the whole is verified, but not what is known to be that piece.
    pub(crate) fn reader_of(&self, piece: u32) -> Reader {
        match self.list().and_then(|list| list.sha256(piece)) {
            Some(sha256) => self.reader.expecting(self.layout.span(piece), sha256),
            None => self.reader.clone(),
        }
    }

    /// A piece is on its way over the line, or is not any more.
    pub(crate) fn is_coming(&self, piece: u32, is: bool) {
        let mut coming = self.coming.lock();
        if is {
            coming.insert(piece);
        } else {
            coming.remove(&piece);
        }
    }

    /// Pieces that are on their way over the line.
    pub(crate) fn coming(&self) -> Bitmap {
        let mut pieces = Bitmap::new(self.layout.count());
        self.coming.lock().iter().for_each(|piece| pieces.set(*piece));
        pieces
    }

    /// Pieces that lie in the file now, right or not.
    pub(crate) fn written(&self) -> Bitmap {
        self.layout.within(&self.reader.written())
    }

    /// Pieces that can be had now without waiting.
    pub(crate) fn here(&self) -> Bitmap {
        match self.listed.get() {
            Some(listed) => self.written().and(&listed.verified.lock()),
            None => Bitmap::new(self.layout.count()),
        }
    }

    /// Pieces that lie in the file and were not compared yet.
    pub(crate) fn unverified(&self) -> Bitmap {
        let written = self.written();
        match self.listed.get() {
            Some(listed) => written.and_not(&listed.verified.lock()),
            None => written,
        }
    }

    /// Somebody asks for it: from now on its pieces are compared as they come.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody has. Dropping the future loses nothing.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}
