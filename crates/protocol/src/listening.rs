//! What a stream of [changes](crate::changes) says, from bytes as they come: how it begins, and what it tells. Whether it goes on where it was cut is for who listens.

use crate::{
    changes::{Change, Hello},
    event_stream::{self, HEARTBEAT, RawEvent},
};

/// Seconds between two signs of life, whatever is announced.
const HEARTBEAT_MAX: u64 = 60;

/// One stream.
#[derive(Debug, Default)]
pub struct Reading {
    reader: event_stream::Reader,
    hello: Option<Hello>,
}

/// What some bytes say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// It has begun just now.
    pub begins: bool,
    /// What it tells, in order.
    pub changes: Vec<Change>,
    /// A sign of life without news: what was to be told again of the time before has been told.
    pub is_heartbeat: bool,
}

impl Reading {
    /// How it began.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Seconds between two signs of life.
    pub fn heartbeat(&self) -> u64 {
        self.hello.as_ref().map_or(HEARTBEAT_MAX, |hello| hello.heartbeat).clamp(1, HEARTBEAT_MAX)
    }

    /// Takes some bytes. `Err`: it cannot be understood, and what it would have said may be a change.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Said, String> {
        let mut events: Vec<RawEvent> = Vec::new();
        self.reader.take(bytes, |event| events.push(event)).map_err(|error| error.to_string())?;
        let before_last = bytes.strip_suffix(HEARTBEAT.as_bytes());
        // No line of ours ends with a colon but this one.
        let is_heartbeat = before_last.is_some_and(|before| before.is_empty() || before.ends_with(b"\n"));
        let mut said = Said { is_heartbeat, ..Said::default() };
        for event in events {
            let change = Change::read(&event)
                .map_err(|error| format!("its event '{}' cannot be read: {error}", event.name.escape_debug()))?;
            match (change, &self.hello) {
                (Some(Change::Hello(hello)), None) => {
                    self.hello = Some(hello);
                    said.begins = true;
                }
                (Some(Change::Hello(_)), Some(_)) => return Err("it begins twice".into()),
                (_, None) => return Err("it does not say how it begins".into()),
                (Some(change), Some(_)) => said.changes.push(change),
                // Of a later release.
                (None, Some(_)) => {}
            }
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use crate::changes::Stale;

    use super::*;

    fn hello(generation: u64, reset: bool) -> String {
        Change::Hello(Hello { epoch: "e".into(), generation, reset, heartbeat: 5, delay: 0 }).to_text()
    }

    fn stale() -> Change {
        Change::Stale(Stale { path: "/a".into() })
    }

    #[test]
    fn a_stream_is_read_wherever_it_is_cut() {
        let text = hello(7, false) + &stale().to_text() + "event: later\ndata: 1\n\n" + HEARTBEAT;
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            let mut reading = Reading::default();
            let said = [reading.take(head).unwrap(), reading.take(tail).unwrap()];
            assert_eq!(said.iter().filter(|said| said.begins).count(), 1, "cut at {cut}");
            let changes: Vec<_> = said.iter().flat_map(|said| said.changes.clone()).collect();
            assert_eq!(changes, [stale()], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_stream_of_changes_is_refused() {
        for text in [
            stale().to_text(),
            "event: later\ndata: 1\n\n".into(),
            hello(1, false) + &hello(1, false),
            hello(1, false) + "event: stale\ndata: {}\n\n",
            hello(1, false) + "event: file\ndata: {\"path\":\"/a\"}\n\n",
            "data: ".to_owned() + &"x".repeat(event_stream::EVENT_BYTES_MAX),
        ] {
            assert!(Reading::default().take(text.as_bytes()).is_err(), "{text:.60}");
        }
    }

    #[test]
    fn a_heartbeat_is_told_from_news() {
        let mut reading = Reading::default();
        assert!(!reading.take(hello(1, false).as_bytes()).unwrap().is_heartbeat);
        assert!(reading.take(HEARTBEAT.as_bytes()).unwrap().is_heartbeat);
        assert!(!reading.take(stale().to_text().as_bytes()).unwrap().is_heartbeat);
        assert!(reading.take((stale().to_text() + HEARTBEAT).as_bytes()).unwrap().is_heartbeat);
    }

    #[test]
    fn an_announced_heartbeat_is_believed_within_reason() {
        for (announced, expected) in [(0, 1), (1, 1), (15, 15), (60, 60), (u64::MAX, 60)] {
            let hello = Hello { epoch: "e".into(), generation: 1, reset: false, heartbeat: announced, delay: 0 };
            assert_eq!(Reading { hello: Some(hello), ..Reading::default() }.heartbeat(), expected);
        }
    }
}
