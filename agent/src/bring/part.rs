//! A file that arrives beside the one that is wanted: the handle to its [`lane`](super::lane).

use std::{
    fs::{OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Instant,
};

use bytes::Bytes;
use protocol::digest::{Digests, DigestsHasher};
use tokio::sync::{mpsc, oneshot};

use super::{
    lane::{Order, PartError, Saved, Work, boot, failure},
    wanted::Wanted,
};
use crate::decide::resume::Identity;

/// Pieces that may wait for the disk, each of at most the 256 KiB that are read at once.
const PIECES_MAX: usize = 16;

/// A part. Dropping it leaves its bytes where they are, to be continued.
pub(crate) struct FilePart {
    orders: mpsc::Sender<Order>,
    failed: Arc<OnceLock<PartError>>,
    path: PathBuf,
}

/// A part that was opened: how many bytes of it count, and of what they are.
pub(crate) struct Opened {
    pub(crate) part: FilePart,
    pub(crate) position: u64,
    pub(crate) identity: Identity,
}

impl FilePart {
    /// Opens or makes it. Blocks, and reads what is there.
    pub(crate) fn open(out: &Path, wanted: &Wanted) -> Result<Opened, PartError> {
        let beside = |end: &str| {
            let mut name = out.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (part, state) = (beside(".outpost-part"), beside(".outpost-state"));
        let trouble = |action, error: std::io::Error| PartError::Io {
            action,
            path: part.display().to_string(),
            why: error.to_string(),
        };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part);
        let file = file.map_err(|error| trouble("create", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PartError::InUse(part.display().to_string())),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) => tracing::debug!(%error, "a part cannot be locked"),
        }
        let saved = Saved::read(&state)
            .filter(|saved| saved.asked == wanted.text || (saved.md5.is_some() && saved.md5 == wanted.identity.md5));
        let mut work = Work {
            out: out.into(),
            part: part.clone(),
            state,
            asked: wanted.text.clone(),
            boot: boot(),
            file,
            identity: Identity::default(),
            hasher: DigestsHasher::default(),
            saving: None,
            saved_at: Instant::now(),
        };
        match saved {
            Some(saved) => work.take_up(&saved).map_err(|error| trouble("read", error))?,
            None => work.file.set_len(0).map_err(|error| trouble("empty", error))?,
        }
        let (position, identity) = (work.hasher.position(), work.identity.clone());
        let (orders, obeyed) = mpsc::channel(PIECES_MAX);
        let failed = Arc::new(OnceLock::new());
        let told = failed.clone();
        let thread = std::thread::Builder::new().name("part".into()).spawn(move || work.run(obeyed, &told));
        thread.map_err(|error| trouble("write", error))?;
        Ok(Opened { part: Self { orders, failed, path: part }, position, identity })
    }

    /// Waits for room in the queue.
    pub(crate) async fn push(&self, bytes: Bytes) -> Result<(), PartError> {
        self.order(Order::Bytes(bytes)).await
    }

    pub(crate) async fn anew(&self) -> Result<(), PartError> {
        self.order(Order::Anew).await
    }

    pub(crate) async fn know(&self, identity: Identity) -> Result<(), PartError> {
        self.order(Order::Know(Box::new(identity))).await
    }

    /// Ends when what is here can be continued after any end.
    pub(crate) async fn save(&self) {
        let (done, saved) = oneshot::channel();
        if self.order(Order::Save(done)).await.is_ok() {
            let _ = saved.await;
        }
    }

    /// Compares with what is known, and gives the file its name.
    pub(crate) async fn finish(&self) -> Result<Digests, PartError> {
        let (done, ended) = oneshot::channel();
        self.order(Order::Finish(done)).await?;
        ended.await.unwrap_or_else(|_| Err(failure(&self.failed, &self.path)))
    }

    async fn order(&self, order: Order) -> Result<(), PartError> {
        self.orders.send(order).await.map_err(|_| failure(&self.failed, &self.path))
    }
}
