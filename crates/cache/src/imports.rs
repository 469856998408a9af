//! Names of contents that came by another way than from their upstreams, and the names that there are, for who takes the contents elsewhere.

use std::time::SystemTime;

use protocol::{digest::Md5, etag::ETag, target::Target};

use crate::{
    cache::Cache,
    names::{
        book::{Entry, Known},
        imported::is_same_time,
        record::{Provenance, Record, seconds},
    },
    upstream::Upstream,
};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedContent {
    /// Its digest.
    pub md5: Md5,
    /// Bytes.
    pub len: u64,
    /// When it was last changed, as exactly as it is known.
    pub modified: Option<SystemTime>,
    /// The upstream's own tag, if there is a strong one.
    pub etag: Option<ETag>,
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It stands for the content from now on, as far as the upstream agrees when it is asked.
    Bound,
    /// It stands for that content already.
    Same,
    /// It stands for another content, which is from the upstream, is here, and not older: that stays.
    Newer,
    /// No upstream is mounted there.
    Nowhere,
}

impl Cache {
    /// Parts in which [`Cache::names`] tells the names.
    pub const NAME_PARTS: usize = store::Names::PARTS;

    /// A path as clients ask for it stands for a content that is here.
    pub fn bind(&self, target: &Target, content: &NamedContent) -> Binding {
        let Some(key) = self.key(target) else { return Binding::Nowhere };
        let record = Record {
            checked: seconds(SystemTime::now()),
            len: Some(content.len),
            modified: content.modified,
            etag: content.etag.clone(),
            provisional: None,
            provenance: Provenance::Imported,
        };
        let mut stays = None;
        self.shared.book.bind(&key, content.md5, record, |before| {
            stays = self.stays(before, content);
            stays.is_some()
        });
        stays.unwrap_or(Binding::Bound)
    }

    /// Whether an upstream would be asked for this path.
    pub fn is_mounted(&self, target: &Target) -> bool {
        self.key(target).is_some()
    }

    /// Whether a path stands for a content that is here, of this length and this time.
    pub fn stands_for(&self, target: &Target, len: u64, modified: SystemTime) -> bool {
        let known = self.key(target).and_then(|key| self.shared.book.known(&key));
        known.is_some_and(|known| {
            let is_same = |time: SystemTime| is_same_time(time, modified);
            known.record.len == Some(len) && known.record.modified.is_some_and(is_same) && self.is_here(&known.md5)
        })
    }

    /// The names of one part whose contents are here, as clients ask for them: neither variants nor answers that are no content. A short lock is
    /// held meanwhile.
    pub fn names(&self, part: usize) -> Vec<(Target, NamedContent)> {
        let settings = self.shared.settings();
        let mut found = Vec::new();
        self.shared.store.names().each_of(part, |key, md5, meta| {
            let Some(record) = Record::decode(meta) else { return };
            let is_content = record.http().is_none_or(|meta| meta.is_whole_content());
            let target = settings.upstreams.iter().find_map(|upstream| target_of(upstream, key));
            if let (true, Some(target), Some(len)) = (is_content, target, record.len) {
                let etag = record.strong_etag().cloned();
                found.push((target, NamedContent { md5: *md5, len, modified: record.modified, etag }));
            }
        });
        found.retain(|(target, content)| self.key(target).is_some() && self.is_here(&content.md5));
        found
    }

    fn key(&self, target: &Target) -> Option<crate::upstream::Key> {
        let settings = self.shared.settings();
        let (upstream, below) = settings.upstream_of(target).filter(|_| !target.path().starts_with("/.outpost/"))?;
        Some(upstream.key(&below))
    }

    fn is_here(&self, md5: &Md5) -> bool {
        self.shared.store.peek(md5).is_some()
    }

    fn stays(&self, before: &Entry, content: &NamedContent) -> Option<Binding> {
        match before {
            Entry::Variants(_) => Some(Binding::Newer),
            Entry::Content(known) if self.is_here(&known.md5) => compared(known, content),
            Entry::Content(_) => None,
        }
    }
}

/// Whether what is known of a name is worth more than what comes in for it: the upstream's own word is, unless it is of an older version.
fn compared(known: &Known, content: &NamedContent) -> Option<Binding> {
    let is_newer = content.modified.zip(known.record.modified).is_some_and(|(new, old)| new > old);
    match known.record.provenance {
        Provenance::Imported => None,
        _ if known.md5 == content.md5 => Some(Binding::Same),
        _ if is_newer => None,
        _ => Some(Binding::Newer),
    }
}

/// The name of a key as clients ask for it, if it is one of this upstream's names.
fn target_of(upstream: &Upstream, key: &[u8]) -> Option<Target> {
    let below = upstream.name_of(key)?;
    Target::parse(format!("{}{below}", upstream.options.mount.trim_end_matches('/')).as_bytes()).ok()
}
