//! What is known of an upstream's names, to be carried to another proxy that has no line to it yet, or only a thin one. A name that came so is believed
//! as one of an import is: the upstream is asked before it is given out, and what is fetched for it is checked as always. It says which content a name
//! stands for, so that one that is here already, or comes by another way, is not fetched.

use std::{sync::Arc, time::SystemTime};

use protocol::{
    digest::{Md5, Sha256},
    target::Target,
};

use crate::{
    cache::Cache,
    names::{
        book::Entry,
        record::{Provenance, Record, seconds},
    },
    upstream::Upstream,
};

/// A file of an upstream, by its path below the mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CataloguedFile {
    /// As the upstream has it.
    pub path: Target,
    /// Bytes.
    pub len: u64,
    /// Of its content.
    pub md5: Md5,
    /// Likewise, where the content is here.
    pub sha256: Option<Sha256>,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
}

/// There is no upstream of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no upstream '{name}'; the upstreams are {known}")]
pub struct NoUpstream {
    name: String,
    known: String,
}

impl Cache {
    /// Parts in which [`Cache::catalogue`] tells the files.
    pub const CATALOGUE_PARTS: usize = store::Names::PARTS;

    /// The files of an upstream that are known, in one part of the table: neither variants nor answers that are no content. A short lock is held
    /// meanwhile.
    pub fn catalogue(&self, upstream: &str, part: usize) -> Result<Vec<CataloguedFile>, NoUpstream> {
        let upstream = self.upstream(upstream)?;
        let mut found = Vec::new();
        self.shared.store.names().each_of(part, |key, md5, meta| {
            let (Some(path), Some(record)) = (upstream.name_of(key), Record::decode(meta)) else { return };
            let is_content = record.http().is_none_or(|meta| meta.is_whole_content());
            let path = Target::parse(path.as_bytes()).ok().filter(|path| is_content && path.query().is_none());
            if let (Some(path), Some(len)) = (path, record.len) {
                found.push(CataloguedFile { path, len, md5: *md5, sha256: None, modified: record.modified });
            }
        });
        for file in &mut found {
            file.sha256 = self.shared.store.peek(&file.md5).and_then(|object| object.sha256);
        }
        Ok(found)
    }

    /// A file is known from now on, unless its upstream itself has said something of it. `false` if that stays.
    pub fn learn(&self, upstream: &str, file: &CataloguedFile) -> Result<bool, NoUpstream> {
        let upstream = self.upstream(upstream)?;
        let record = Record {
            checked: seconds(SystemTime::now()),
            len: Some(file.len),
            modified: file.modified,
            etag: None,
            provisional: None,
            provenance: Provenance::Imported,
        };
        let is_its_word = |before: &Entry| match before {
            Entry::Variants(_) => true,
            Entry::Content(known) => known.record.provenance != Provenance::Imported || known.md5 == file.md5,
        };
        Ok(self.shared.book.bind(&upstream.key(&file.path), file.md5, record, is_its_word))
    }

    fn upstream(&self, name: &str) -> Result<Arc<Upstream>, NoUpstream> {
        let settings = self.shared.settings();
        let known = || settings.upstreams.iter().map(|upstream| upstream.options.name.as_str()).collect::<Vec<_>>();
        settings.named(name).cloned().ok_or_else(|| NoUpstream { name: name.into(), known: known().join(", ") })
    }
}
