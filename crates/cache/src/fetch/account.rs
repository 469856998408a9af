//! What is written down of a fetch, for people who ask later: the text (JSON) that the store keeps in its history with the object that came. It has a
//! bound, and what has none of its own is cut.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::waiters::Waited;

/// Longest path and location, in bytes.
const TEXT_MAX: usize = 1500;
/// Clients that are named at most, whatever the operator wants: so that all fits into an entry of 4,096 bytes.
pub(crate) const CLIENTS_MAX: usize = 16;

/// How an object came. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The upstream's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upstream: String,
    /// Where it is: a directory or a URL; of what was imported the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// What it was asked for by.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Bytes that were here before, from a fetch that had been interrupted.
    #[serde(skip_serializing_if = "is_zero")]
    pub continued_at: u64,
    /// Requests that waited for it.
    #[serde(skip_serializing_if = "is_zero_too")]
    pub waited: u32,
    /// Some of the clients that did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// How it was taken in, where it was not fetched: linked, copied, moved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_zero_too(number: &u32) -> bool {
    *number == 0
}

impl Account {
    /// With those who waited for it.
    pub(crate) fn waited_for_by(self, waited: &Waited) -> Self {
        let clients = waited.clients.iter().take(CLIENTS_MAX).map(ToString::to_string).collect();
        Self { waited: waited.requests, clients, ..self }
    }

    /// As it is written down.
    pub fn to_bytes(&self) -> Bytes {
        let cut = |text: &str| text[..text.floor_char_boundary(TEXT_MAX)].to_owned();
        let short =
            Self { from: cut(&self.from), path: cut(&self.path), upstream: cut(&self.upstream), ..self.clone() };
        // A struct of texts and numbers can always be written.
        serde_json::to_vec(&short).unwrap_or_default().into()
    }

    /// What was written, as far as it can be read.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_is_too_long() {
        let waited = Waited { requests: 70, clients: (0..70).map(|last| [10, 0, 0, last].into()).collect() };
        let account = Account {
            upstream: "hq".into(),
            from: "http://hq.example/".into(),
            path: "/a".into(),
            seconds: Some(1.5),
            continued_at: 7,
            ..Account::default()
        };
        let account = account.waited_for_by(&waited);
        assert_eq!((account.waited, account.clients.len()), (70, CLIENTS_MAX));
        assert_eq!(Account::of_bytes(&account.to_bytes()), account);
        let v6 = vec!["2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".to_owned(); CLIENTS_MAX];
        let long = Account { path: "\u{e4}".repeat(9000), from: "x".repeat(9000), clients: v6, ..account };
        let bytes = long.to_bytes();
        assert!(bytes.len() <= 4096, "{} bytes", bytes.len());
        assert_eq!(Account::of_bytes(&bytes).path.len(), TEXT_MAX);
        assert_eq!(Account::of_bytes(b"not JSON"), Account::default());
    }
}
