//! The network cards of clients, as the kernel knows them, remembered for a few seconds: it is asked once for many requests.
//!
//! Who can speak to us at all is in the kernel's table before the first byte of a request comes, so a client that is not there is none of
//! this network, and that is remembered too.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use os::neighbours::{NEIGHBOURS_MAX, Neighbour};
use parking_lot::{Mutex, RwLock};

use protocol::machines::Mac;

/// How long a card is taken for that of an address.
const KNOWN_FOR: Duration = Duration::from_secs(10);

/// Addresses without a card that are remembered; among more, they are forgotten and looked up anew.
const STRANGERS_MAX: usize = 16_384;

/// What the kernel says.
type Table = io::Result<Vec<Neighbour>>;

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: RwLock<HashMap<IpAddr, Known>>,
    /// Held by who asks the kernel; the others wait for the answer.
    asking: Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    mac: Option<Mac>,
    until: Instant,
}

impl Neighbours {
    /// The card of an address, if it is in one of our networks. Asks the kernel, which takes microseconds, if it was not asked for a while.
    pub(crate) fn mac(&self, address: IpAddr, now: Instant) -> Option<Mac> {
        self.mac_in(address, now, os::neighbours::neighbours)
    }

    fn mac_in(&self, address: IpAddr, now: Instant, table: impl FnOnce() -> Table) -> Option<Mac> {
        let address = address.to_canonical();
        if let Some(known) = self.remembered(address, now) {
            return known.mac;
        }
        let _one_at_a_time = self.asking.lock();
        if let Some(known) = self.remembered(address, now) {
            return known.mac;
        }
        let found = table().unwrap_or_else(|error| {
            // Looked at before the start: it is there and can be read.
            tracing::error!("cannot read the table of neighbours, so no client's network card is known: {error}");
            Vec::new()
        });
        let mut known = self.known.write();
        learn(&mut known, &found, address, now);
        known.get(&address).and_then(|known| known.mac)
    }

    fn remembered(&self, address: IpAddr, now: Instant) -> Option<Known> {
        self.known.read().get(&address).copied().filter(|known| known.until > now)
    }
}

/// What is not in the table any more is forgotten; who was asked for is known now, with or without a card.
fn learn(known: &mut HashMap<IpAddr, Known>, table: &[Neighbour], asked: IpAddr, now: Instant) {
    known.retain(|_, known| known.mac.is_none() && known.until > now);
    if known.len() >= STRANGERS_MAX {
        known.clear();
    }
    let until = now + KNOWN_FOR;
    for Neighbour { address, mac } in table.iter().take(NEIGHBOURS_MAX) {
        known.insert(*address, Known { mac: Some(Mac(*mac)), until });
    }
    known.entry(asked).or_insert(Known { mac: None, until });
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn card(last: u8) -> [u8; 6] {
        [0x52, 0x54, 0, 0, 0, last]
    }

    #[test]
    fn the_kernel_is_asked_once_in_a_while() {
        let (neighbours, begin, asked) = (Neighbours::default(), Instant::now(), Cell::new(0));
        let mac = |last: u8, seconds: u64, table: &[(u8, u8)]| {
            let found =
                table.iter().map(|(last, mac)| Neighbour { address: address(*last), mac: card(*mac) }).collect();
            neighbours.mac_in(address(last), begin + Duration::from_secs(seconds), || {
                asked.set(asked.get() + 1);
                Ok(found)
            })
        };
        let table = &[(1, 1), (2, 2)];
        assert_eq!((mac(1, 0, table), mac(2, 9, &[]), asked.get()), (Some(Mac(card(1))), Some(Mac(card(2))), 1));
        // A stranger is one for a while, and others stay who they are.
        assert_eq!(
            (mac(9, 1, table), mac(9, 10, table), mac(1, 10, &[]), asked.get()),
            (None, None, Some(Mac(card(1))), 2)
        );
        // Another machine has got the address.
        assert_eq!((mac(1, 11, &[(1, 7)]), asked.get()), (Some(Mac(card(7))), 3));
        // Who is not in the table any more is not known.
        assert_eq!((mac(2, 12, &[(1, 7)]), asked.get()), (None, 4));
        assert_eq!(
            neighbours.mac_in("::ffff:10.0.0.1".parse().unwrap(), begin + KNOWN_FOR, || panic!("asked")),
            Some(Mac(card(7)))
        );
    }

    #[test]
    fn without_a_table_nobody_is_known() {
        let neighbours = Neighbours::default();
        let refused = || Err(io::ErrorKind::PermissionDenied.into());
        assert_eq!(neighbours.mac_in(address(1), Instant::now(), refused), None);
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let (mut known, now) = (HashMap::new(), Instant::now());
        for number in 0..STRANGERS_MAX as u32 + 10 {
            learn(&mut known, &[], IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(known.len(), 10);
    }
}
