//! Listens to what an origin tells, for as long as the options in force have it, and begins again when it ends. While it listens, names need no question:
//! see [`vouched`](crate::names::vouched).
//!
//! | what ends a stream | what follows |
//! | --- | --- |
//! | cut, silent for three heartbeats, an event that cannot be understood | another try soon, then ever more rarely |
//! | the origin has none (an earlier release, a proxy) | asked again after [`NONE_WAIT`] |
//! | it says to come back later | that is obeyed |
//! | the upstream moves to another of its servers, or we are somebody else | at once |

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use protocol::{
    changes::Change,
    listening::Reading,
    patience::{Backoff, Spread},
};
use tokio::sync::watch;

use super::{
    changes::{self, News},
    desk::Desk,
    reading::Bar,
};
use crate::{
    preload::Preloader,
    shared::Shared,
    status::add,
    upstream::{
        Upstream,
        stream::{Offer, Stream},
    },
};

/// Between a stream that broke and the next try.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
/// Who has no stream may have one after an update.
const NONE_WAIT: Duration = Duration::from_secs(600);
/// A stream that was up for so long was well: what ended it is the first failure.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// Heartbeats without a sign of life.
const SILENT_MAX: u64 = 3;
/// Until a stream says how it begins.
const HELLO_WAIT: Duration = Duration::from_secs(30);

/// Listens to all upstreams that are to be listened to and are not yet.
pub(crate) fn follow_all(shared: &Arc<Shared>, preloader: &Arc<Preloader>) {
    let settings = shared.settings();
    for upstream in settings.upstreams.iter().filter(|upstream| upstream.begin_to_follow()) {
        let follower = Follower {
            shared: Arc::downgrade(shared),
            preloader: preloader.clone(),
            upstream: upstream.clone(),
            desk: shared.desks.of(&upstream.options.name),
            bar: None,
        };
        shared.spawn(follower.run(shared.closing.clone()));
    }
}

/// One upstream's.
struct Follower {
    shared: Weak<Shared>,
    preloader: Arc<Preloader>,
    upstream: Arc<Upstream>,
    desk: Arc<Desk>,
    bar: Option<Bar>,
}

/// Why a stream is not on.
enum Ended {
    /// And whether it had been well.
    Broken(String, bool),
    None(String),
    Busy(Duration),
    Again,
    /// The cache is gone.
    Over,
}

