//! Getting the list of a content's pieces: from an upstream that knows it, else from the object that is here, read once more in the background. Once,
//! however many ask.
//!
//! | | |
//! | --- | --- |
//! | it was had a moment ago | it is told from memory |
//! | somebody gets it already | wait for that |
//! | an upstream tells digests, and may be asked | its list is taken if it fits: the digest, the number of pieces, and the size of what is here |
//! | the object is here | it is read, one at a time, on a thread that gives way to all others; damaged bytes are found by that |
//! | else | there is none, and for a moment nobody looks again, unless it comes here |

use std::{
    collections::HashMap,
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::{
    digest::Md5,
    pieces::{Pieces, PiecesHasher, has_several},
    problem::Kind,
    target::Target,
};
use store::Reader;
use tokio::sync::{Semaphore, oneshot, watch};

use super::lists::Lists;
use crate::{
    failure::Failure,
    fetch::refused::not_preloaded,
    shared::Shared,
    status::add,
    upstream::{Question, Upstream},
};

/// Contents whose lists are being got at the same time.
const GETTING_MAX: usize = 64;
/// Objects that are read for their pieces at the same time.
const READING_MAX: usize = 1;
/// Who asks waits so long, then is told when to come back.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Seconds after which who came too early comes back.
const RETRY_AFTER: u64 = 5;
/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// What comes of it.
type Found = Result<Bytes, Failure>;

/// Lists that are known, and those that are being got.
pub(crate) struct Listings {
    lists: Mutex<Lists>,
    /// Each is announced once; a sender that is dropped was interrupted.
    getting: Mutex<HashMap<Md5, watch::Receiver<Option<Found>>>>,
    reading: Arc<Semaphore>,
}

impl Default for Listings {
    fn default() -> Self {
        Self { lists: Mutex::default(), getting: Mutex::default(), reading: Arc::new(Semaphore::new(READING_MAX)) }
    }
}

/// A list that is known now, or that there is none. Of what has come here since, one can be made.
pub(crate) fn find(shared: &Shared, md5: &Md5) -> Option<Found> {
    let found = shared.swarm.listings.lists.lock().find(md5, Instant::now())?;
    (found.is_ok() || shared.store.peek(md5).is_none()).then_some(found)
}

/// The list of a content, as it is sent. Runs on the runtime of the fetches; dropping it stops nothing that has begun.
pub(crate) async fn get(shared: &Arc<Shared>, target: Target, md5: Md5) -> Found {
    let mut found = join(shared, target, md5)?;
    let announced = tokio::time::timeout(WAIT_MAX, found.wait_for(Option::is_some)).await;
    match announced {
        Ok(Ok(found)) => found.clone().unwrap_or_else(|| Err(Failure::interrupted())),
        Ok(Err(_)) => Err(Failure::interrupted()),
        Err(_) => Err(later("the digests of these pieces are still being made; ask again in a moment")),
    }
}

fn later(detail: &str) -> Failure {
    Failure::new(Kind::Overloaded, detail).with_retry_after(RETRY_AFTER)
}

/// What somebody gets already, or begins to get now.
fn join(shared: &Arc<Shared>, target: Target, md5: Md5) -> Result<watch::Receiver<Option<Found>>, Failure> {
    if shared.closing.is_cancelled() {
        return Err(Failure::interrupted());
    }
    let listings = &shared.swarm.listings;
    let mut getting = listings.getting.lock();
    if let Some(receiver) = getting.get(&md5) {
        return Ok(receiver.clone());
    }
    // Whoever got it may have ended since this one looked: it is kept before its place is given back.
    if let Some(found) = find(shared, &md5) {
        return Ok(watch::channel(Some(found)).1);
    }
    if getting.len() >= GETTING_MAX {
        return Err(later("digests of pieces are being made for as many files as may be; ask again in a moment"));
    }
    let (send, receive) = watch::channel(None);
    getting.insert(md5, receive.clone());
    drop(getting);
    let place = Place { shared: shared.clone(), md5 };
    shared.spawn(async move {
        let found = tokio::select! {
            () = place.shared.closing.cancelled() => Err(Failure::interrupted()),
            found = make(&place.shared, &target, md5) => found,
        };
        // Before the place is given back, so that nobody begins once more.
        place.shared.swarm.listings.lists.lock().keep(&md5, &found, Instant::now());
        drop(place);
        let _ = send.send(Some(found));
    });
    Ok(receive)
}

/// One of those that are being got. Dropping it makes room, whatever became of it.
struct Place {
    shared: Arc<Shared>,
    md5: Md5,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.swarm.listings.getting.lock().remove(&self.md5);
    }
}

async fn make(shared: &Arc<Shared>, target: &Target, md5: Md5) -> Found {
    let size = size(shared, &md5);
    if size.is_some_and(|size| !has_several(size)) {
        let detail = format!("{md5} is of one piece, whose digest is its own; ask for all of it");
        return Err(Failure::new(Kind::NotFound, detail));
    }
    let told = match from_upstreams(shared, target, md5, size).await {
        Ok(pieces) => return Ok(written(&pieces)),
        Err(failure) => failure,
    };
    if shared.store.peek(&md5).is_some() {
        return Ok(written(&of_object(shared, md5).await?));
    }
    Err(told.unwrap_or_else(|| {
        let detail =
            format!("no digests of the pieces of {md5} are known: it is not here whole, and no upstream tells them");
        Failure::new(Kind::NotFound, detail)
    }))
}

