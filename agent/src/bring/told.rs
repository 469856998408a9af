//! What others are shown of a content on its way: a person at a progress bar, a script, the service's status.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::decide::outcome::Queue;

/// Senders of wrong pieces that are named.
const BANNED_MAX: usize = 8;

/// Where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What is being done.
    pub(crate) stage: Stage,
    /// Bytes in all, if that is known.
    #[serde(default)]
    pub(crate) size: Option<u64>,
    /// The source that sends, is asked, or is waited for.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// How near it is: `peer`, `proxy`, `parent`, `origin`.
    #[serde(default)]
    pub(crate) rank: Option<String>,
    /// Place in its queue, from 1.
    #[serde(default)]
    pub(crate) position: Option<u64>,
    /// Places that it has.
    #[serde(default)]
    pub(crate) places: Option<u64>,
    /// Bytes that the source itself has.
    #[serde(default)]
    pub(crate) fetched: Option<u64>,
    /// Why it waits.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// Seconds until it looks again, as of when this was said.
    #[serde(default)]
    pub(crate) again_in: Option<u64>,
    /// What the last source that failed said.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
    /// Pieces that are here, where it comes in pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pieces_here: Option<u32>,
    /// Pieces in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pieces: Option<u32>,
    /// Who sent wrong pieces, and is asked for nothing more of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) banned: Vec<String>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Asking who has it.
    #[default]
    Looking,
    /// Asking a source.
    Asking,
    /// Bytes come.
    Receiving,
    /// In a queue, or until somebody may be asked again.
    Waiting,
    /// Comparing with the digest.
    Verifying,
}

/// Where it is said; clones are the same place.
#[derive(Clone, Default)]
pub(crate) struct Told {
    state: watch::Sender<State>,
    position: Arc<AtomicU64>,
}

impl Told {
    /// Says something else.
    pub(crate) fn say(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Says what is being done, and by whom; what was said of a queue is over.
    pub(crate) fn stage(&self, stage: Stage, source: Option<(&str, &str)>) {
        self.say(|state| {
            let before = std::mem::take(state);
            let (name, rank) = source.map(|(name, rank)| (name.to_owned(), rank.to_owned())).unzip();
            *state = State { stage, source: name, rank, ..State::default() };
            (state.size, state.trouble, state.banned) = (before.size, before.trouble, before.banned);
        });
    }

    /// Pieces come from one or several; of one it is known how near it is.
    pub(crate) fn receiving(&self, whom: &str, rank: Option<&str>, pieces: (u32, u32)) {
        self.stage(Stage::Receiving, None);
        self.say(|state| {
            (state.source, state.rank) = (Some(whom.to_owned()), rank.map(str::to_owned));
            (state.pieces_here, state.pieces) = (Some(pieces.0), Some(pieces.1));
        });
    }

    /// Says who sent a wrong piece.
    pub(crate) fn ban(&self, name: &str) {
        self.say(|state| {
            if state.banned.len() < BANNED_MAX {
                state.banned.push(name.to_owned());
            }
            state.trouble = Some(format!("{name}: it sent a wrong piece"));
        });
    }

    /// Says where it stands in a queue.
    pub(crate) fn queue(&self, queue: Queue) {
        self.say(|state| {
            (state.position, state.places) = (Some(queue.position), Some(queue.places));
            state.fetched = Some(queue.fetched);
            state.size = state.size.or(Some(queue.total).filter(|total| *total > 0));
        });
    }

    /// Bytes here.
    pub(crate) fn at(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// As it is when it is so for the first time.
    pub(crate) async fn until(&self, is_so: impl FnMut(&State) -> bool) -> State {
        // Never closed: this very value can say more.
        self.state.subscribe().wait_for(is_so).await.map(|state| state.clone()).unwrap_or_default()
    }

    /// As it is now.
    pub(crate) fn now(&self) -> State {
        self.state.borrow().clone()
    }
}