impl Follower {
    async fn run(mut self, closing: tokio_util::sync::CancellationToken) {
        let left = self.upstream.left.clone();
        let mut spread = Spread::new(RandomState::new().hash_one(&self.upstream.options.name));
        let mut failures = 0;
        loop {
            let mut again = self.desk.again();
            again.mark_unchanged();
            let ended = tokio::select! {
                () = closing.cancelled() => Ended::Over,
                () = left.cancelled() => Ended::Over,
                ended = self.listen(&mut again) => ended,
            };
            self.fall_silent(&ended);
            let wait = match ended {
                Ended::Over => return,
                Ended::Broken(_, was_well) => {
                    failures = if was_well { 1 } else { failures + 1_u32 };
                    BACKOFF.wait(failures, &mut spread)
                }
                Ended::None(_) => Backoff::obey(NONE_WAIT, &mut spread),
                Ended::Busy(wait) => Backoff::obey(wait, &mut spread),
                // Not in a tight loop, whatever asks for it.
                Ended::Again => BACKOFF.wait(1, &mut spread) / 4,
            };
            tokio::select! {
                () = closing.cancelled() => return,
                () = left.cancelled() => return,
                _ = again.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One stream, from asking for it to its end.
    async fn listen(&mut self, again: &mut watch::Receiver<u64>) -> Ended {
        let Some(origins) = self.upstream.origins().cloned() else { return Ended::Over };
        let mut moves = origins.moves();
        let asked = self.upstream.changes(&self.query(), self.desk.fields()).await;
        let mut stream = match asked {
            Ok(Offer::Stream(stream)) => stream,
            Ok(Offer::None(reason)) => return Ended::None(reason),
            Ok(Offer::Busy(wait)) => return Ended::Busy(wait),
            Err(error) => return Ended::Broken(error.to_string(), false),
        };
        let (began, mut reading) = (Instant::now(), Reading::default());
        loop {
            let moved = *moves.borrow_and_update();
            // Asking may have been what moved it.
            if origins.present() != stream.server {
                return Ended::Again;
            }
            tokio::select! {
                biased;
                _ = moves.changed() => {}
                _ = again.changed() => return Ended::Again,
                heard = self.hear(&mut stream, &mut reading, moved) => match heard {
                    Ok(true) => {}
                    Ok(false) => return Ended::Over,
                    Err(reason) => return Ended::Broken(reason, began.elapsed() >= WELL_AFTER),
                }
            }
        }
    }

    /// From where it goes on.
    fn query(&self) -> String {
        let since = |bar: &Bar| {
            // An epoch is a word of theirs, which must not say more than it should.
            let epoch: String = bar.epoch.bytes().map(|byte| format!("%{byte:02x}")).collect();
            format!("?since={}&epoch={epoch}", bar.generation)
        };
        self.bar.as_ref().map_or_else(String::new, since)
    }

    /// The next bytes, and what follows from them. `false` when the cache is gone.
    async fn hear(&mut self, stream: &mut Stream, reading: &mut Reading, moves: u64) -> Result<bool, String> {
        let silence = Duration::from_secs(SILENT_MAX * reading.heartbeat());
        let within = if reading.hello().is_none() { HELLO_WAIT } else { silence };
        let piece = stream.next(within).await.map_err(|error| error.to_string())?;
        let piece = piece.ok_or("it ended")?;
        let said = reading.take(&piece)?;
        let Some(shared) = self.shared.upgrade() else { return Ok(false) };
        let now = shared.book.millis();
        let until = now + SILENT_MAX * 1000 * reading.heartbeat();
        if said.begins {
            self.begin(&shared, reading, now, until, moves);
        }
        self.take(&shared, said.changes)?;
        self.upstream.vouched.extend(until);
        // What was told again of the time before has been taken.
        if said.is_heartbeat
            && !self.upstream.vouched.is_on(now)
            && let Some(bar) = &self.bar
        {
            self.vouch(reading, bar.since, until);
        }
        Ok(true)
    }

    fn begin(&mut self, shared: &Arc<Shared>, reading: &Reading, now: u64, until: u64, moves: u64) {
        let Some(hello) = reading.hello() else { return };
        let goes_on = self.bar.as_ref().is_some_and(|bar| bar.goes_on(reading, moves));
        if !goes_on {
            if self.bar.is_some() {
                self.preloader.look_through(&self.upstream.options.name);
            }
            changes::forget_told(shared, &self.upstream);
            self.bar = Some(Bar { epoch: hello.epoch.clone(), generation: hello.generation, since: now, moves });
            self.vouch(reading, now, until);
        }
        add(&shared.counters.streams, 1);
        self.desk.hear(|heard| {
            heard.generation = hello.generation;
            heard.trouble = None;
        });
        self.desk.set_live(true);
        let upstream = &self.upstream.options.name;
        tracing::info!(upstream, "an origin tells what changes; while it does, its names need no question");
        self.desk.tell(Change::Hello(hello.clone()));
    }

    /// Not by an origin that may notice changes later than who asks it would.
    fn vouch(&self, reading: &Reading, since: u64, until: u64) {
        let delay = reading.hello().map_or(0, |hello| hello.delay);
        if Duration::from_secs(delay) <= self.upstream.options.recheck {
            self.upstream.vouched.begin(since, until);
        }
        // Looked at last: whoever moves the upstream to another server withdraws behind that.
        let moves = self.upstream.origins().map(|origins| *origins.moves().borrow());
        if self.bar.as_ref().map(|bar| bar.moves) != moves {
            self.upstream.vouched.withdraw();
        }
    }

    fn take(&mut self, shared: &Arc<Shared>, all: Vec<Change>) -> Result<(), String> {
        if all.is_empty() {
            return Ok(());
        }
        add(&shared.counters.changes, all.len() as u64);
        for change in &all {
            match change {
                Change::Order(_) | Change::Configuration(_) | Change::Topology(_) => self.desk.tell(change.clone()),
                Change::Hello(_) | Change::File(_) | Change::Gone(_) | Change::Stale(_) => {}
            }
        }
        let generation = |change: &Change| match change {
            Change::File(file) => Some(file.generation),
            Change::Gone(gone) => Some(gone.generation),
            _ => None,
        };
        let newest = all.iter().filter_map(generation).max();
        let news = News::of(&self.upstream, all)?;
        let changed = changes::take(shared, &self.upstream, news);
        self.preloader.changed(shared, &self.upstream, changed);
        if let (Some(newest), Some(bar)) = (newest, &mut self.bar) {
            bar.generation = bar.generation.max(newest);
            self.desk.hear(|heard| heard.generation = heard.generation.max(newest));
        }
        Ok(())
    }

    /// From here on names are asked for.
    fn fall_silent(&self, ended: &Ended) {
        self.upstream.vouched.withdraw();
        let was_live = self.desk.is_live();
        self.desk.set_live(false);
        let upstream = &self.upstream.options.name;
        let trouble = match ended {
            Ended::Broken(reason, _) => reason.clone(),
            Ended::None(reason) => format!("it has no stream of changes: {reason}"),
            Ended::Busy(wait) => format!("it has no time for one more; it is asked again in {} s", wait.as_secs()),
            Ended::Again | Ended::Over => return,
        };
        if was_live {
            tracing::warn!(
                upstream,
                error = trouble,
                "an origin tells no more what changes; names are asked for as before"
            );
        } else if self.desk.heard().trouble.as_ref() != Some(&trouble) {
            tracing::info!(upstream, error = trouble, "an origin does not tell what changes; names are asked for");
        }
        self.desk.hear(|heard| heard.trouble = Some(trouble));
    }
}
