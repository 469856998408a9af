//! A disk that fails when it is told to and forgets what was not synced.
//!
//! It works on a real directory, so that readers have real files, and remembers beside it what would have survived: the content of each
//! file as of its last sync, the entries of each directory as of its last sync. [`SimDisk::after_power_loss`] builds that
//! directory anew; what was not synced is there or not, as the seed decides, wholly or in part.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use os::{disk_space::DiskSpace, engine::Engine};
use parking_lot::Mutex;
use store::disk::{Disk, Held, Item, Pending, RealDisk, Stat};

/// What happens at a certain operation, counted over all that change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// From there on nothing has any effect: the power is gone.
    Cut {
        at: u64,
    },
    /// That operation alone fails with this error number.
    Fail {
        at: u64,
        number: i32,
    },
    /// From there on, for a while, writing fails for lack of space.
    Full {
        at: u64,
        for_so_many: u64,
    },
    /// Objects are there and cannot be opened.
    Shut,
    /// What is written cannot be read.
    Blind,
    None,
}

pub(crate) const EIO: i32 = 5;
const ENOSPC: i32 = 28;

pub(crate) struct SimDisk {
    real: RealDisk,
    root: PathBuf,
    fault: Fault,
    shares: bool,
    operations: AtomicU64,
    refused: AtomicU64,
    durable: Mutex<Durable>,
    volume: Mutex<Option<Volume>>,
}

/// A disk of its own size, on which others write too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Volume {
    pub(crate) total: u64,
    pub(crate) others: u64,
}

#[derive(Default)]
struct Durable {
    /// By inode. The file is kept open, so that its number is not given to another.
    files: HashMap<u64, (File, Vec<u8>)>,
    directories: HashMap<PathBuf, BTreeMap<PathBuf, Entry>>,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    File(u64),
    Directory,
}

impl SimDisk {
    pub(crate) fn new(root: &Path, fault: Fault) -> Arc<Self> {
        Self::of(root, fault, false)
    }

    /// One whose files can share blocks.
    pub(crate) fn sharing(root: &Path, fault: Fault) -> Arc<Self> {
        Self::of(root, fault, true)
    }

    fn of(root: &Path, fault: Fault, shares: bool) -> Arc<Self> {
        let real = RealDisk::start(os::engine::Choice::Threads).expect("threads start");
        let disk = Self {
            real,
            root: root.to_owned(),
            fault,
            shares,
            operations: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            durable: Mutex::default(),
            volume: Mutex::new(None),
        };
        disk.all_durable(root);
        Arc::new(disk)
    }

    /// From now on the disk is so large, and so full of others' files.
    pub(crate) fn resize(&self, volume: Volume) {
        *self.volume.lock() = Some(volume);
    }

    /// Objects so far that were to be opened and could not be.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// Operations so far that changed something.
    pub(crate) fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Everything that is there at the start has been there for long.
    fn all_durable(&self, dir: &Path) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        for entry in entries.filter_map(Result::ok) {
            if entry.path().is_dir() {
                self.all_durable(&entry.path());
            } else if let Ok(file) = File::open(entry.path()) {
                self.remember(&file);
            }
        }
        self.remember_dir(dir);
    }

    /// Counts an operation that changes something; an error if it is to fail.
    fn step(&self, takes_space: bool) -> io::Result<()> {
        let now = self.operations.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Cut { at } if now >= at => Err(io::Error::from_raw_os_error(EIO)),
            Fault::Fail { at, number } if now == at => Err(io::Error::from_raw_os_error(number)),
            Fault::Full { at, for_so_many } if takes_space && (at..at + for_so_many).contains(&now) => {
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            _ => Ok(()),
        }
    }

    fn remember(&self, file: &File) {
        let found = file.metadata().expect("an open file has metadata");
        let mut content = vec![0; found.len() as usize];
        file.read_exact_at(&mut content, 0).expect("readable");
        let file = file.try_clone().expect("a descriptor is left");
        self.durable.lock().files.insert(found.ino(), (file, content));
    }

    fn remember_dir(&self, dir: &Path) {
        let listed = listing(dir);
        self.durable.lock().directories.insert(dir.to_owned(), listed);
    }

    /// Builds the directory as it would be found after the power came back.
    pub(crate) fn after_power_loss(&self, to: &Path, seed: u64) {
        let mut random = Random(seed | 1);
        self.rebuild(&self.root, to, &mut random);
    }

    fn rebuild(&self, from: &Path, to: &Path, random: &mut Random) {
        std::fs::create_dir_all(to).expect("made");
        let now = listing(from);
        let durable = self.durable.lock().directories.get(from).cloned().unwrap_or_default();
        // Each name as it was at the last sync, or as it was at the end: the file system may have been quicker than it had to be.
        let names: std::collections::BTreeSet<_> = durable.keys().chain(now.keys()).cloned().collect();
        for name in names {
            let entry = if random.half() { durable.get(&name) } else { now.get(&name) };
            match entry {
                Some(Entry::Directory) => self.rebuild(&from.join(&name), &to.join(&name), random),
                Some(Entry::File(inode)) => {
                    let content = self.content(*inode, &from.join(&name), random);
                    std::fs::write(to.join(&name), content).expect("written");
                }
                None => {}
            }
        }
    }

    /// What of a file is there: what was synced, or what was written, or some of each.
    fn content(&self, inode: u64, path: &Path, random: &mut Random) -> Vec<u8> {
        let durable = self.durable.lock();
        let synced = durable.files.get(&inode).map(|(_, content)| content.clone());
        let written = match durable.files.get(&inode) {
            Some((file, _)) => {
                let mut content = vec![0; file.metadata().expect("an open file has metadata").len() as usize];
                file.read_exact_at(&mut content, 0).map(|()| content).ok()
            }
            None => std::fs::read(path).ok(),
        };
        let (synced, written) = (synced.unwrap_or_default(), written.unwrap_or_default());
        match random.next() % 3 {
            0 => synced,
            1 => written,
            _ => {
                // Torn: up to somewhere the new bytes, behind that what was synced, or nothing.
                let cut = random.next() as usize % (written.len() + 1);
                let mut torn = written[..cut].to_vec();
                torn.extend_from_slice(synced.get(cut..).unwrap_or_default());
                torn
            }
        }
    }
}

