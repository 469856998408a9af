//! Which other agents of one's own networks are known: at most [`KNOWN_MAX`], chosen evenly among those that were found, so that not all machines know
//! the same ones.

use std::net::IpAddr;

use protocol::patience::Spread;

/// Neighbours that are known at once.
pub const KNOWN_MAX: usize = 30;

/// Those that were found.
#[derive(Debug)]
pub struct Known {
    spread: Spread,
    list: Vec<Neighbour>,
    /// How often it was looked for them anew.
    round: u32,
    /// How many were found in this round.
    found: u32,
}

#[derive(Debug)]
struct Neighbour {
    name: String,
    url: String,
    /// In which it was found last.
    round: u32,
}

impl Known {
    /// Nobody. The seed is another one for each machine.
    pub fn new(seed: u64) -> Self {
        Self { spread: Spread::new(seed), list: Vec::new(), round: 0, found: 0 }
    }

    /// Somebody of that name is there. Of more than there is room for each stays as likely as any other.
    pub fn found(&mut self, name: &str, url: String) {
        let round = self.round;
        if let Some(known) = self.list.iter_mut().find(|known| known.name == name) {
            (known.url, known.round) = (url, round);
            return;
        }
        self.found = self.found.saturating_add(1);
        let neighbour = Neighbour { name: name.into(), url, round };
        if self.list.len() < KNOWN_MAX {
            self.list.push(neighbour);
            return;
        }
        let of = u64::from(self.found).max(self.list.len() as u64 + 1);
        let place = ((u128::from(self.spread.number()) * u128::from(of)) >> 64) as usize;
        if let Some(known) = self.list.get_mut(place) {
            *known = neighbour;
        }
    }

    /// It has gone.
    pub fn gone(&mut self, name: &str) {
        self.list.retain(|known| known.name != name);
    }

    /// As many are known as may be.
    pub fn is_full(&self) -> bool {
        self.list.len() >= KNOWN_MAX
    }

    /// It is looked for them anew.
    pub fn begin_round(&mut self) {
        (self.round, self.found) = (self.round.wrapping_add(1), 0);
    }

    /// Whoever was not found again since then has gone.
    pub fn end_round(&mut self) {
        self.list.retain(|known| known.round == self.round);
    }

    /// Nobody is known any more.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Where they are reached.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|known| known.url.as_str())
    }
}

/// Where somebody is reached who says to have these addresses: at one in a network of our own. Addresses that need to be told through which interface they lead
/// are none to ask at.
pub fn url_of(addresses: &[IpAddr], port: u16, is_near: impl Fn(IpAddr) -> bool) -> Option<String> {
    let fits = |address: &&IpAddr| {
        let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        port > 0 && !address.is_loopback() && !is_link_local && is_near(**address)
    };
    let mut near: Vec<&IpAddr> = addresses.iter().filter(fits).collect();
    // Of several the same one each time; those of IPv4 are the lesser ones.
    near.sort();
    near.first().map(|address| match address {
        IpAddr::V4(v4) => format!("http://{v4}:{port}/"),
        IpAddr::V6(v6) => format!("http://[{v6}]:{port}/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(count: usize, seed: u64) -> Known {
        let mut known = Known::new(seed);
        for number in 0..count {
            known.found(&format!("pc{number}"), format!("http://{number}/"));
        }
        known
    }

    #[test]
    fn who_is_found_is_known_until_it_goes() {
        let mut few = known(3, 1);
        few.found("pc1", "http://moved/".into());
        few.gone("pc0");
        few.gone("nobody");
        assert_eq!(few.urls().collect::<Vec<_>>(), ["http://moved/", "http://2/"]);
        few.begin_round();
        few.found("pc2", "http://2/".into());
        assert_eq!(few.urls().count(), 2, "a round that has not ended forgets nobody");
        few.end_round();
        assert_eq!(few.urls().collect::<Vec<_>>(), ["http://2/"]);
        few.clear();
        assert_eq!(few.urls().count(), 0);
    }

    #[test]
    fn no_more_are_known_than_there_is_room_for_and_each_is_as_likely() {
        let mut times = [0; 120];
        for seed in 0..400 {
            let many = known(120, seed);
            assert!(many.is_full() && many.urls().count() == KNOWN_MAX);
            for url in many.urls() {
                let number: usize = url.trim_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
                times[number] += 1;
            }
        }
        // A quarter of 400 each.
        assert!(times.iter().all(|times| (60..140).contains(times)), "{times:?}");
    }

    #[test]
    fn addresses_are_of_ones_own_networks() {
        let near = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.octets()[0] == 10,
            IpAddr::V6(v6) => v6.segments()[0] == 0xfd00 || v6.segments()[0] == 0xfe80,
        };
        for (addresses, port, expected) in [
            (&["192.0.2.1", "10.7.0.9", "fd00::1"][..], 7778, Some("http://10.7.0.9:7778/")),
            (&["10.7.0.9", "10.7.0.5"], 7778, Some("http://10.7.0.5:7778/")),
            (&["fe80::1", "fd00::1"], 7778, Some("http://[fd00::1]:7778/")),
            (&["fe80::1"], 7778, None),
            (&["192.0.2.1", "127.0.0.1"], 7778, None),
            (&["10.7.0.9"], 0, None),
            (&[], 7778, None),
        ] {
            let parsed: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(url_of(&parsed, port, near).as_deref(), expected, "{addresses:?}");
        }
    }
}
