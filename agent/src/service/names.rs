//! What contents are called: by which path or URL each was asked for, in the store's table of names.

use protocol::digest::Md5;
use store::Store;

/// Bytes of a name that are kept.
const NAME_BYTES_MAX: usize = 4_096;

fn by_name(name: &str) -> Vec<u8> {
    [b"n", name.as_bytes()].concat()
}

fn by_digest(md5: &Md5) -> Vec<u8> {
    [&b"m"[..], &md5.0].concat()
}

/// Remembers under which name a content came.
pub(crate) fn remember(store: &Store, name: &str, md5: &Md5) {
    if name.len() <= NAME_BYTES_MAX {
        store.names().put(&by_name(name), md5, b"");
        store.names().put(&by_digest(md5), md5, name.as_bytes());
    }
}

/// The content that came last under a name.
pub(crate) fn content_of(store: &Store, name: &str) -> Option<Md5> {
    store.names().read(&by_name(name), |md5, _| *md5)
}

/// The name under which a content came last.
pub(crate) fn name_of(store: &Store, md5: &Md5) -> Option<String> {
    store.names().read(&by_digest(md5), |_, name| String::from_utf8_lossy(name).into_owned())
}

/// The path or URL of a key of the first kind.
pub(crate) fn path_of(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(b"n")
}
