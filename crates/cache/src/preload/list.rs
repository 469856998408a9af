//! Lists an upstream folder by folder, and tells what of it is to be fetched: what is here already, as the listing describes it, is not.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;

use super::{
    one::question,
    plan::Unlisted,
    queue::{Chosen, Found, Queue},
    walk::{Met, Scope, Seen, Walk},
};
use crate::{
    fetch::urgency::Class,
    names::record::{Record, seconds},
    options::Mode,
    shared::Shared,
    status::add,
    upstream::{
        Upstream,
        error::AskError,
        listed::{Folder, Listed},
    },
};

/// Tries of one folder.
const TRIES_MAX: u32 = 3;
/// Wait before the second; before the third twice that.
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// A file that changed so shortly before it was looked at may have changed once more within the same second.
const SETTLED: u64 = 2;
/// Entries that are looked up before others have their turn.
const LOOKS_MAX: usize = 256;

/// Lists all that a scope means. `room` is what the cache has for it; `met` shows how far it is. Dropping the future ends it.
pub(crate) async fn list(
    shared: &Arc<Shared>,
    upstream: &Arc<Upstream>,
    scope: Scope,
    room: u64,
    met: &Mutex<Met>,
) -> Result<(Queue, Chosen, Met), Unlisted> {
    let mut walk = Walk::new(scope);
    let mut found = Vec::new();
    let mut first_trouble = None;
    while let Some(folder) = walk.next() {
        let began = SystemTime::now();
        match ask(shared, upstream, &folder.target).await {
            Ok(Folder::Entries(entries)) => {
                let files = walk.take(&folder, entries);
                for some in files.chunks(LOOKS_MAX) {
                    found.extend(some.iter().map(|seen| look(shared, upstream, seen, began)));
                    tokio::task::yield_now().await;
                }
            }
            Ok(Folder::No(reason)) => {
                walk.unreadable();
                first_trouble.get_or_insert_with(|| (folder.target.to_string(), reason));
            }
            // The rest would fail likewise.
            Err(error) => return Err(Unlisted::Trouble(format!("{}: {error}", folder.target))),
        }
        *met.lock() = walk.met;
    }
    match first_trouble {
        Some((folder, reason)) if walk.met.folders == 0 => return Err(Unlisted::Nothing { folder, reason }),
        Some((folder, reason)) => {
            let (name, folders) = (&upstream.options.name, walk.met.unreadable);
            tracing::warn!(
                upstream = name,
                folders,
                "some folders could not be listed for preload; the first is {folder}: {reason}"
            );
        }
        None => {}
    }
    if walk.met.is_cut {
        let (name, entries) = (&upstream.options.name, walk.met.entries);
        tracing::warn!(
            upstream = name,
            entries,
            "the listing for preload was cut, for it is too long or too deep; leave out what is not needed (exclude)"
        );
    }
    let (queue, chosen) = Queue::choose(found, room);
    Ok((queue, chosen, walk.met))
}

async fn ask(
    shared: &Arc<Shared>,
    upstream: &Arc<Upstream>,
    folder: &protocol::target::Target,
) -> Result<Folder, AskError> {
    let question = question(upstream, folder, Class::Preload);
    let mut tries = 1;
    loop {
        let asked = upstream.list(&question).await;
        shared.report(upstream, &asked);
        match asked {
            // One folder that is slow or broken does not end the walk.
            Err(AskError::Invalid(reason)) => return Ok(Folder::No(reason)),
            Err(AskError::Failing(reason)) if tries >= TRIES_MAX => return Ok(Folder::No(reason)),
            Err(error) if tries >= TRIES_MAX => return Err(error),
            Err(AskError::Busy { retry_after, .. }) => {
                tokio::time::sleep(Duration::from_secs(retry_after.min(60))).await;
            }
            Err(_) => tokio::time::sleep(RETRY_WAIT * tries).await,
            Ok(folder) => return Ok(folder),
        }
        tries += 1;
    }
}

/// Whether a file of a listing is here. Where clients never ask, one that has changed is forgotten: it counts as not here until it has come.
fn look(shared: &Shared, upstream: &Upstream, seen: &Seen, listed: SystemTime) -> Found {
    let name = upstream.key(&seen.entry.target);
    let known = shared.book.peek(&name);
    let is_here = match &known {
        Some((md5, record)) => is_same(record, &seen.entry) && shared.store.peek(md5).is_some(),
        None => false,
    };
    let has_changed = || {
        let record = known.as_ref().map(|(_, record)| record);
        record.is_some_and(|record| record.checked <= seconds(listed) && differs(record, &seen.entry))
    };
    if upstream.options.mode == Mode::Preload && !is_here && has_changed() {
        shared.book.forget(&name);
    }
    if is_here {
        add(&shared.counters.preload_here, 1);
    }
    Found { order: seen.order.clone(), size: seen.entry.size, is_here }
}

/// Whether a record is surely of the file that is listed.
fn is_same(record: &Record, entry: &Listed) -> bool {
    let same_len = record.len.is_some() && record.len == entry.size;
    let times = record.modified.map(seconds).zip(entry.modified.map(seconds));
    let same_time = times.is_some_and(|(one, other)| one == other && one + SETTLED <= record.checked);
    entry.is_exact && same_len && same_time
}

/// Whether it surely is not.
fn differs(record: &Record, entry: &Listed) -> bool {
    let lens = record.len.zip(entry.size).is_some_and(|(one, other)| one != other);
    let times = record.modified.map(seconds).zip(entry.modified.map(seconds));
    entry.is_exact && (lens || times.is_some_and(|(one, other)| one != other))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use protocol::target::Target;

    use super::*;
    use crate::names::record::Provenance;

    #[test]
    fn what_a_listing_says_of_a_file_that_is_here() {
        let at = |seconds: u64| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        let record = Record {
            checked: 100,
            len: Some(5),
            modified: Some(UNIX_EPOCH + Duration::from_millis(50_700)),
            etag: None,
            provisional: None,
            provenance: Provenance::Outpost { content_type: None },
        };
        let fresh = Record { modified: at(99), ..record.clone() };
        for (name, record, size, modified, is_exact, same, other) in [
            ("as it was", &record, Some(5), at(50), true, true, false),
            ("longer", &record, Some(6), at(50), true, false, true),
            ("newer", &record, Some(5), at(51), true, false, true),
            ("older", &record, Some(5), at(49), true, false, true),
            ("no time", &record, Some(5), None, true, false, false),
            ("no size", &record, None, at(50), true, false, false),
            ("rounded", &record, Some(5), at(50), false, false, false),
            ("rounded otherwise", &record, Some(6), at(51), false, false, false),
            ("changed while it was looked at", &fresh, Some(5), at(99), true, false, false),
        ] {
            let target = Target::parse(b"/a").unwrap();
            let entry = Listed { target, is_folder: false, size, modified, is_exact };
            assert_eq!((is_same(record, &entry), differs(record, &entry)), (same, other), "{name}");
        }
    }
}
