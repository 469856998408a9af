//! As whom this proxy speaks with which origin. Another identity is another member: what was enrolled and delivered for one says nothing of the other.

use std::path::PathBuf;

use cache::options::Location;
use config::{Belonging, Settings};

use crate::self_signed::host_name;

/// Letters of a name.
const NAME_MAX: usize = 64;

/// Who and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The name of the upstream whose origin it is.
    pub(super) upstream: String,
    location: Location,
    /// This proxy's name.
    pub(super) node: String,
    /// With what it enrols.
    pub(super) token_file: Option<PathBuf>,
}

impl Identity {
    /// By the options; `None` if it belongs to nobody.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let upstream = settings.belonging.upstream(settings.upstreams())?;
        Some(Self {
            upstream: upstream.name.clone(),
            location: upstream.location.clone(),
            node: node(&settings.belonging),
            token_file: settings.belonging.token_file.clone(),
        })
    }
}

/// The name by which the origin knows this proxy.
pub(super) fn node(options: &Belonging) -> String {
    if options.name.is_empty() { name_of(&host_name()) } else { options.name.clone() }
}

/// A host's name as far as it can be one.
fn name_of(host: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = host.chars().map(|letter| if fits(letter) { letter } else { '-' }).take(NAME_MAX).collect();
    if name.is_empty() { "proxy".into() } else { name }
}

/// The addresses of this machine's network cards.
pub(super) fn network_cards() -> Vec<String> {
    let Ok(cards) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
    let address = |card: std::fs::DirEntry| std::fs::read_to_string(card.path().join("address")).ok();
    let addresses = cards.flatten().filter_map(address).map(|address| address.trim().to_owned());
    let mut known: Vec<_> = addresses.filter(|address| address.parse().is_ok_and(is_card)).collect();
    known.sort_unstable();
    known.dedup();
    known.truncate(CARDS_MAX);
    known
}

/// Cards that are told.
const CARDS_MAX: usize = 16;

/// The loopback has none.
fn is_card(mac: protocol::machines::Mac) -> bool {
    mac.0 != [0; 6]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_s_name_is_made_one_that_can_be_sent() {
        for (host, expected) in [("branch7.example", "branch7.example"), ("a b\u{e9}", "a-b-"), ("", "proxy")] {
            assert_eq!(name_of(host), expected);
        }
        assert_eq!(name_of(&"x".repeat(100)).len(), NAME_MAX);
    }

    #[test]
    fn cards_are_told_once_each_and_the_loopback_not() {
        let cards = network_cards();
        assert!(cards.iter().all(|card| card != "00:00:00:00:00:00"));
        assert!(cards.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
