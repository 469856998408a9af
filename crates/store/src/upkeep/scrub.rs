//! Reading every object and comparing it with its name, whenever the operator asks, against bits that rot. At idle pace, and leaving the
//! page cache as it was found.

use std::sync::Arc;

use protocol::digest::DigestsHasher;

use crate::{
    history::event::Event,
    index::{
        record::Record,
        row::{Object, md5_hash},
    },
    objects::remove::Cause,
    read::body::Body,
    report::ScrubReport,
    shared::Shared,
    space::ledger::{Account, on_disk},
};

/// Objects asked for at a time.
const PAGE: usize = 1024;

/// What became of one object.
enum Outcome {
    Good(u64),
    Bad(u64),
    Missing,
}

impl Shared {
    /// Reads every object and compares it with its name. What was found so far is told after each.
    pub(crate) async fn scrub(self: &Arc<Self>, told: impl Fn(ScrubReport) + Send) -> ScrubReport {
        let (mut report, mut cursor) = (ScrubReport::default(), None);
        loop {
            let store = self.clone();
            let Some(page) = self.io.blocking(move || store.page(cursor, PAGE)).await else { return report };
            for info in page.objects {
                if self.is_closed() {
                    return report;
                }
                let hash = md5_hash(&info.md5);
                let object = {
                    let locked = self.objects.shard(hash, self.clock.now());
                    let place = locked.shard.rows.find(hash, |row| row.md5 == info.md5);
                    place.map(|place| *locked.shard.rows.at(place))
                };
                let Some(object) = object else { continue };
                match self.scrub_one(&object).await {
                    Some(Outcome::Good(bytes)) => (report.good, report.bytes) = (report.good + 1, report.bytes + bytes),
                    Some(Outcome::Bad(bytes)) => (report.bad, report.bytes) = (report.bad + 1, report.bytes + bytes),
                    Some(Outcome::Missing) => report.missing += 1,
                    None => {}
                }
                told(report);
            }
            cursor = page.next;
            if cursor.is_none() {
                return report;
            }
        }
    }

    /// `None` if it was removed in the meantime, which is nothing to report.
    async fn scrub_one(self: &Arc<Self>, object: &Object) -> Option<Outcome> {
        let (store, md5) = (self.clone(), object.md5);
        let opened = self.io.blocking(move || store.disk.open(&store.layout.object(&md5), false)).await?;
        let found = match opened {
            Ok(file) => {
                let body = Body::new(file, self.space.clone());
                let len = body.file().metadata().map_or(0, |found| found.len());
                if len == object.size() { self.hash(&body, len, true).await.map(DigestsHasher::finish) } else { None }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let store = self.clone();
                let removed = self.io.blocking(move || store.remove_object(&md5, Cause::Missing)).await?;
                return removed.map(|_| Outcome::Missing);
            }
            Err(error) => {
                self.note_disk_trouble("read an object", error);
                return None;
            }
        };
        if found.is_some_and(|found| found.md5 == object.md5 && found.sha256 == object.sha256) {
            return Some(Outcome::Good(object.size()));
        }
        let (store, object) = (self.clone(), *object);
        let expelled = self.io.blocking(move || store.condemn(&object)).await?;
        expelled.then_some(Outcome::Bad(object.size()))
    }

    /// Takes an object that is not what its name says out of the index and into quarantine. Blocks.
    fn condemn(&self, object: &Object) -> bool {
        let (now, hash, md5) = (self.clock.now(), md5_hash(&object.md5), object.md5);
        let mut locked = self.objects.shard(hash, now);
        let Some(place) = locked.shard.rows.find(hash, |row| row.md5 == md5) else { return false };
        let object = locked.take(place);
        self.unpin_row(&object);
        let open = locked.shard.extra.open.take(&md5);
        locked.shard.extra.leaving.insert(md5);
        self.journal.append(&Record::ObjectRemoved(md5), now);
        drop(locked);
        drop(open);
        self.touched.went(md5);
        debug_assert!(self.space.balance(Account::Objects) >= on_disk(object.size()));
        self.expel(&md5, object.size());
        self.left(&md5);
        self.history.note(md5, Event::Damaged);
        true
    }
}
