//! `GET /.outpost/v1/have/MD5?piece=BYTES`: which pieces somebody has now, and who else wants the content.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::bitmap::Bitmap;

/// Others that one answer names.
pub const HAVE_PEERS_MAX: usize = 30;
/// Bytes of an answer as JSON, at most: with these a reader bounds what it takes from somebody whom nobody vouches for.
pub const HAVE_BYTES_MAX: usize = 64 << 10;

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Bytes of the content, if they are known here; without them nothing is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The pieces that can be had now without waiting. Who reads it checks how many it tells of: [`Bitmap::of_len`].
    #[serde(default)]
    pub have: Bitmap,
    /// Of those that it does not have, what it brings over a line just now and gives on then: nobody else needs to.
    #[serde(default, skip_serializing_if = "Bitmap::is_none")]
    pub coming: Bitmap,
    /// More are on their way.
    #[serde(default)]
    pub filling: bool,
    /// Where others serve what they have of it: URLs, chosen at random among those who asked lately, without the asker. At most [`HAVE_PEERS_MAX`] are
    /// read.
    #[serde(default, deserialize_with = "few", skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<String>,
    /// Machines that want it now, the asker included; 0 if nobody counts them.
    #[serde(default)]
    pub askers: u64,
    /// Milliseconds until it may be asked again; it grows with the number of askers.
    #[serde(default)]
    pub next_in: u64,
}

/// Reads the first of a list of peers. The others are passed over as they come, so that a long list takes no memory.
pub(crate) fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_seq(Few)
}

struct Few;

impl<'de> de::Visitor<'de> for Few {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of peers")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
        let mut peers = Vec::new();
        while peers.len() < HAVE_PEERS_MAX
            && let Some(peer) = list.next_element()?
        {
            peers.push(peer);
        }
        while list.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(peers)
    }
}

/// The port in an `Outpost-Peer` field: decimal digits, from 1 to 65535. Anything else is none.
pub fn peer_port(field: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(field.trim_ascii()).ok()?;
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pieces::{Layout, PIECES_MAX};

    #[test]
    fn a_port_is_a_number_and_nothing_else() {
        for (field, expected) in [
            ("9180", Some(9180)),
            (" 1 ", Some(1)),
            ("65535", Some(65535)),
            ("65536", None),
            ("0", None),
            ("00000", None),
            ("00080", Some(80)),
            ("000080", None),
            ("", None),
            ("+80", None),
            ("-80", None),
            ("80x", None),
            ("80, 81", None),
            ("10.0.0.1:80", None),
            ("http://10.0.0.1", None),
            ("\u{661}", None),
        ] {
            assert_eq!(peer_port(field.as_bytes()), expected, "{field:?}");
        }
        assert_eq!(peer_port(b"\xff"), None);
    }

    #[test]
    fn what_is_not_said_is_nothing_and_too_many_peers_are_cut() {
        let have: Have = serde_json::from_str("{}").expect("reads");
        assert_eq!(have, Have::default());
        let mut have = Bitmap::new(3);
        have.set(1);
        let told = Have {
            size: Some(9),
            have,
            filling: true,
            peers: vec!["u".into()],
            askers: 7,
            next_in: 500,
            ..Have::default()
        };
        let text = serde_json::to_string(&told).expect("serialises");
        assert_eq!(text, r#"{"size":9,"have":"Ag==","filling":true,"peers":["u"],"askers":7,"next_in":500}"#);
        let mut coming = Bitmap::new(3);
        coming.set(2);
        let text = serde_json::to_string(&Have { coming, ..Have::default() }).expect("serialises");
        assert!(text.contains(r#""coming":"BA==""#), "{text}");
        let many = serde_json::json!({ "peers": vec!["http://a/"; 1000], "askers": 7 });
        let have: Have = serde_json::from_value(many).expect("reads");
        assert_eq!((have.peers.len(), have.askers), (HAVE_PEERS_MAX, 7));
        for wrong in [r#"{"peers":"u"}"#, r#"{"peers":[7]}"#, r#"{"peers":["u""#] {
            assert!(serde_json::from_str::<Have>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_largest_answer_is_within_its_bound() {
        let have = Have {
            size: Some(u64::MAX),
            have: Bitmap::full(PIECES_MAX),
            coming: Bitmap::full(PIECES_MAX),
            filling: true,
            peers: vec!["https://".to_owned() + &"x".repeat(1_500); HAVE_PEERS_MAX],
            askers: u64::MAX,
            next_in: u64::MAX,
        };
        let text = serde_json::to_string(&have).expect("serialises");
        assert!(text.len() <= HAVE_BYTES_MAX, "{}", text.len());
        assert_eq!(serde_json::from_str::<Have>(&text).expect("reads"), have);
    }

    proptest! {
        #[test]
        fn what_is_told_is_read_by_who_knows_the_size(
            size in 1..=u64::from(PIECES_MAX) << 20,
            told in prop::collection::vec(any::<u32>(), 0..50),
            askers: u64,
            next_in: u64,
        ) {
            let count = Layout::of(size).count();
            let mut have = Bitmap::new(count);
            told.iter().for_each(|piece| have.set(piece % count));
            let told = Have { size: Some(size), have: have.clone(), askers, next_in, ..Have::default() };
            let read: Have = serde_json::from_str(&serde_json::to_string(&told).expect("serialises")).expect("reads");
            prop_assert_eq!(read.have.of_len(count), Some(have));
            prop_assert_eq!((read.size, read.askers, read.next_in), (told.size, askers, next_in));
        }

        #[test]
        fn whatever_a_neighbour_sends_is_read_or_refused(text in r#"\{"(have|peers|size)":("[A-Za-z0-9+/]{0,9}={0,3}"|\[("[a-z:/]{0,5}",?){0,40}\]|-?[0-9]{0,21})\}?"#) {
            if let Ok(have) = serde_json::from_str::<Have>(&text) {
                prop_assert!(have.peers.len() <= HAVE_PEERS_MAX);
                let again = serde_json::to_string(&have).expect("serialises");
                prop_assert_eq!(serde_json::from_str::<Have>(&again).expect("reads what it wrote"), have);
            }
        }
    }
}
