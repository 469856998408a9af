//! How many connections each client has, so that one cannot take the places of all. A client is an IPv4 address, or a network of 64 bits of IPv6,
//! which is what one of its users is given.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::Arc,
};

use parking_lot::Mutex;

/// Connections by client. There are never more clients in it than connections.
pub(crate) struct Census {
    max: NonZeroUsize,
    here: Mutex<HashMap<IpAddr, usize>>,
}

/// A client's place, given back by being dropped.
pub(crate) struct Place {
    census: Arc<Census>,
    client: IpAddr,
}

impl Census {
    /// With so many places for each client.
    pub(crate) fn new(max: NonZeroUsize) -> Arc<Self> {
        Arc::new(Self { max, here: Mutex::default() })
    }

    /// `None` if the client has all of its places already.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut here = self.here.lock();
        let count = here.entry(client).or_default();
        if *count >= self.max.get() {
            return None;
        }
        *count += 1;
        Some(Place { census: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut here = self.census.here.lock();
        if let Some(count) = here.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                here.remove(&self.client);
            }
        }
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_places_and_gives_them_back() {
        let census = Census::new(NonZeroUsize::new(2).unwrap());
        let enter = |address: &str| census.enter(address.parse().unwrap());
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("::ffff:192.0.2.1").unwrap();
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        let _network = (enter("2001:db8::1").unwrap(), enter("2001:db8::ffff:0:0:1").unwrap());
        assert!(enter("2001:db8::2").is_none());
        assert!(enter("2001:db8:0:1::2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        // Who has gone leaves nothing behind.
        assert_eq!(census.here.lock().len(), 2);
    }
}
