//! Who takes part: the tree of an environment, each machine's name and address, and the origin's configuration for it.
//!
//! Upper proxies are at headquarters. Each constrained proxy has a branch of its own, and the agents are dealt out to the branches. Every machine has
//! an address of its own (of 127.0.0.0/8), by which the origin knows its domain.

use std::{fmt::Write as _, net::Ipv4Addr, str::FromStr};

use protocol::topology::{DomainName, Tier};

/// Agents of one branch: the rest of its network.
const AGENTS_PER_BRANCH_MAX: usize = 250;
/// Branches: the rest of the addresses.
const BRANCHES_MAX: usize = 60_000;
/// Upper proxies: one network.
const UPPER_MAX: usize = 250;

/// How many machines there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) upper: usize,
    pub(crate) constrained: usize,
    pub(crate) agents: usize,
}

impl Environment {
    pub(crate) const SMALL: Self = Self { upper: 3, constrained: 100, agents: 1_000 };
    pub(crate) const LARGE: Self = Self { upper: 5, constrained: 800, agents: 10_000 };

    pub(crate) fn machines(self) -> usize {
        self.upper + self.constrained + self.agents
    }

    pub(crate) fn of(self, tier: Tier) -> usize {
        match tier {
            Tier::Unconstrained => self.upper,
            Tier::Constrained => self.constrained,
            Tier::Client => self.agents,
        }
    }
}

impl FromStr for Environment {
    type Err = String;

    /// `small`, `large`, or `3+100+1000`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "small" => return Ok(Self::SMALL),
            "large" => return Ok(Self::LARGE),
            _ => {}
        }
        let numbers: Option<Vec<usize>> = text.split('+').map(|number| number.parse().ok()).collect();
        let Some([upper, constrained, agents]) = numbers.as_deref() else {
            return Err("write small, large, or UPPER+CONSTRAINED+AGENTS such as 3+100+1000".into());
        };
        let environment = Self { upper: *upper, constrained: *constrained, agents: *agents };
        let fits = (1..=UPPER_MAX).contains(upper)
            && (1..=BRANCHES_MAX).contains(constrained)
            && agents.div_ceil(*constrained) <= AGENTS_PER_BRANCH_MAX;
        fits.then_some(environment).ok_or_else(|| {
            format!(
                "at most {UPPER_MAX} upper proxies, {BRANCHES_MAX} branches, and {AGENTS_PER_BRANCH_MAX} agents in each"
            )
        })
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Among all.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) tier: Tier,
    pub(crate) domain: DomainName,
    pub(crate) address: Ipv4Addr,
    /// Whose holding a package lets this one have it: the number of the branch's proxy.
    pub(crate) proxy: Option<usize>,
}

impl Member {
    /// Where it would serve what it holds.
    pub(crate) fn url(&self) -> String {
        format!("http://{}:8080/", self.address)
    }
}

/// All of an environment: upper proxies, constrained ones, agents.
pub(crate) fn members(environment: Environment) -> Vec<Member> {
    let Environment { upper, constrained, agents } = environment;
    let mut members = Vec::with_capacity(environment.machines());
    let mut add = |name: String, tier, domain: DomainName, address, proxy| {
        members.push(Member { number: members.len(), name, tier, domain, address, proxy });
    };
    for at in 0..upper {
        add(format!("upper-{at}"), Tier::Unconstrained, headquarters(), Ipv4Addr::new(127, 1, 0, at as u8 + 1), None);
    }
    for branch in 0..constrained {
        add(format!("proxy-{branch:04}"), Tier::Constrained, domain(branch), address(branch, 1), None);
    }
    for at in 0..agents {
        let (branch, within) = (at % constrained, at / constrained);
        let address = address(branch, within as u8 + 2);
        add(format!("agent-{at:05}"), Tier::Client, domain(branch), address, Some(upper + branch));
    }
    members
}

/// The part of the origin's configuration that tells who stands where.
pub(crate) fn topology(members: &[Member]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let uppers = members.iter().filter(|member| member.tier == Tier::Unconstrained);
    let proxies: Vec<_> = uppers.map(proxy).collect();
    let _ = writeln!(
        text,
        "[[domain]]\nname = \"{}\"\ntier = \"unconstrained\"\nranges = [\"127.1.0.0/24\"]\nproxies = [{}]\n",
        headquarters(),
        proxies.join(", ")
    );
    for member in members.iter().filter(|member| member.tier == Tier::Constrained) {
        let [a, b, c, _] = member.address.octets();
        let _ = writeln!(
            text,
            "[[domain]]\nname = \"{}\"\ntier = \"constrained\"\nranges = [\"{a}.{b}.{c}.0/24\"]\nproxies = [{}]\n",
            member.domain,
            proxy(member)
        );
    }
    text
}

fn proxy(member: &Member) -> String {
    format!("{{ name = \"{}\", url = \"{}\" }}", member.name, member.url())
}

fn headquarters() -> DomainName {
    "hq".parse().expect("it is a name")
}

fn domain(branch: usize) -> DomainName {
    format!("hq.b{branch:04}").parse().expect("it is a name")
}

/// Network 127.2.0.0 is the first branch's.
fn address(branch: usize, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, (2 + branch / 256) as u8, (branch % 256) as u8, host)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everybody_has_a_name_and_an_address_of_its_own() {
        for environment in [Environment::SMALL, Environment::LARGE] {
            let members = members(environment);
            assert_eq!(members.len(), environment.machines());
            assert_eq!(members.iter().map(|member| &member.name).collect::<BTreeSet<_>>().len(), members.len());
            assert_eq!(members.iter().map(|member| member.address).collect::<BTreeSet<_>>().len(), members.len());
            for tier in Tier::ALL {
                assert_eq!(members.iter().filter(|member| member.tier == tier).count(), environment.of(tier));
            }
            for agent in members.iter().filter(|member| member.tier == Tier::Client) {
                let proxy = &members[agent.proxy.unwrap()];
                assert_eq!((proxy.tier, &proxy.domain), (Tier::Constrained, &agent.domain));
                assert_eq!(proxy.address.octets()[..3], agent.address.octets()[..3]);
            }
        }
    }

    #[test]
    fn environments_are_read() {
        assert_eq!("large".parse(), Ok(Environment::LARGE));
        assert_eq!("1+2+40".parse(), Ok(Environment { upper: 1, constrained: 2, agents: 40 }));
        for text in ["", "huge", "1+2", "0+1+1", "1+0+1", "1+1+251", "1+2+3+4", "251+1+1"] {
            assert!(text.parse::<Environment>().is_err(), "{text}");
        }
    }
}
