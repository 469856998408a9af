//! Who asks.

use std::net::IpAddr;

use protocol::{info::NODE_FIELD, topology::Tier};
use serve::{handler::Client, request::Request};

/// Bytes of a node's name.
const NAME_LEN_MAX: usize = 64;

/// Who asks, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    /// Its name, if it has said one that can be a name.
    pub(crate) node: Option<String>,
    /// How soon it is admitted.
    pub(crate) tier: Tier,
    /// Where the question comes from.
    pub(crate) address: IpAddr,
}

impl Asker {
    /// Of a request.
    pub(crate) fn of(request: &Request<'_>, client: &Client) -> Self {
        let node = request.fields.first(NODE_FIELD).and_then(|name| std::str::from_utf8(name).ok());
        let node = node.filter(|name| is_name(name)).map(str::to_owned);
        Self { node, tier: Tier::default(), address: client.address.ip().to_canonical() }
    }
}

/// 1 to 64 letters, digits, `-`, `_`, `.`.
pub(crate) fn is_name(text: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
    (1..=NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, expected) in [
            ("b7-proxy.example_1", true),
            (&"a".repeat(64), true),
            (&"a".repeat(65), false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("\u{fc}", false),
        ] {
            assert_eq!(is_name(text), expected, "{text}");
        }
    }
}
