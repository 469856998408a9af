//! Ranges of addresses: a block of a network, or from one address to another. An IPv4 address within IPv6 is that IPv4 address, in a range as in a
//! client.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// Between two addresses of one family, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRange {
    /// Neither an address nor a block.
    #[error("it has no address, or no number of bits that fits it")]
    Unknown,
    /// `10.0.0.1/8`
    #[error("{0} has bits behind the first {1}")]
    Bits(IpAddr, u8),
    /// `10.0.0.9-10.0.0.1`, or between IPv4 and IPv6.
    #[error("there is no way up from {0} to {1}")]
    Backwards(IpAddr, IpAddr),
}

impl Range {
    /// Between two addresses, if there is anything between them.
    fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        let both_v4 = |one: &IpAddr, other: &IpAddr| one.is_ipv4() && other.is_ipv4();
        let folded = (first.to_canonical(), last.to_canonical());
        let (first, last) = if both_v4(&folded.0, &folded.1) { folded } else { (first, last) };
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// The block that it is, if it is one.
    fn block(&self) -> Option<IpNet> {
        let mut blocks: Box<dyn Iterator<Item = IpNet>> = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Box::new(Ipv4Subnets::new(first, last, 0).map(IpNet::V4)),
            (IpAddr::V6(first), IpAddr::V6(last)) => Box::new(Ipv6Subnets::new(first, last, 0).map(IpNet::V6)),
            _ => return None,
        };
        blocks.next().filter(|_| blocks.next().is_none())
    }
}

impl From<IpAddr> for Range {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { first: address, last: address }
    }
}

impl FromStr for Range {
    type Err = NoRange;

    /// `10.0.0.0/8`, `192.0.2.7`, `10.0.0.10-10.0.0.20`.
    fn from_str(text: &str) -> Result<Self, NoRange> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        if let Some((first, last)) = text.split_once('-') {
            let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| NoRange::Unknown);
            let (first, last) = (address(first)?, address(last)?);
            return Self::between(first, last).ok_or(NoRange::Backwards(first, last));
        }
        let block: IpNet = text.parse().map_err(|_| NoRange::Unknown)?;
        if block.addr() != block.network() {
            return Err(NoRange::Bits(block.addr(), block.prefix_len()));
        }
        Self::between(block.network(), block.broadcast()).ok_or(NoRange::Unknown)
    }
}

impl fmt::Display for Range {
    /// As it can be read back, the shortest way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block() {
            Some(_) if self.first == self.last => self.first.fmt(f),
            Some(block) => block.fmt(f),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Several of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    given: Vec<Range>,
    /// In order, and none touches another.
    merged: Vec<Range>,
}

impl Ranges {
    /// Of these.
    pub fn new(ranges: Vec<Range>) -> Self {
        let mut sorted = ranges.clone();
        sorted.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(before) if before.last.is_ipv4() == range.first.is_ipv4() && before.last >= range.first => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        Self { given: ranges, merged }
    }

    /// As they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.given.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Whether an address lies in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // Addresses of IPv4 are before those of IPv6.
        let behind = self.merged.partition_point(|range| range.first <= address);
        behind > 0 && address <= self.merged[behind - 1].last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(texts: &[&str]) -> Ranges {
        Ranges::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn addresses_lie_in_ranges() {
        let all = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "10.255.0.0-11.0.0.9", "172.16.0.3-172.16.0.5"];
        let ranges = ranges(&all);
        for (address, expected) in [
            ("9.255.255.255", false),
            ("10.1.2.3", true),
            ("11.0.0.9", true),
            ("11.0.0.10", false),
            ("172.16.0.2", false),
            ("172.16.0.3", true),
            ("172.16.0.5", true),
            ("172.16.0.6", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:12.1.2.3", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(ranges.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!Ranges::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn ipv4_within_ipv6_is_ipv4_in_ranges_too() {
        let folded = ranges(&["::ffff:10.0.0.0/104", "::ffff:192.0.2.1-::ffff:192.0.2.3"]);
        assert!(folded.contains("10.200.0.1".parse().unwrap()) && folded.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(folded.contains("192.0.2.2".parse().unwrap()));
        // All of IPv6 is not all of IPv4.
        assert!(!ranges(&["::/0"]).contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_written_can_be_read_back() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0 - 10.0.0.255", "10.0.0.0/24"),
            ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::1-2001:db8::9", "2001:db8::1-2001:db8::9"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            let range: Range = text.parse().unwrap();
            assert_eq!((range.to_string().as_str(), shown.parse()), (shown, Ok(range)));
        }
        let address = |text: &str| text.parse().unwrap();
        for (text, reason) in [
            ("", NoRange::Unknown),
            ("10.0.0.0/33", NoRange::Unknown),
            ("10.0.0", NoRange::Unknown),
            ("here", NoRange::Unknown),
            ("10.0.0.1-", NoRange::Unknown),
            ("10.0.0.1-20", NoRange::Unknown),
            ("10.1.0.0/8", NoRange::Bits(address("10.1.0.0"), 8)),
            ("10.0.0.2-10.0.0.1", NoRange::Backwards(address("10.0.0.2"), address("10.0.0.1"))),
            ("10.0.0.2-::1", NoRange::Backwards(address("10.0.0.2"), address("::1"))),
        ] {
            assert_eq!(text.parse::<Range>(), Err(reason), "{text}");
        }
    }

    proptest! {
        #[test]
        fn merged_ranges_have_the_addresses_of_the_given(bounds: Vec<(u8, u8)>, asked: u8) {
            let address = |last: u8| IpAddr::from([10, 0, 0, last]);
            let ranges: Vec<_> =
                bounds.iter().filter_map(|(first, last)| Range::between(address(*first), address(*last))).collect();
            let expected = ranges.iter().any(|range| range.first <= address(asked) && address(asked) <= range.last);
            prop_assert_eq!(Ranges::new(ranges).contains(address(asked)), expected);
        }
    }
}
