//! Files that were opened a moment ago. A request for one of them is answered without a look at the disk: a path is looked at once in
//! [`FRESH`], however many ask.

use std::{
    collections::HashMap,
    fs::File,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use os::share::Identity;
use parking_lot::Mutex;
use protocol::{digest::Digests, etag::ETag};

/// For so long a file is not looked at again.
const FRESH: Duration = Duration::from_secs(1);
/// Files that are held open for it; beyond, each request looks for itself.
const OPEN_MAX: usize = 1_024;

/// An open file and what is known of it.
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) identity: Identity,
    /// Of exactly this identity, if it has been hashed.
    pub(crate) digests: Option<Digests>,
    /// The tag of its answers: by digest if that is known, else `provisional`.
    pub(crate) etag: ETag,
    /// By identity; the same bytes may have been sent under it before their digest was known.
    pub(crate) provisional: ETag,
    pub(crate) content_type: &'static str,
    /// The fields that all its answers have.
    pub(crate) fields: Bytes,
}

/// Open files by path below the share.
#[derive(Default)]
pub(crate) struct OpenFiles {
    files: Mutex<HashMap<Box<[u8]>, Looked>>,
}

/// A file and when it was looked at.
type Looked = (Arc<OpenFile>, Instant);

impl OpenFiles {
    /// A file that was looked at less than [`FRESH`] before `now`.
    pub(crate) fn find(&self, path: &[u8], now: Instant) -> Option<Arc<OpenFile>> {
        let files = self.files.lock();
        let (file, looked) = files.get(path)?;
        (now.duration_since(*looked) < FRESH).then(|| file.clone())
    }

    /// Keeps a file that was looked at at `looked`.
    pub(crate) fn keep(&self, path: &[u8], file: &Arc<OpenFile>, looked: Instant) {
        let mut files = self.files.lock();
        if files.len() >= OPEN_MAX {
            files.retain(|_, (_, before)| looked.duration_since(*before) < FRESH);
        }
        if files.len() < OPEN_MAX {
            files.insert(path.into(), (file.clone(), looked));
        }
    }

    /// Something was announced for a path.
    pub(crate) fn forget(&self, path: &[u8]) {
        self.files.lock().remove(path);
    }

    /// Closes what is no longer fresh.
    pub(crate) fn tidy(&self, now: Instant) {
        self.files.lock().retain(|_, (_, looked)| now.duration_since(*looked) < FRESH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<OpenFile> {
        let file = tempfile::tempfile().expect("a file");
        let identity = Identity::of(&file).expect("stat");
        Arc::new(OpenFile {
            file: Arc::new(file),
            identity,
            digests: None,
            etag: ETag::provisional(1),
            provisional: ETag::provisional(1),
            content_type: "",
            fields: Bytes::new(),
        })
    }

    #[test]
    fn a_file_is_known_for_a_second_or_until_it_changes() {
        let (files, now) = (OpenFiles::default(), Instant::now());
        files.keep(b"a", &file(), now);
        files.keep(b"b", &file(), now);
        assert!(files.find(b"a", now + FRESH - Duration::from_millis(1)).is_some());
        assert!(files.find(b"a", now + FRESH).is_none());
        files.forget(b"b");
        assert!(files.find(b"b", now).is_none());
        files.tidy(now + FRESH);
        assert!(files.files.lock().is_empty());
    }

    #[test]
    fn open_files_are_bounded() {
        let (files, now, one) = (OpenFiles::default(), Instant::now(), file());
        (0..OPEN_MAX + 5).for_each(|n| files.keep(n.to_string().as_bytes(), &one, now));
        assert_eq!(files.files.lock().len(), OPEN_MAX);
        files.keep(b"later", &one, now + FRESH);
        assert!(files.find(b"later", now + FRESH).is_some());
        assert_eq!(files.files.lock().len(), 1);
    }
}
