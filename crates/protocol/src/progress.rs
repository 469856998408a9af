//! `GET /.outpost/v1/progress/MD5`: the events of a fill as a follower sees them.

use serde::{Deserialize, Serialize};

/// One event of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `progress`
    Progress(Progress),
    /// `ready`: the object is here, ask again now.
    Ready,
    /// `pause`: come back later.
    Pause {
        /// Seconds.
        retry_after: u64,
    },
    /// `failed`
    Failed {
        /// Why.
        detail: String,
    },
}

/// How far a fill is and how many want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes here.
    pub fetched: u64,
    /// Bytes in all, if the upstream said.
    pub total: Option<u64>,
    /// Place in the queue, from 1; 0: a place is free.
    pub position: u64,
    /// Places there are; 0: no limit.
    pub max_requesters: u64,
}

impl Event {
    /// As `text/event-stream`: `event:`, `data:` and the empty line.
    pub fn to_text(&self) -> String {
        todo!()
    }
}