/// Bytes of all files below, in blocks.
fn occupied(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let bytes = |path: &Path| match path.symlink_metadata() {
        Ok(found) if found.is_dir() => occupied(path),
        // What goes while one looks does not count.
        found => found.map_or(0, |found| found.len().next_multiple_of(4096)),
    };
    entries.map(|entry| bytes(&entry.path())).sum()
}

fn listing(dir: &Path) -> BTreeMap<PathBuf, Entry> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let found = entry.metadata().ok()?;
            let kind = if found.is_dir() { Entry::Directory } else { Entry::File(found.ino()) };
            Some((PathBuf::from(entry.file_name()), kind))
        })
        .collect()
}

/// xorshift64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn half(&mut self) -> bool {
        self.next() & 1 == 0
    }
}

impl Disk for SimDisk {
    fn lock(&self, _: &Path, _: &str) -> io::Result<Held> {
        // The machine that had it is no more.
        Ok(Box::new(()))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step(true)?;
        self.real.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        self.real.remove_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.step(true)?;
        let file = self.real.create(path)?;
        // Known from now on, with nothing in it that would survive.
        let inode = file.metadata()?.ino();
        self.durable.lock().files.insert(inode, (file.try_clone()?, Vec::new()));
        Ok(file)
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<File> {
        if self.fault == Fault::Shut && path.components().any(|part| part.as_os_str() == "objects") {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.real.open(path, write)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(false)?;
        self.real.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        self.real.unlink(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Item>> {
        self.real.list(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.real.stat(path)
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.step(true)?;
        self.real.write_all_at(file, bytes, offset)
    }

    fn read_exact_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.real.read_exact_at(file, buffer, offset)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.step(false)?;
        self.real.truncate(file, len)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        self.step(false)?;
        self.remember(file);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(false)?;
        self.remember_dir(path);
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        let Some(Volume { total, others }) = *self.volume.lock() else { return self.real.space(path) };
        Ok(DiskSpace { total, available: total.saturating_sub(others + occupied(&self.root)) })
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<bool> {
        self.step(true)?;
        self.real.allocate(file, len)
    }

    fn share_blocks(&self, from: &File, to: &File) -> io::Result<bool> {
        self.step(true)?;
        if !self.shares {
            return Ok(false);
        }
        let mut content = vec![0; from.metadata()?.len() as usize];
        from.read_exact_at(&mut content, 0)?;
        self.real.write_all_at(to, &content, 0).map(|()| true)
    }

    fn copy_range(&self, from: &File, to: &File, offset: u64, len: usize) -> io::Result<Option<usize>> {
        self.step(true)?;
        self.real.copy_range(from, to, offset, len)
    }

    fn link(&self, file: &File, to: &Path) -> io::Result<()> {
        self.step(true)?;
        self.real.link(file, to)
    }

    fn write(&self, file: Arc<File>, pieces: Vec<Bytes>, offset: u64) -> Pending<()> {
        let result = self.step(true).and_then(|()| self.real.write_all_at(&file, &pieces.concat(), offset));
        Box::pin(async { result })
    }

    fn sync(&self, file: Arc<File>) -> Pending<()> {
        let result = self.sync_file(&file);
        Box::pin(async { result })
    }

    fn read(&self, file: Arc<File>, offset: u64, len: usize) -> Pending<Vec<u8>> {
        if self.fault == Fault::Blind {
            return Box::pin(async { Err(io::Error::from_raw_os_error(EIO)) });
        }
        self.real.read(file, offset, len)
    }

    fn engine(&self) -> &Engine {
        self.real.engine()
    }
}
