//! What stands at a path of the share and which digests it has. Blocking: runs on the threads for that, never on a reactor.

use std::{
    io,
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use os::share::{DirEntry, Found, Identity};
use protocol::{
    content_type,
    digest::{Digests, Md5, Md5Hasher},
    etag::ETag,
    listing::{Listing, RawEntry},
    target::Target,
    timestamp,
    webdav::resource::Resource,
};
use serve::response::FieldBlock;
use tracing::error;

use crate::{
    catalogue::{Catalogue, shown},
    files::{OpenFile, OpenFiles},
    published::Published,
};

/// Paths with equal bytes that are tried for a digest without a path.
const PATHS_MAX: u32 = 16;

/// The share with what is known of it.
pub(crate) struct Publication {
    pub(crate) share: Arc<dyn Published>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) files: Arc<OpenFiles>,
}

/// What a path is.
pub(crate) enum Opened {
    File(Arc<OpenFile>),
    Directory,
}

impl Publication {
    /// Opens what stands at a path below the share, and keeps a file for who asks next.
    pub(crate) fn open(&self, path: &[u8]) -> io::Result<Opened> {
        let looked = Instant::now();
        let Found::File(file, identity) = self.share.find(path)? else { return Ok(Opened::Directory) };
        let digests = self.digests(path, &identity);
        let file = Arc::new(describe(path, Arc::new(file), identity, digests));
        self.files.keep(path, &file, looked);
        Ok(Opened::File(file))
    }

    /// The digests of a file, if they are known. A database that fails costs the digest, not the file.
    fn digests(&self, path: &[u8], identity: &Identity) -> Option<Digests> {
        self.catalogue.digests(path, identity).unwrap_or_else(|error| {
            error!(path = shown(path), %error, "the digest of a file cannot be looked up; the file is sent without it");
            None
        })
    }

    /// A file that has these bytes now, wherever it is.
    pub(crate) fn find_object(&self, md5: &Md5) -> Option<Arc<OpenFile>> {
        let paths = self.catalogue.paths_of(md5, PATHS_MAX).unwrap_or_else(|error| {
            error!(%md5, %error, "the file of a digest cannot be looked up; the client is told that there is none");
            Vec::new()
        });
        paths.iter().find_map(|path| match self.open(path) {
            Ok(Opened::File(file)) if file.digests.is_some_and(|digests| digests.md5 == *md5) => Some(file),
            _ => None,
        })
    }

    /// What stands at a path, and the entries if it is a directory and they are wanted.
    pub(crate) fn look(
        &self,
        path: &[u8],
        target: &Target,
        with_entries: bool,
    ) -> io::Result<(Resource<'static>, Option<Listing>)> {
        match self.open(path)? {
            Opened::File(_) if target.is_directory() => Err(io::ErrorKind::NotADirectory.into()),
            Opened::File(file) => {
                let resource = Resource {
                    len: Some(file.identity.size),
                    modified: Some(file.identity.modified_time()),
                    etag: Some(file.etag.as_str().to_owned().into()),
                    ..Resource::file(target)
                };
                Ok((resource, None))
            }
            Opened::Directory => {
                let directory = target.to_directory();
                let listing = with_entries.then(|| self.list(path, &directory)).transpose()?;
                Ok((Resource::directory(&directory), listing))
            }
        }
    }

    /// The index of a directory.
    pub(crate) fn list(&self, path: &[u8], target: &Target) -> io::Result<Listing> {
        let raw = |entry: DirEntry| RawEntry {
            directory: entry.directory,
            size: entry.identity.size,
            modified: Some(entry.identity.modified_time()),
            name: entry.name,
        };
        Ok(Listing::new(target.path(), self.share.list(path)?.into_iter().map(raw).collect()))
    }
}

fn describe(path: &[u8], file: Arc<std::fs::File>, identity: Identity, digests: Option<Digests>) -> OpenFile {
    let provisional = provisional_tag(path, &identity);
    let etag = digests.map_or_else(|| provisional.clone(), |digests| ETag::of(&digests.md5));
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let fields = fields(&etag, identity.modified_time(), digests.as_ref());
    let content_type = content_type::of_path(&String::from_utf8_lossy(name));
    OpenFile { file, identity, digests, etag, provisional, content_type, fields }
}

/// What every answer from a file says, whether 200, 206 or 304.
fn fields(etag: &ETag, modified: SystemTime, digests: Option<&Digests>) -> Bytes {
    let mut fields = FieldBlock::default();
    fields
        .push("ETag", etag.as_str())
        .push("Last-Modified", timestamp::http_date(modified))
        .push("Accept-Ranges", "bytes");
    if let Some(digests) = digests {
        fields.push("Repr-Digest", digests.repr_digest());
    }
    fields.own.into()
}

/// A strong tag from the name and the identity: it changes whenever the file system says that the file did.
fn provisional_tag(path: &[u8], identity: &Identity) -> ETag {
    let mut hasher = Md5Hasher::default();
    hasher.update(path);
    for number in [identity.device, identity.inode, identity.size] {
        hasher.update(&number.to_be_bytes());
    }
    for time in [identity.modified, identity.changed] {
        hasher.update(&time.to_be_bytes());
    }
    let Md5([a, b, c, d, e, f, g, h, ..]) = hasher.finish();
    ETag::provisional(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provisional_tag_changes_with_everything_that_tells_of_a_change() {
        let identity = Identity { device: 1, inode: 2, size: 3, modified: 4, changed: 5 };
        let others = [
            Identity { device: 0, ..identity },
            Identity { inode: 0, ..identity },
            Identity { size: 0, ..identity },
            Identity { modified: 0, ..identity },
            Identity { changed: 0, ..identity },
        ];
        let tag = provisional_tag(b"a", &identity);
        assert_eq!(tag, provisional_tag(b"a", &identity));
        assert!(others.iter().all(|other| provisional_tag(b"a", other) != tag));
        assert_ne!(provisional_tag(b"b", &identity), tag);
    }

    #[test]
    fn a_file_without_digest_has_no_digest_field() {
        let tag = ETag::provisional(1);
        let text = |digests| String::from_utf8(fields(&tag, SystemTime::UNIX_EPOCH, digests).to_vec()).expect("text");
        assert!(!text(None).contains("Repr-Digest"));
        let digests = Digests::of(b"");
        assert!(text(Some(&digests)).contains("Repr-Digest: md5=:1B2M2Y8AsgTpgAmY7PhCfg==:, sha-256=:"));
        assert!(text(None).contains("Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n"));
    }
}
