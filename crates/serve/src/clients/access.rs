//! Which clients are served: by their addresses, and by their network cards where those are known. Pure.
//!
//! | the client is in `deny` | in `allow`, or that is empty | |
//! | --- | --- | --- |
//! | yes | | refused |
//! | no | yes | served |
//! | no | no | refused |
//!
//! A card that is not known is in no list.

use std::{fmt, net::IpAddr, str::FromStr};

use protocol::machines::{Mac, Machines};

use super::ranges::{NoRange, Range, Ranges};

/// Rules of one list.
pub const RULES_MAX: usize = 65_536;

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By address.
    Range(Range),
    /// By network card.
    Machines(Machines),
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    ranges: Ranges,
    machines: Vec<Machines>,
}

/// Both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who is served; empty: all.
    pub allow: Rules,
    /// Who is not, whatever the other list says.
    pub deny: Rules,
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is served.
    Served,
    /// It is in `deny`.
    Denied,
    /// It is not in `allow`.
    NotNamed,
}

impl Rules {
    /// Of these.
    pub fn new(rules: &[Rule]) -> Self {
        let ranges = rules.iter().filter_map(|rule| if let Rule::Range(range) = rule { Some(*range) } else { None });
        let machines =
            rules.iter().filter_map(|rule| if let Rule::Machines(these) = rule { Some(*these) } else { None });
        Self { ranges: Ranges::new(ranges.collect()), machines: machines.collect() }
    }

    /// Ranges of addresses alone.
    pub fn of_ranges(ranges: Ranges) -> Self {
        Self { ranges, machines: Vec::new() }
    }

    /// As texts that can be read back, addresses first.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.ranges.iter().map(ToString::to_string).chain(self.machines.iter().map(ToString::to_string))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.machines.is_empty()
    }

    fn has(&self, address: IpAddr, mac: &mut impl FnMut() -> Option<Mac>) -> bool {
        self.ranges.contains(address)
            || (!self.machines.is_empty()
                && mac().is_some_and(|mac| self.machines.iter().any(|these| these.contains(mac))))
    }
}

impl Access {
    /// Whether everybody is served.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether network cards matter.
    pub fn names_machines(&self) -> bool {
        !(self.allow.machines.is_empty() && self.deny.machines.is_empty())
    }

    /// Of a client whose card is looked up if it matters.
    pub fn judge(&self, address: IpAddr, mut mac: impl FnMut() -> Option<Mac>) -> Verdict {
        if self.deny.has(address, &mut mac) {
            Verdict::Denied
        } else if self.allow.is_empty() || self.allow.has(address, &mut mac) {
            Verdict::Served
        } else {
            Verdict::NotNamed
        }
    }
}

impl FromStr for Rule {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        text.parse().map(Self::Machines).or_else(|()| text.parse().map(Self::Range))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Machines(machines) => machines.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Rules {
        Rules::new(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn who_is_served() {
        let known = |address: IpAddr| match address.to_string().as_str() {
            "10.0.0.5" => "52:54:00:00:00:05".parse().ok(),
            "10.0.0.6" => "00:00:5e:00:00:06".parse().ok(),
            _ => None,
        };
        let (net, card, maker) = ("10.0.0.0/24", "52:54:00:00:00:05", "52:54:00:00:00:00/24");
        let cases: &[(&[&str], &[&str], &str, Verdict)] = &[
            (&[], &[], "192.0.2.1", Verdict::Served),
            (&[net], &[], "10.0.0.1", Verdict::Served),
            (&[net], &[], "::ffff:10.0.0.1", Verdict::Served),
            (&[net], &[], "10.0.1.1", Verdict::NotNamed),
            (&[], &[net], "10.0.0.1", Verdict::Denied),
            (&[], &[net], "10.0.1.1", Verdict::Served),
            // What is denied is so whatever else holds, in whichever order.
            (&[net], &["10.0.0.7"], "10.0.0.7", Verdict::Denied),
            (&["10.0.0.7"], &[net], "10.0.0.7", Verdict::Denied),
            (&[card], &[], "10.0.0.5", Verdict::Served),
            (&[maker], &[], "10.0.0.5", Verdict::Served),
            (&[card], &[], "10.0.0.6", Verdict::NotNamed),
            (&[card], &[], "10.0.0.7", Verdict::NotNamed),
            (&["192.0.2.0/24", card], &[], "192.0.2.1", Verdict::Served),
            (&["192.0.2.0/24", card], &[], "10.0.0.5", Verdict::Served),
            (&[], &[card], "10.0.0.5", Verdict::Denied),
            (&[net], &[maker], "10.0.0.5", Verdict::Denied),
            (&[net], &[maker], "10.0.0.6", Verdict::Served),
            // Who it is cannot be told.
            (&[net], &[maker], "10.0.0.7", Verdict::Served),
        ];
        for (allow, deny, address, expected) in cases {
            let access = Access { allow: rules(allow), deny: rules(deny) };
            let address = address.parse().unwrap();
            assert_eq!(access.judge(address, || known(address)), *expected, "{allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn cards_are_looked_up_only_where_they_matter() {
        let access = Access { allow: rules(&["10.0.0.0/24", "52:54:00:00:00:05"]), deny: rules(&["10.0.0.7"]) };
        let never = || panic!("looked up");
        assert_eq!(access.judge("10.0.0.1".parse().unwrap(), never), Verdict::Served);
        assert_eq!(access.judge("10.0.0.7".parse().unwrap(), never), Verdict::Denied);
        assert!(access.names_machines() && !Access::default().names_machines() && Access::default().is_open());
    }

    #[test]
    fn lists_can_be_read_back() {
        let list = rules(&["52:54:00:00:00:00/24", "10.0.0.0/8", "192.0.2.1-192.0.2.3"]);
        let texts: Vec<_> = list.texts().collect();
        assert_eq!(texts, ["10.0.0.0/8", "192.0.2.1-192.0.2.3", "52:54:00:00:00:00/24"]);
        assert_eq!(rules(&texts.iter().map(String::as_str).collect::<Vec<_>>()), list);
        // An address of IPv6 is no network card.
        assert!(matches!("52:54:00:12:34:56:1:2".parse(), Ok(Rule::Range(_))));
        assert!("52:54:00:12".parse::<Rule>().is_err());
    }
}
