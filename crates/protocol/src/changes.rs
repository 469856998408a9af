//! `GET /.outpost/v1/changes?since=GENERATION&epoch=EPOCH`: what changes, told as it does ([`event_stream`]).
//!
//! Who says its name ([`NODE_FIELD`](crate::info::NODE_FIELD)) is also told what concerns it alone. `share=` (several times) leaves out the files
//! of other shares, `below=` (several times) those that are not below one of these folders; below `/.outpost/` there are none. Nothing at all for longer than three heartbeats means that the stream is down: what was learned from it may be old from then on.
//!
//! The stream begins with `hello`. Where its `generation` is the one that was asked with, everything since is told; where it is greater, there was too much
//! to be told here, and the catalogue has it (`since=` what was asked with). Then comes what is stale now, however long it has been.
//!
//! | event | data | what to do |
//! | --- | --- | --- |
//! | `hello` | [`Hello`] | the first of all. With `reset`, or with another epoch: read the catalogue anew |
//! | `file` | [`File`] | this is at that path now |
//! | `gone` | [`Gone`] | no file is at that path, or below it |
//! | `stale` | [`Stale`] | something changed at that path, or below it, and its digest is not known yet: ask before it is given out |
//! | `topology` | [`Generation`] | who stands where has changed: ask for sources again |
//! | `configuration` | [`Generation`] | fetch your configuration |
//! | `order` | [`Order`] | do it, and report on it until it has ended |

use serde::{Deserialize, Serialize};

use crate::{
    catalog::{File, Gone},
    enrolment::Order,
    event_stream::{self, RawEvent},
};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `hello`
    Hello(Hello),
    /// `file`
    File(File),
    /// `gone`
    Gone(Gone),
    /// `stale`
    Stale(Stale),
    /// `topology`
    Topology(Generation),
    /// `configuration`
    Configuration(Generation),
    /// `order`
    Order(Order),
}

/// How a stream begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Which numbering the generations are of.
    pub epoch: String,
    /// Everything up to this is in the catalogue; what comes is behind it.
    pub generation: u64,
    /// Changes since the generation that was asked with are not known any more: read the catalogue anew.
    #[serde(default)]
    pub reset: bool,
    /// Seconds between two signs of life.
    pub heartbeat: u64,
    /// Seconds by which a change may be told late, where nothing announces changes to the origin and it has to look for them (a network mount). 0: they are
    /// told as they happen.
    #[serde(default)]
    pub delay: u64,
}

/// A path that cannot be vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// Encoded; `/` is everything.
    pub path: String,
}

/// A number that grows with every change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// The newest.
    pub generation: u64,
}

impl Change {
    /// As it is sent.
    pub fn to_text(&self) -> String {
        match self {
            Self::Hello(hello) => event_stream::write("hello", None, hello),
            Self::File(file) => event_stream::write("file", Some(file.generation), file),
            Self::Gone(gone) => event_stream::write("gone", Some(gone.generation), gone),
            Self::Stale(stale) => event_stream::write("stale", None, stale),
            Self::Topology(generation) => event_stream::write("topology", None, generation),
            Self::Configuration(generation) => event_stream::write("configuration", None, generation),
            Self::Order(order) => event_stream::write("order", None, order),
        }
    }

    /// As it came; `None` of an event that this release does not know. What cannot be read is an error: to pass over it would be to miss a change.
    pub fn read(event: &RawEvent) -> Result<Option<Self>, serde_json::Error> {
        let data = event.data.as_str();
        Ok(Some(match event.name.as_str() {
            "hello" => Self::Hello(serde_json::from_str(data)?),
            "file" => Self::File(serde_json::from_str(data)?),
            "gone" => Self::Gone(serde_json::from_str(data)?),
            "stale" => Self::Stale(serde_json::from_str(data)?),
            "topology" => Self::Topology(serde_json::from_str(data)?),
            "configuration" => Self::Configuration(serde_json::from_str(data)?),
            "order" => Self::Order(serde_json::from_str(data)?),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::{Md5, Sha256},
        enrolment::Update,
    };

    #[test]
    fn every_change_is_read_as_it_was_written() {
        let generation = Generation { generation: 9 };
        let file = File {
            path: "/prod/a%20b".into(),
            size: 3,
            md5: Md5([1; 16]),
            sha256: Sha256([2; 32]),
            modified: "2026-11-22T01:41:00Z".into(),
            generation: 7,
        };
        let all = [
            Change::Hello(Hello { epoch: "e".into(), generation: 5, reset: true, heartbeat: 2, delay: 600 }),
            Change::File(file),
            Change::Gone(Gone { path: "/x".into(), generation: 8 }),
            Change::Stale(Stale { path: "/".into() }),
            Change::Topology(generation),
            Change::Configuration(generation),
            Change::Order(Order { id: 3, update: Update::Path("/prod/office/".into()) }),
        ];
        let text: String = all.iter().map(Change::to_text).collect();
        let mut read = Vec::new();
        event_stream::Reader::default()
            .take(text.as_bytes(), |event| read.push(Change::read(&event).unwrap().unwrap()))
            .unwrap();
        assert_eq!(read, all);
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_broken_is_not() {
        let event = |name: &str, data: &str| RawEvent { name: name.into(), data: data.into(), id: None };
        assert_eq!(Change::read(&event("later", "{}")).unwrap(), None);
        assert!(Change::read(&event("gone", "{}")).is_err());
    }
}