fn written(pieces: &Pieces) -> Bytes {
    serde_json::to_vec(pieces).unwrap_or_default().into()
}

/// Bytes of a content that is here, or arrives.
fn size(shared: &Shared, md5: &Md5) -> Option<u64> {
    let arriving = || shared.flights.of_content(md5)?.reader.get()?.len();
    shared.store.peek(md5).map(|info| info.size).or_else(arriving)
}

/// From the first that has a list which fits; else what the last said of it, if any may be asked at all.
async fn from_upstreams(
    shared: &Arc<Shared>,
    target: &Target,
    md5: Md5,
    size: Option<u64>,
) -> Result<Pieces, Option<Failure>> {
    let settings = shared.settings();
    let mut last = None;
    for upstream in settings.upstreams.iter().filter(|upstream| upstream.knows_digests()) {
        let root = Target::from_file_path(b"");
        let question = Question::of_object(upstream.clone(), target.clone(), root, md5);
        if !question.may_ask() {
            last = Some(not_preloaded(&question, &shared.clock, settings.options.retry_delay));
            continue;
        }
        if upstream.health.is_down() {
            last = Some(question.unreachable());
            continue;
        }
        let asked = upstream.pieces(&md5).await;
        shared.report(upstream, &asked);
        match asked {
            Ok(Some(pieces)) if fits(&pieces, &md5, size) => return Ok(pieces),
            Ok(Some(pieces)) => note_lie(shared, upstream, &pieces, &md5, size),
            Ok(None) => {}
            Err(error) => last = Some(question.failure(&error)),
        }
    }
    Err(last)
}

/// Whether it is a list of that content, as far as can be seen: that it has as many digests as there are pieces was checked when it was read.
fn fits(pieces: &Pieces, md5: &Md5, size: Option<u64>) -> bool {
    pieces.md5() == *md5 && size.is_none_or(|size| pieces.size() == size) && has_several(pieces.size())
}

fn note_lie(shared: &Shared, upstream: &Upstream, pieces: &Pieces, md5: &Md5, size: Option<u64>) {
    add(&shared.counters.piece_lists_refused, 1);
    let (upstream, told, told_size) = (&upstream.options.name, pieces.md5(), pieces.size());
    tracing::warn!(
        upstream,
        %md5,
        %told,
        told_size,
        ?size,
        "an upstream sent digests of pieces that are of another content; they are not used"
    );
}

/// Of an object that is here whole.
async fn of_object(shared: &Arc<Shared>, md5: Md5) -> Result<Pieces, Failure> {
    // Closed never.
    let _turn = shared.swarm.listings.reading.acquire().await;
    let (send, receive) = oneshot::channel();
    let (store, closing) = (shared.store.clone(), shared.closing.clone());
    let read = move || {
        // Who cannot give way is in nobody's way for long either.
        let _ = os::priority::give_way();
        let made = store.read_aside(&md5).map(|reader| read(&reader, md5, || closing.is_cancelled()));
        // Who waited may have left.
        let _ = send.send(made);
    };
    let interrupted = |_| Failure::interrupted();
    std::thread::Builder::new().name("pieces".into()).spawn(read).map_err(interrupted)?;
    match receive.await.map_err(|_| Failure::interrupted())? {
        Some(Ok(Some(pieces))) => {
            add(&shared.counters.piece_lists_made, 1);
            Ok(pieces)
        }
        Some(Ok(None)) => {
            tracing::error!(%md5, "an object has changed on the disk; it is removed, and fetched again when it is asked for. Check the disk, then run outpost-proxy scrub");
            let (store, who) = (shared.store.clone(), "the reading of its pieces, which found it damaged");
            let removing = tokio::task::spawn_blocking(move || store.remove_by(&md5, who));
            // A panic has been reported by its thread.
            let _ = removing.await;
            Err(Failure::no_object(&md5))
        }
        Some(Err(error)) => {
            tracing::warn!(%md5, %error, "an object cannot be read for the digests of its pieces");
            Err(later("the file cannot be read for the digests of its pieces just now; ask again in a moment"))
        }
        // Evicted just now.
        None => Err(Failure::no_object(&md5)),
    }
}

/// The list of an object, or `None` if its bytes are not what it is known by. Blocks.
fn read(reader: &Reader, md5: Md5, is_ending: impl Fn() -> bool) -> io::Result<Option<Pieces>> {
    let len = reader.len().unwrap_or_default();
    let mut hasher = PiecesHasher::new(len);
    let (mut block, mut position) = (vec![0; BLOCK], 0);
    while position < len {
        if is_ending() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let wanted = BLOCK.min(usize::try_from(len - position).unwrap_or(BLOCK));
        let count = reader.file().read_at(&mut block[..wanted], position)?;
        if count == 0 {
            return Ok(None);
        }
        hasher.update(&block[..count]);
        position += count as u64;
    }
    Ok(hasher.finish().1.filter(|pieces| pieces.md5() == md5))
}
