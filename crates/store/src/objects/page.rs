//! What is here, object by object, for those who list or check it.

use protocol::digest::Md5;

use crate::{
    index::{row::Object, table::SHARDS},
    report::{ObjectInfo, Page},
    shared::Shared,
};

impl Shared {
    /// Sealed objects in the order of their digests.
    pub(crate) fn page(&self, cursor: Option<Md5>, limit: usize) -> Page {
        let (now, first) = (self.clock.now(), cursor.unwrap_or(Md5([0; 16])));
        let mut page = Page::default();
        for at in usize::from(first.0[0])..SHARDS {
            while self.objects.load_some(at, now) {}
            let mut found: Vec<_> = {
                let shard = self.objects.shard_at(at);
                shard.rows.iter().filter(|row| row.md5 >= first).map(info).collect()
            };
            found.sort_unstable_by_key(|object| object.md5);
            for object in found {
                if page.objects.len() == limit {
                    page.next = Some(object.md5);
                    return page;
                }
                page.objects.push(object);
            }
        }
        page
    }
}

/// What is told of an object.
pub(crate) fn info(object: &Object) -> ObjectInfo {
    ObjectInfo {
        md5: object.md5,
        sha256: Some(object.sha256),
        size: object.size(),
        uses: u32::from(object.usage.uses()),
    }
}
