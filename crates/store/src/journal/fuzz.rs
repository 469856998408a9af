//! Reads whatever bytes as what the journal keeps, for `fuzz/`.

use std::{path::Path, sync::Arc};

use super::{
    frames,
    snapshot::{Section, Snapshot},
};
use crate::{
    disk::Disk,
    index::{
        record::Row,
        row::{NameRow, Object},
        table::Buckets,
    },
    space::evict::Now,
};

/// As a journal file, raw, and behind a head that is right.
pub(crate) fn replay(bytes: &[u8]) {
    frames::replay(bytes, 7, Now::default());
    let whole = [&frames::MAGIC[..], &7u64.to_le_bytes(), bytes].concat();
    frames::replay(&whole, 7, Now::default());
}

/// As a snapshot of number 7, of which every bucket is read.
pub(crate) fn read_snapshot(disk: &Arc<dyn Disk>, path: &Path) {
    let Some(snapshot) = Snapshot::open(disk, path, 7).map(Arc::new) else { return };
    read_section::<Object>(&Section { snapshot: snapshot.clone(), names: false });
    read_section::<NameRow>(&Section { snapshot, names: true });
}

fn read_section<R: Row>(section: &Section) {
    for bucket in 0..Buckets::<R>::count(section) {
        Buckets::<R>::announced(section, bucket);
        Buckets::<R>::read(section, bucket, Now::default());
    }
}
