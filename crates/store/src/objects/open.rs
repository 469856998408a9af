//! Opening the files of sealed objects, and letting go of those that are only kept open for speed.

use std::{
    fs::File,
    io,
    sync::{Arc, atomic::Ordering},
};

use protocol::digest::{Digests, Md5};
use rustix::io::Errno;

use crate::{
    index::row::{Object, md5_hash},
    objects::remove::Cause,
    read::{body::Body, hot::HotBody, open_files::OpenFiles, reader::Reader, sealed::Sealed},
    shared::Shared,
};

impl Shared {
    /// A reader of a sealed object; its file is opened unless it is open. `None` if it is not here; a file that is found missing or
    /// of another length takes the object out of the index.
    pub(crate) fn open_sealed(self: &Arc<Self>, md5: &Md5) -> Option<Reader> {
        let hash = md5_hash(md5);
        let (object, body) = {
            let mut locked = self.objects.shard(hash, self.clock.now());
            let place = locked.shard.rows.find(hash, |row| row.md5 == *md5)?;
            if let Some(sealed) = locked.shard.extra.open.find(md5) {
                return Some(Reader::of(sealed));
            }
            (*locked.shard.rows.at(place), locked.shard.extra.open.body(md5))
        };
        self.open_object(&object, body)
    }

    /// Opens the file of an object that was in the index a moment ago.
    pub(crate) fn open_object(self: &Arc<Self>, object: &Object, body: Option<Arc<Body>>) -> Option<Reader> {
        let (md5, hash) = (object.md5, md5_hash(&object.md5));
        let body = match body {
            Some(body) => body,
            None => self.open_file(object)?,
        };
        let digests = Digests { md5, sha256: object.sha256 };
        let sealed = Sealed::new(digests, object.size(), body, HotBody::new(&self.hot));
        let mut locked = self.objects.shard(hash, self.clock.now());
        locked.shard.rows.find(hash, |row| row.md5 == md5)?;
        if let Some(other) = locked.shard.extra.open.find(&md5) {
            drop(locked);
            return Some(Reader::of(other));
        }
        locked.shard.extra.open.keep(sealed.clone());
        drop(locked);
        self.note_open(md5);
        Some(Reader::of(sealed))
    }

    fn open_file(self: &Arc<Self>, object: &Object) -> Option<Arc<Body>> {
        let path = self.layout.object(&object.md5);
        let lost = match self.with_descriptors(|| self.disk.open(&path, false)) {
            Ok(file) if file.metadata().is_ok_and(|found| found.len() == object.size()) => {
                self.short_of_files.store(false, Ordering::Relaxed);
                return Some(Body::new(file, self.space.clone()));
            }
            Ok(_) => "has another length than it had".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "is gone".to_owned(),
            Err(error) if is_lack_of_descriptors(&error) => {
                // Once per time of need: every request would say it.
                if !self.short_of_files.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "files of the cache cannot be opened; raise the limit of open files (ulimit -n, LimitNOFILE=)");
                }
                return None;
            }
            Err(error) => {
                self.counters.disk_errors.add(1);
                format!("cannot be opened ({error})")
            }
        };
        tracing::warn!(md5 = %object.md5, "the file of an object in the cache {lost}; it is fetched again when it is asked for");
        self.remove_object(&object.md5, Cause::Missing);
        None
    }

    /// Opens a file; when no descriptors are left, those that are only kept for speed go first.
    pub(crate) fn with_descriptors(&self, open: impl Fn() -> io::Result<File>) -> io::Result<File> {
        match open() {
            Err(error) if is_lack_of_descriptors(&error) => {
                self.close_kept();
                open()
            }
            opened => opened,
        }
    }

    /// A file is kept open from now on; others may have to be let go.
    pub(crate) fn note_open(&self, md5: Md5) {
        let gone = self.kept_open.lock().note(md5, |md5, look| self.with_open_files(md5, look));
        drop(gone);
    }

    /// Closes all files that are only kept open for speed.
    pub(crate) fn close_kept(&self) {
        let gone = self.kept_open.lock().clear(|md5, look| self.with_open_files(md5, look));
        drop(gone);
    }

    fn with_open_files(&self, md5: &Md5, look: &mut dyn FnMut(&mut OpenFiles)) {
        let mut locked = self.objects.shard(md5_hash(md5), self.clock.now());
        look(&mut locked.shard.extra.open);
    }
}

fn is_lack_of_descriptors(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    number == Some(Errno::MFILE.raw_os_error()) || number == Some(Errno::NFILE.raw_os_error())
}
