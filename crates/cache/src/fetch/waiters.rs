//! Who waited for a fetch: how many requests, and the addresses of the first few clients, as many as the operator wants to have written down.

use std::net::IpAddr;

use parking_lot::Mutex;

/// Of one flight.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Waited>);

/// Those who have waited so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waited {
    /// Requests.
    pub(crate) requests: u32,
    /// Clients, each once; the first of very many.
    pub(crate) clients: Vec<IpAddr>,
}

impl Waiters {
    /// One request more waits. At most so many clients are remembered.
    pub(crate) fn note(&self, client: IpAddr, clients_max: usize) {
        let mut waited = self.0.lock();
        waited.requests = waited.requests.saturating_add(1);
        let client = client.to_canonical();
        if waited.clients.len() < clients_max && !waited.clients.contains(&client) {
            waited.clients.push(client);
        }
    }

    pub(crate) fn read(&self) -> Waited {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_counts_and_few_clients_are_named() {
        let waiters = Waiters::default();
        let client = |last: u8| IpAddr::from([10, 0, 0, last]);
        for last in [1, 2, 1, 3] {
            waiters.note(client(last), 2);
        }
        waiters.note("::ffff:10.0.0.2".parse().unwrap(), 2);
        assert_eq!(waiters.read(), Waited { requests: 5, clients: vec![client(1), client(2)] });
        let nameless = Waiters::default();
        nameless.note(client(1), 0);
        assert_eq!(nameless.read(), Waited { requests: 1, clients: Vec::new() });
    }
}
