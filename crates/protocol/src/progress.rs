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
        let (name, data) = match self {
            Self::Progress(progress) => ("progress", serde_json::json!(progress)),
            Self::Ready => ("ready", serde_json::json!({})),
            Self::Pause { retry_after } => ("pause", serde_json::json!({ "retry_after": retry_after })),
            Self::Failed { detail } => ("failed", serde_json::json!({ "detail": detail })),
        };
        // JSON escapes line ends, so the data is always one line.
        format!("event: {name}\ndata: {data}\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_two_lines_and_an_empty_one() {
        let progress = Progress { fetched: 3, total: Some(9), position: 1, max_requesters: 5 };
        let table = [
            (
                Event::Progress(progress),
                "event: progress\ndata: {\"fetched\":3,\"max_requesters\":5,\"position\":1,\"total\":9}\n\n",
            ),
            (Event::Ready, "event: ready\ndata: {}\n\n"),
            (Event::Pause { retry_after: 90 }, "event: pause\ndata: {\"retry_after\":90}\n\n"),
            (Event::Failed { detail: "a\nb".into() }, "event: failed\ndata: {\"detail\":\"a\\nb\"}\n\n"),
        ];
        for (event, text) in table {
            assert_eq!(event.to_text(), text);
        }
    }

    #[test]
    fn an_unknown_total_is_null() {
        let progress = Progress { fetched: 0, total: None, position: 0, max_requesters: 0 };
        assert!(Event::Progress(progress).to_text().contains("\"total\":null"));
    }
}
