//! Ranges of addresses.

use std::net::IpAddr;

pub use ipnet::IpNet;

/// Ranges of addresses; an IPv4 address within IPv6 is that IPv4 address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<IpNet>);

impl Ranges {
    /// Of these.
    pub fn new(ranges: Vec<IpNet>) -> Self {
        Self(ranges)
    }

    /// As they were given.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address lies in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_ranges() {
        let ranges = ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"].map(|range| range.parse().unwrap()).to_vec();
        let ranges = Ranges::new(ranges);
        for (address, expected) in [
            ("10.1.2.3", true),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:11.1.2.3", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(ranges.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!Ranges::default().contains("127.0.0.1".parse().unwrap()));
    }
}
