//! Writes a part and hashes it, on a thread of its own: who receives never waits for the disk, but for room in a short queue.
//!
//! Beside `FILE` stand, until it is whole and verified:
//!
//! | file | what it is |
//! | --- | --- |
//! | `FILE.outpost-part` | the bytes from the first on |
//! | `FILE.outpost-state` | JSON: of which content they are, how many of them are known to be on the disk with the MD5 of these, and in which run of the system they were written |
//!
//! In the same run of the system all bytes count that the part has, whatever ended the program. After a reboot those count that were known to be on
//! the disk, if they still have their MD5.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{Arc, OnceLock},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use protocol::{
    digest::{Digests, DigestsHasher, Md5, Sha256},
    etag::ETag,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::decide::resume::Identity;

/// How often what has come is made sure to be on the disk, beside the writing.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// Bytes read at once when a part is hashed again.
const READ_BYTES: usize = 1 << 20;
/// The format of the state.
const FORMAT: u32 = 1;

/// What the thread is told.
pub(super) enum Order {
    /// The next bytes.
    Bytes(Bytes),
    /// What is here is of no use.
    Anew,
    /// Of what these bytes are.
    Know(Box<Identity>),
    /// Makes sure that what is here can be continued after any end.
    Save(oneshot::Sender<()>),
    /// All is here: is it right? Then it gets its name.
    Finish(oneshot::Sender<Result<Digests, PartError>>),
}

/// Why a part cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PartError {
    /// The file system says no.
    #[error("cannot {action} {path}: {why}")]
    Io {
        /// `create`, `write`...
        action: &'static str,
        /// What.
        path: String,
        /// Why.
        why: String,
    },
    /// Another one is at it.
    #[error("{0} is being written by another outpost-agent; wait for that one, or give another name with -o FILE")]
    InUse(String),
    /// Not what it should be.
    #[error("{expected} was announced, and {found} came")]
    Mismatch {
        /// As announced.
        expected: String,
        /// As it is.
        found: String,
    },
}

/// The state beside the part.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    /// What somebody asked for.
    pub(super) asked: String,
    pub(super) size: Option<u64>,
    pub(super) md5: Option<Md5>,
    pub(super) sha256: Option<Sha256>,
    pub(super) etag: Option<String>,
    /// Bytes that are on the disk.
    position: u64,
    /// Their MD5.
    prefix: Md5,
    /// The run of the system.
    boot: String,
}

/// A part and all that belongs to it; lives on its thread.
pub(super) struct Work {
    pub(super) out: PathBuf,
    pub(super) part: PathBuf,
    pub(super) state: PathBuf,
    pub(super) asked: String,
    pub(super) boot: String,
    pub(super) file: File,
    pub(super) identity: Identity,
    pub(super) hasher: DigestsHasher,
    pub(super) saving: Option<JoinHandle<()>>,
    pub(super) saved_at: Instant,
}

impl Saved {
    /// The state of a part, if it can be read.
    pub(super) fn read(path: &std::path::Path) -> Option<Self> {
        let saved: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (saved.format == FORMAT).then_some(saved)
    }

    pub(super) fn identity(&self) -> Identity {
        let etag = self.etag.as_ref().and_then(|tag| ETag::parse(tag.as_bytes()));
        Identity { size: self.size, md5: self.md5, sha256: self.sha256, etag }
    }
}

