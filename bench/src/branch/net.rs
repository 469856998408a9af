//! The addresses of a branch: a loopback network of its own for each run, in which everybody has an address, so that ports are nobody else's.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process,
};

/// Networks 127.N.0.0/16 that are tried, from this one on.
const FIRST: u8 = 80;
const NETS: u8 = 160;
/// Whoever has this port of a network has the network.
const CLAIM: u16 = 10_009;

/// Agents of one range of 256 addresses.
const AGENTS_PER_RANGE: usize = 200;
/// Agents of a branch.
pub(crate) const AGENTS_MAX: usize = 1_000;

/// Ports, which are the ones they have by themselves.
const FILES: u16 = 8080;
const ADMIN: u16 = 8081;
const LOCAL: u16 = 7777;
const PEERS: u16 = 7778;
const ORIGIN: u16 = 8090;

/// A network that nobody else uses as long as this lives.
pub(crate) struct Net {
    number: u8,
    _claim: TcpListener,
}

impl Net {
    /// One that is free. Runs that begin at the same time begin at different places.
    pub(crate) fn claim() -> io::Result<Self> {
        let start = (process::id() % u32::from(NETS)) as u8;
        let free = (0..NETS).find_map(|step| {
            let number = FIRST + ((u16::from(start) + u16::from(step)) % u16::from(NETS)) as u8;
            let address = Ipv4Addr::new(127, number, 255, 254);
            let claim = TcpListener::bind((address, CLAIM)).ok()?;
            Some(Self { number, _claim: claim })
        });
        free.ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no loopback network is free"))
    }

    fn at(&self, range: u8, host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([127, self.number, range, host], port))
    }

    /// Where headquarters are.
    pub(crate) fn origin(&self) -> SocketAddr {
        self.at(0, 1, ORIGIN)
    }

    /// Where the line to them begins.
    pub(crate) fn line(&self) -> SocketAddr {
        self.at(1, 1, ORIGIN)
    }

    /// Where a proxy serves files, and its administrator.
    pub(crate) fn proxy(&self, place: usize) -> (SocketAddr, SocketAddr) {
        let host = 10 + place as u8;
        (self.at(1, host, FILES), self.at(1, host, ADMIN))
    }

    /// Where an agent is asked by programs of its machine, and by neighbours.
    pub(crate) fn agent(&self, place: usize) -> (SocketAddr, SocketAddr) {
        let (range, host) = ((place / AGENTS_PER_RANGE) as u8 + 2, (place % AGENTS_PER_RANGE) as u8 + 1);
        (self.at(range, host, LOCAL), self.at(range, host, PEERS))
    }

    /// Where one is who pretends to be an agent.
    pub(crate) fn stranger(&self) -> SocketAddr {
        self.at(1, 250, PEERS)
    }

    /// The ranges of headquarters, and of the branch.
    pub(crate) fn ranges(&self, agents: usize) -> (String, Vec<String>) {
        let of = |range: usize| format!("127.{}.{range}.0/24", self.number);
        let last = agents.saturating_sub(1) / AGENTS_PER_RANGE + 2;
        (of(0), (1..=last).map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_have_two_networks() {
        let (one, two) = (Net::claim().unwrap(), Net::claim().unwrap());
        assert_ne!(one.number, two.number);
    }

    #[test]
    fn everybody_has_an_address_within_the_ranges() {
        let net = Net::claim().unwrap();
        let mut all: Vec<_> = (0..AGENTS_MAX).map(|place| net.agent(place).1).collect();
        all.extend([net.stranger(), net.proxy(0).0, net.proxy(1).0, net.line()]);
        let ranges = net.ranges(AGENTS_MAX).1;
        for address in &all {
            let SocketAddr::V4(address) = address else { panic!("{address}") };
            let [_, _, range, _] = address.ip().octets();
            assert!(ranges.contains(&format!("127.{}.{range}.0/24", net.number)), "{address}");
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), AGENTS_MAX + 4);
        assert_eq!(net.ranges(40).1.len(), 2);
    }
}
