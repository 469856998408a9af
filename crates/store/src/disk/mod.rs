//! How the disk is reached: what the store asks of a file system, as a trait, so that a test can put a failing or forgetful disk in its place.
//!
//! Metadata operations block and are called from threads that may; the three that move bytes of a fill are futures, run by
//! the disk engine.

pub(crate) mod executor;
pub(crate) mod layout;

use std::{
    ffi::OsString, fs::File, future::Future, io, os::unix::fs::FileExt, path::Path, pin::Pin, sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use os::{
    disk_space::{self, DiskSpace},
    engine::{Choice, Engine},
    lock::DirLock,
};

/// An operation on its way. It owns its file and buffers; dropping it does not stop it.
pub type Pending<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Held while the directory is ours.
pub type Held = Box<dyn Send + Sync>;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: OsString,
    /// Whether it is a directory.
    pub directory: bool,
}

/// What a `stat` of a regular file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub len: u64,
    /// Last change of the content.
    pub modified: SystemTime,
}

/// The file system under a store.
pub trait Disk: Send + Sync + 'static {
    /// Takes the directory for this process; `WouldBlock` if another has it.
    fn lock(&self, dir: &Path, name: &str) -> io::Result<Held>;
    /// Makes one directory.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that must not be there yet, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Opens a file for reading, or for both.
    fn open(&self, path: &Path, write: bool) -> io::Result<File>;
    /// Renames, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<Item>>;
    /// Length and time of a regular file; an error for anything else. Does not follow links.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Writes all bytes at `offset`.
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills the whole buffer from `offset`.
    fn read_exact_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Sets the file's length, giving back what was allocated beyond.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;
    /// `fdatasync`.
    fn sync_file(&self, file: &File) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// How full the file system is.
    fn space(&self, path: &Path) -> io::Result<DiskSpace>;
    /// Allocates blocks for `len` bytes without changing the length; `false` where that cannot be done.
    fn allocate(&self, file: &File, len: u64) -> io::Result<bool>;
    /// Gives `to`, which is empty, the content of `from` without copying it; `false` where that cannot be done.
    fn share_blocks(&self, from: &File, to: &File) -> io::Result<bool>;
    /// Copies up to `len` bytes at the same offset of both; 0 at the end of `from`. `None` where the system cannot do it between these two.
    fn copy_range(&self, from: &File, to: &File, offset: u64, len: usize) -> io::Result<Option<usize>>;
    /// Gives an open file one name more, which must not be there yet.
    fn link(&self, file: &File, to: &Path) -> io::Result<()>;
    /// Writes all pieces one after the other at `offset`.
    fn write(&self, file: Arc<File>, pieces: Vec<Bytes>, offset: u64) -> Pending<()>;
    /// `fdatasync`.
    fn sync(&self, file: Arc<File>) -> Pending<()>;
    /// Reads up to `len` bytes at `offset`; short only at the end of the file.
    fn read(&self, file: Arc<File>, offset: u64, len: usize) -> Pending<Vec<u8>>;
    /// The engine, for those who read ahead.
    fn engine(&self) -> &Engine;
}

/// The machine's own file systems.
pub struct RealDisk {
    engine: Engine,
}

impl RealDisk {
    /// Starts the engine.
    pub fn start(choice: Choice) -> io::Result<Self> {
        Ok(Self { engine: Engine::start(choice)? })
    }
}

impl Disk for RealDisk {
    fn lock(&self, dir: &Path, name: &str) -> io::Result<Held> {
        Ok(Box::new(DirLock::take(dir, name)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(path)
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<File> {
        File::options().read(true).write(write).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Item>> {
        std::fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                Ok(Item { name: entry.file_name(), directory: entry.file_type()?.is_dir() })
            })
            .collect()
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let found = std::fs::symlink_metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Stat { len: found.len(), modified: found.modified()? })
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn read_exact_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(buffer, offset)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        disk_space::disk_space(path)
    }

    fn allocate(&self, file: &File, len: u64) -> io::Result<bool> {
        disk_space::allocate(file, len)
    }

    fn share_blocks(&self, from: &File, to: &File) -> io::Result<bool> {
        os::copy::share_blocks(from, to)
    }

    fn copy_range(&self, from: &File, to: &File, offset: u64, len: usize) -> io::Result<Option<usize>> {
        os::copy::copy_range(from, to, offset, len)
    }

    fn link(&self, file: &File, to: &Path) -> io::Result<()> {
        os::copy::name_again(file, to)
    }

    fn write(&self, file: Arc<File>, pieces: Vec<Bytes>, offset: u64) -> Pending<()> {
        let engine = self.engine.clone();
        Box::pin(async move { engine.write_at(file, pieces, offset).await })
    }

    fn sync(&self, file: Arc<File>) -> Pending<()> {
        let engine = self.engine.clone();
        Box::pin(async move { engine.sync(file, false).await })
    }

    fn read(&self, file: Arc<File>, offset: u64, len: usize) -> Pending<Vec<u8>> {
        let engine = self.engine.clone();
        Box::pin(async move { engine.read_at(file, offset, len).await })
    }

    fn engine(&self) -> &Engine {
        &self.engine
    }
}