/// The run of the system; empty, and so never the same, where the kernel does not tell it.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Work {
    /// Takes up what is here, as far as it counts.
    pub(super) fn take_up(&mut self, saved: &Saved) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        let same_run = !self.boot.is_empty() && saved.boot == self.boot;
        let counts = if same_run { len } else { saved.position };
        let too_many = saved.size.is_some_and(|size| counts > size);
        let identity = saved.identity();
        if counts == 0 || counts > len || too_many || !identity.is_known() {
            return self.anew();
        }
        self.file.seek(SeekFrom::Start(0))?;
        let mut left = counts;
        let mut buffer = vec![0; READ_BYTES];
        while left > 0 {
            let most = left.min(READ_BYTES as u64) as usize;
            let count = self.file.read(&mut buffer[..most])?;
            if count == 0 {
                return self.anew();
            }
            self.hasher.update(&buffer[..count]);
            left -= count as u64;
        }
        if !same_run && self.hasher.md5() != saved.prefix {
            return self.anew();
        }
        self.file.set_len(counts)?;
        self.identity = identity;
        Ok(())
    }

    fn anew(&mut self) -> io::Result<()> {
        self.hasher = DigestsHasher::default();
        self.identity = Identity::default();
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Obeys until nobody gives orders any more, or something fails.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>, failed: &OnceLock<PartError>) {
        while let Some(order) = orders.blocking_recv() {
            if let Err((action, error)) = self.obey(order) {
                // Set once: nothing is obeyed behind it.
                let _ = failed.set(self.trouble(action, &error));
                return;
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), (&'static str, io::Error)> {
        match order {
            Order::Bytes(bytes) => {
                self.hasher.update(&bytes);
                self.file.write_all(&bytes).map_err(|error| ("write", error))?;
                if self.saved_at.elapsed() >= SAVE_EVERY {
                    self.save_aside().map_err(|error| ("write", error))?;
                }
            }
            Order::Anew => self.anew().map_err(|error| ("empty", error))?,
            Order::Know(identity) => {
                self.identity = *identity;
                if let Some(size) = self.identity.size {
                    os::disk_space::allocate(&self.file, size).map_err(|error| ("make room for", error))?;
                }
                // Continued in this run of the system it needs no more.
                let saved = self.snapshot(0, Md5::of(b""));
                write_state(&self.state, &saved).map_err(|error| ("write", error))?;
            }
            Order::Save(done) if self.hasher.position() == 0 => {
                self.join();
                // Nothing is here to be continued. What cannot be removed is empty, and in nobody's way.
                let _ = fs::remove_file(&self.state);
                let _ = fs::remove_file(&self.part);
                let _ = done.send(());
            }
            Order::Save(done) => {
                self.join();
                self.save_aside().map_err(|error| ("write", error))?;
                self.join();
                let _ = done.send(());
            }
            Order::Finish(done) => {
                let ended = self.finish();
                let _ = done.send(ended);
            }
        }
        Ok(())
    }

    fn snapshot(&self, position: u64, prefix: Md5) -> Saved {
        let Identity { size, md5, sha256, etag } = self.identity.clone();
        Saved {
            format: FORMAT,
            asked: self.asked.clone(),
            size,
            md5,
            sha256,
            etag: etag.map(|tag| tag.as_str().to_owned()),
            position,
            prefix,
            boot: self.boot.clone(),
        }
    }

    /// Makes what has come durable and writes down that it is, on a thread beside: the disk may take its time.
    fn save_aside(&mut self) -> io::Result<()> {
        self.saved_at = Instant::now();
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) || !self.identity.is_known() {
            return Ok(());
        }
        let (file, state) = (self.file.try_clone()?, self.state.clone());
        let saved = self.snapshot(self.hasher.position(), self.hasher.md5());
        self.saving = Some(std::thread::spawn(move || {
            // What fails here fails again when the part is finished, and is told then.
            if file.sync_data().is_ok() {
                let _ = write_state(&state, &saved);
            }
        }));
        Ok(())
    }

    fn join(&mut self) {
        if let Some(saving) = self.saving.take() {
            // A panic has been reported by its thread.
            let _ = saving.join();
        }
    }

    fn finish(&mut self) -> Result<Digests, PartError> {
        self.join();
        let found = self.hasher.clone().finish();
        let differs = |expected: String, found: String| PartError::Mismatch { expected, found };
        match (self.identity.md5, self.identity.sha256) {
            (Some(md5), _) if md5 != found.md5 => return Err(differs(md5.to_string(), found.md5.to_string())),
            (_, Some(sha)) if sha != found.sha256 => return Err(differs(sha.to_string(), found.sha256.to_string())),
            _ => {}
        }
        let named = self
            .file
            .sync_data()
            .map_err(|error| ("sync", error))
            .and_then(|()| fs::rename(&self.part, &self.out).map_err(|error| ("rename", error)));
        named.map_err(|(action, error)| self.trouble(action, &error))?;
        // The file has its name; that its state is gone, and the directory on the disk, matters less.
        let _ = fs::remove_file(&self.state);
        let directory = self.out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let _ = File::open(directory.unwrap_or(".".as_ref())).and_then(|directory| directory.sync_all());
        Ok(found)
    }

    fn trouble(&self, action: &'static str, error: &io::Error) -> PartError {
        PartError::Io { action, path: self.part.display().to_string(), why: error.to_string() }
    }
}

fn write_state(path: &std::path::Path, saved: &Saved) -> io::Result<()> {
    let text = serde_json::to_vec(saved).map_err(io::Error::other)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push("~");
    fs::write(&aside, text)?;
    fs::rename(&aside, path)
}

/// Whether what has come so far failed, for who cannot give orders any more.
pub(super) fn failure(failed: &Arc<OnceLock<PartError>>, path: &std::path::Path) -> PartError {
    failed.get().cloned().unwrap_or_else(|| PartError::Io {
        action: "write",
        path: path.display().to_string(),
        why: "its thread has ended".into(),
    })
}
